"""One chunk of time: how each layer goes through it, and what is recorded on the way."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.kernels import fused, why_not_fused
from spikejax.scan.associative import check_linear, name_of, scan_linear
from spikejax.scan.plan import Plan
from spikejax.typing import (
    Array,
    BoundedCell,
    Cell,
    ParallelCell,
    Sequence,
    State,
    Stateless,
    Static,
    WholeSequenceCell,
)

KINDS = {"membrane": "v"}
"""Names of records that stand for a field of the state."""

OF_LAYERS = ("input", "output")
"""Names of records of layers without state, which may stand before the first cell."""


class Walk:
    """Takes the layers of a network through one chunk; the `through` of `Network.propagate`.

    Lives while a chunk is traced. After the walk, `records` holds what was asked for.

    Args:
        plan: how cells run through the chunk.
        start: index of the chunk's first step, for `lengths`.
        lengths: valid steps of each sequence `[N]`, or None.
        record: names asked for, each "path.kind" or "kind" alone for every layer.
    """

    def __init__(self, plan: Plan, start: int | Array, lengths: Array | None, record: tuple[str, ...]) -> None:
        self.plan, self.start, self.lengths, self.record = plan, start, lengths, record
        self.records: dict[str, Array] = {}
        self.available: list[str] = []

    def __call__(self, path: tuple[int, ...], cell: Cell | Stateless, state: State, xs: Sequence) -> tuple[State, Any]:
        if isinstance(cell, Stateless):
            ys = cell.over_time(xs)
            self._keep(path, {"input": xs, "output": ys})
            return state, ys
        if isinstance(cell, BoundedCell):
            cell.check_steps(self.plan.steps)
        parallel = _parallel(cell)
        whole = isinstance(parallel, WholeSequenceCell)
        wanted = self._wanted(path, () if whole else state)
        count = xs.steps if isinstance(xs, Static) else xs.shape[0]
        alive = None if self.lengths is None else (self.start + jnp.arange(count))[:, None] < self.lengths
        kept: dict[str, Any] = {}
        if parallel and whole:
            state, ys = parallel.steps(state, xs if alive is None else _silence(xs, alive))
        elif parallel and not wanted and (alive is None or not _per_sample(state, alive.shape[1])):
            state, ys = parallel.steps(state, xs)
        elif self.plan.method == "associative" and not parallel:
            state, states, ys = scan_linear(check_linear(cell, path), state, xs, alive)
            kept = {name: getattr(states, field) for name, field in wanted.items()}
        elif _takes_fused(cell, self.plan.method, path):
            left = None if self.lengths is None else self.lengths - self.start
            state, ys, kept = _at_once(self.plan, cell, state, xs, alive, left, wanted)
        else:
            state, ys, kept = _step_by_step(cell, state, xs, alive, wanted)
        self.records |= kept
        self._keep(path, {"input": xs, "spikes": ys})
        return state, ys

    def _wanted(self, path: tuple[int, ...], state: State) -> dict[str, str]:
        """Full names to record of this cell's states, each with its field."""
        kinds = {field: field for field in getattr(state, "_fields", ())}
        kinds |= {kind: field for kind, field in KINDS.items() if hasattr(state, field)}
        return self._asked(path, kinds)

    def _keep(self, path: tuple[int, ...], values: dict[str, Sequence]) -> None:
        """Records those of `values` that were asked for."""
        for name, value in self._asked(path, values).items():
            if isinstance(value, Static):
                value = jnp.broadcast_to(value.value, (value.steps, *value.value.shape))
            self.records[name] = value

    def _asked(self, path: tuple[int, ...], kinds: dict[str, Any]) -> dict[str, Any]:
        """What was asked for of the layer at `path`, from full names to the values of `kinds`."""
        named = {".".join((*map(str, path), kind)): (kind, value) for kind, value in kinds.items()}
        self.available += named
        return {full: value for full, (kind, value) in named.items() if {full, kind} & set(self.record)}


def check_record(record: tuple[str, ...], available: list[str]) -> None:
    """Raises `ValueError` for a name in `record` that no layer has."""
    known = {*available, *(name.rsplit(".", 1)[-1] for name in available)}
    for name in record:
        if name not in known:
            raise ValueError(f"`record` names {name!r}, which no layer has: choose from {', '.join(sorted(known))}")


def _parallel(cell: Cell) -> ParallelCell | None:
    """`cell`, where it takes many steps at once; in other cells `steps` is the name of a field, as in Refractory."""
    return cell if isinstance(cell, ParallelCell) and callable(getattr(cell, "steps", None)) else None


def _per_sample(state: State, batch: int) -> bool:
    """Whether anything in `state` belongs to one sample, so that it has to stop where its sequence ends."""
    return any(jnp.ndim(leaf) and jnp.shape(leaf)[0] == batch for leaf in jax.tree.leaves(state))


def _step_by_step(
    cell: Cell, state: State, xs: Sequence, alive: Array | None, wanted: dict[str, str]
) -> tuple[State, Array, dict[str, Any]]:
    """The last state, the outputs, and the fields `wanted` of every state."""

    def step(state: State, inputs: tuple[Any, Any]):
        alive, x = inputs
        x = xs.value if isinstance(xs, Static) else x
        new, y = cell.step(state, x)
        if alive is not None:
            new = _freeze(alive, new, state)
        kept = {name: getattr(new, field) for name, field in wanted.items()}
        return new, (y, kept)

    count, inputs = (xs.steps, (alive, None)) if isinstance(xs, Static) else (xs.shape[0], (alive, xs))
    if count == 1:
        state, out = step(state, jax.tree.map(lambda a: a[0], inputs))
        ys, kept = jax.tree.map(lambda a: a[None], out)
    else:
        state, (ys, kept) = lax.scan(step, state, inputs, length=count)
    return state, ys, kept


def _at_once(
    plan: Plan, cell: Cell, state: State, xs: Sequence, alive: Array | None, left: Array | None, wanted: dict[str, str]
) -> tuple[State, Array, dict[str, Any]]:
    """As `_step_by_step`, by the fused kernel; `left` `[N]` steps of each sequence are still to go."""
    xs = xs if alive is None else _silence(xs, alive)
    keep = left is not None or bool(wanted)
    last, ys, states = fused(cell, state, xs, keep=keep, residuals=plan.residuals, backward=plan.backward)
    if left is not None:
        last = _last_alive(left, state, states, last)
    return last, ys, {name: getattr(states, field) for name, field in wanted.items()}


def _takes_fused(cell: Cell, method: str, path: tuple[int, ...]) -> bool:
    """Whether `cell` goes through the fused kernel; raises `ValueError` where it has to and cannot."""
    reason = why_not_fused(cell)
    if reason and method == "fused":
        raise ValueError(
            f"`method` 'fused' needs cells in charge, fire and reset, and {name_of(cell, path)} has no fused kernel: "
            f"{reason}; use method='auto' to run such cells step by step"
        )
    return method in ("auto", "fused") and not reason


def _last_alive(left: Array, first: State, states: State, last: State) -> State:
    """The state of each sequence after the last of the `left` `[N]` steps that it has still to go.

    `states` `[T, N, *]` are those after each step; leaves without a batch axis are those of `last`.
    """
    batch = left.shape[0]

    def choose(first: Array, states: Array, last: Array) -> Array:
        if last.ndim == 0 or last.shape[0] != batch:
            return last
        index = jnp.clip(left, 1, states.shape[0]) - 1
        began = (left > 0).reshape(-1, *(1,) * (last.ndim - 1))
        return jnp.where(began, states[index, jnp.arange(batch)], first)

    return jax.tree.map(choose, first, states, last)


def _freeze(alive: Array, new: State, old: State) -> State:
    """`new` where a sequence is `alive` `[N]`, `old` where it has ended; leaves without a batch axis go on."""

    def choose(new: Array, old: Array) -> Array:
        if new.ndim == 0 or new.shape[0] != alive.shape[0]:
            return new
        return jnp.where(alive.reshape(alive.shape + (1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


def _silence(xs: Sequence, alive: Array) -> Array:
    """Inputs `[T, N, *]` that are 0 where a sequence has ended."""
    values = xs.value[None] if isinstance(xs, Static) else xs
    return jnp.where(alive.reshape(alive.shape + (1,) * (values.ndim - alive.ndim)), values, 0)
