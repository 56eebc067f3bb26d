"""One chunk of time: how each cell goes through it, and what is recorded on the way."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.typing import Array, Cell, ParallelCell, Sequence, State, Static

KINDS = {"membrane": "v"}
"""Names of records that stand for a field of the state."""


class Walk:
    """Takes the cells of a network through one chunk; the `through` of `Network.propagate`.

    Lives while a chunk is traced. After the walk, `records` holds what was asked for.

    Args:
        start: index of the chunk's first step, for `lengths`.
        lengths: valid steps of each sequence `[N]`, or None.
        record: names asked for, each "path.kind" or "kind" alone for every cell.
    """

    def __init__(self, start: int | Array, lengths: Array | None, record: tuple[str, ...]) -> None:
        self.start, self.lengths, self.record = start, lengths, record
        self.records: dict[str, Array] = {}
        self.available: list[str] = []

    def __call__(self, path: tuple[int, ...], cell: Cell, state: State, xs: Sequence) -> tuple[State, Array]:
        fields = tuple(getattr(state, "_fields", ()))
        wanted = self._wanted(path, fields)

        def step(state: State, inputs: tuple[Any, Any]):
            t, x = inputs
            x = xs.value if isinstance(xs, Static) else x
            new, y = cell.step(state, x)
            if self.lengths is not None:
                new = _freeze(t < self.lengths, new, state)
            kept = {name: getattr(new, field) for name, field in wanted.items() if field}
            return new, (y, kept)

        if isinstance(cell, ParallelCell) and self.lengths is None and not any(wanted.values()):
            state, ys = cell.steps(state, xs)
            self.records |= dict.fromkeys(wanted, ys)
            return state, ys
        count = xs.steps if isinstance(xs, Static) else xs.shape[0]
        times = None if self.lengths is None else self.start + jnp.arange(count)
        values = None if isinstance(xs, Static) else xs
        if count == 1:
            first = jax.tree.map(lambda a: a[0], (times, values))
            state, out = step(state, first)
            ys, kept = jax.tree.map(lambda a: a[None], out)
        else:
            state, (ys, kept) = lax.scan(step, state, (times, values), length=count)
        self.records |= kept | {name: ys for name, field in wanted.items() if not field}
        return state, ys

    def _wanted(self, path: tuple[int, ...], fields: tuple[str, ...]) -> dict[str, str]:
        """Full names to record of this cell, each with its state field ("" for the output)."""
        kinds = {"spikes": ""} | {field: field for field in fields}
        kinds |= {kind: field for kind, field in KINDS.items() if field in fields}
        named = {".".join((*map(str, path), kind)): (kind, field) for kind, field in kinds.items()}
        self.available += named
        return {full: field for full, (kind, field) in named.items() if {full, kind} & set(self.record)}


def check_record(record: tuple[str, ...], available: list[str]) -> None:
    """Raises `ValueError` for a name in `record` that no cell has."""
    known = {*available, *(name.rsplit(".", 1)[-1] for name in available)}
    for name in record:
        if name not in known:
            raise ValueError(f"`record` names {name!r}, which no cell has: choose from {', '.join(sorted(known))}")


def _freeze(alive: Array, new: State, old: State) -> State:
    """`new` where a sequence is `alive` `[N]`, `old` where it has ended; leaves without a batch axis go on."""

    def choose(new: Array, old: Array) -> Array:
        if new.ndim == 0 or new.shape[0] != alive.shape[0]:
            return new
        return jnp.where(alive.reshape(alive.shape + (1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)
