"""Probes at the layers of a network: values to record, and values to add to inputs and outputs."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Cell, Path, State, batched

STATE_ALIASES = {"membrane": "v"}
"""Names of records that stand for a field of the state."""

OF_LAYERS = ("input", "output")
"""Names of records of layers without state, which may stand before the first cell."""


class Probes:
    """Records and perturbs the layers of one chunk; lives while the chunk is traced.

    A probe has a full name, "path.kind" such as "3.membrane". Kinds are "input" and "output" of stateless layers, and
    of cells "input", "spikes", the fields of the state, "membrane" and "h", the membrane after the input and before
    the reset.

    Args:
        record: names to record: full names, or kinds, for every layer that has them.
        perturb: arrays `[k, N, *]` to add to inputs and outputs, by full names.

    Attributes:
        records: arrays `[k, N, *]` by full names, or `[k, *]` of state variables that samples share.
        unbatched: full names of the records of such variables.
        available: full names of all that the layers visited so far could record.
    """

    def __init__(self, record: tuple[str, ...] = (), perturb: Mapping[str, Array] | None = None) -> None:
        self.record, self.perturb = record, perturb or {}
        self.records: dict[str, Any] = {}
        self.unbatched: set[str] = set()
        self.available: list[str] = []

    def check_names(self) -> None:
        """Raises ValueError for a name in `record` or `perturb` that no layer has."""
        kinds = {name.rsplit(".", 1)[-1] for name in self.available}
        perturbable = {name for name in self.available if name.rsplit(".", 1)[-1] in ("spikes", *OF_LAYERS)}
        for argument, names, known in (
            ("record", self.record, {*self.available, *kinds}),
            ("perturb", self.perturb, perturbable),
        ):
            for name in names:
                if name not in known:
                    choices = ", ".join(sorted(known))
                    raise ValueError(f"`{argument}` names {name!r}, which no layer has: choose from {choices}")

    def perturbed(self, path: Path, kind: str, *sequences: Sequence) -> tuple[Sequence, ...]:
        """The inputs or the output of a layer, plus the perturbation of that name."""
        name = _full(path, kind)
        if name not in self.perturb:
            return sequences
        first, *others = sequences
        if others:
            raise ValueError(
                f"`perturb` names {name!r}, but this layer has several inputs: perturb what they come from"
            )
        values, change = first.all(), self.perturb[name]
        if change.shape != values.shape:
            raise ValueError(
                f"`perturb`[{name!r}] must have the shape of what it is added to, {values.shape} for a chunk, "
                f"got {change.shape}"
            )
        return (Steps(values + change.astype(values.dtype)),)

    def observe(self, path: Path, kind: str, *sequences: Sequence) -> None:
        """Records the inputs or the output of a layer, if asked for: an array, or a tuple of several."""
        for name in self._asked(path, {kind: None}):
            self.records[name] = sequences[0].all() if len(sequences) == 1 else tuple(xs.all() for xs in sequences)

    def state_fields(self, path: Path, cell: Cell, state: State) -> dict[str, str]:
        """The fields of the state that must be known after each step, by the full names of their records.

        For "h", which is computed from the states before each step, these are all fields, named "path.h.field".
        """
        fields = getattr(state, "_fields", ())
        kinds = {field: field for field in fields}
        kinds |= {kind: field for kind, field in STATE_ALIASES.items() if hasattr(state, field)}
        charged = callable(getattr(cell, "charge", None)) and "v" in fields and "h" not in fields
        names = self._asked(path, {"h": None} if charged else {})
        return self._asked(path, kinds) | {f"{name}.{field}": field for name in names for field in fields}

    def observe_states(self, path: Path, cell: Any, before: State, states: Mapping[str, Any], xs: Sequence) -> None:
        """Records state variables.

        Args:
            path: the place of the cell.
            cell: the cell.
            before: its state before the first step.
            states: its variables after each step, by the names that `state_fields` gave.
            xs: its input.
        """
        name, fields = _full(path, "h"), getattr(before, "_fields", ())
        states = dict(states)
        if fields and f"{name}.{fields[0]}" in states:
            after = type(before)(**{field: states.pop(f"{name}.{field}") for field in fields})
            starts = jax.tree.map(lambda first, a: jnp.concatenate((jnp.asarray(first)[None], a[:-1])), before, after)
            self.records[name] = jax.vmap(cell.charge, in_axes=(0, xs.time_axis))(starts, xs.data).v
        kinds = batched(before)
        for name in states:
            field = name.rsplit(".", 1)[-1]
            if not all(jax.tree.leaves(getattr(kinds, STATE_ALIASES.get(field, field)))):
                self.unbatched.add(name)
        self.records |= states

    def join(self, other: "Probes") -> None:
        """Takes over the names that the probes inside a loop have seen."""
        self.available += other.available
        self.unbatched |= other.unbatched

    def _asked(self, path: Path, kinds: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of `kinds` that are to be recorded of the layer at `path`, by their full names."""
        named = {_full(path, kind): (kind, value) for kind, value in kinds.items()}
        self.available += named
        return {full: value for full, (kind, value) in named.items() if {full, kind} & set(self.record)}


def _full(path: Path, kind: str) -> str:
    return ".".join((*map(str, path), kind))
