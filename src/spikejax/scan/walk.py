"""One chunk of time: how each layer goes through it, and what is recorded on the way."""

from collections.abc import Mapping
from dataclasses import replace
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
    Loop,
    ParallelCell,
    Reverse,
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
        moved: what is added to inputs and outputs `[k, N, *]`, by their full names.
    """

    def __init__(
        self,
        plan: Plan,
        start: int | Array,
        lengths: Array | None,
        record: tuple[str, ...],
        moved: Mapping[str, Array] | None = None,
    ) -> None:
        self.plan, self.start, self.lengths, self.record, self.moved = plan, start, lengths, record, moved or {}
        self.records: dict[str, Array] = {}
        self.available: list[str] = []

    def __call__(
        self, path: tuple[int, ...], cell: Cell | Stateless | Loop | Reverse, state: State, xs: Any
    ) -> tuple[State, Any]:
        if isinstance(cell, Loop):
            return self._loop(path, cell, state, xs)
        if isinstance(cell, Reverse):
            return state, self._reversed(path, xs)
        if isinstance(cell, Stateless):
            xs = self._moved(path, "input", xs)
            ys = self._moved(path, "output", cell.over_time(xs))
            self._keep(path, {"input": xs, "output": ys})
            return state, ys
        xs = self._moved(path, "input", xs)
        if isinstance(cell, BoundedCell):
            cell.check_steps(self.plan.steps)
        parallel = _parallel(cell)
        whole = isinstance(parallel, WholeSequenceCell)
        wanted = self._wanted(path, cell, () if whole else state)
        first = state
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
        self._keep_charged(path, cell, first, xs, kept)
        self.records |= kept
        ys = self._moved(path, "spikes", ys)
        self._keep(path, {"input": xs, "spikes": ys})
        return state, ys

    def check_names(self) -> None:
        """Raises `ValueError` for a name in `record` or `moved` that no layer has."""
        kinds = {name.rsplit(".", 1)[-1] for name in self.available}
        movable = [name for name in self.available if name.rsplit(".", 1)[-1] in ("spikes", *OF_LAYERS)]
        for argument, names, known in (
            ("record", self.record, {*self.available, *kinds}),
            ("perturb", self.moved, set(movable)),
        ):
            for name in names:
                if name not in known:
                    some = ", ".join(sorted(known))
                    raise ValueError(f"`{argument}` names {name!r}, which no layer has: choose from {some}")

    def _moved(self, path: tuple[int, ...], kind: str, xs: Any) -> Any:
        """An input or output, with what is to be added to it."""
        name = ".".join((*map(str, path), kind))
        if name not in self.moved:
            return xs
        more = self.moved[name]
        if isinstance(xs, tuple):
            raise ValueError(
                f"`perturb` names {name!r}, but this layer has several inputs: perturb what they come from"
            )
        xs = _copied(xs)
        if more.shape != xs.shape:
            raise ValueError(
                f"`perturb`[{name!r}] must have the shape of what it is added to, {xs.shape} for a chunk, "
                f"got {more.shape}"
            )
        return xs + more.astype(xs.dtype)

    def _loop(self, path: tuple[int, ...], loop: Loop, state: State, xs: Any) -> tuple[State, Any]:
        """One step after another through a part of a network, recording inside."""
        propagate, variables, restore = loop.pure()
        given, structure = jax.tree.flatten(xs, is_leaf=_is_static)
        count = next((x.shape[0] for x in given if not _is_static(x)), None) or given[0].steps
        step_by_step = replace(self.plan, chunk=1)

        def step(carry: Any, inputs: tuple[Array, list[Array], dict[str, Array]]) -> tuple[Any, Any]:
            t, moving, moved = inputs[0], iter(inputs[1]), {name: a[None] for name, a in inputs[2].items()}
            start = self.start + t
            walk = Walk(step_by_step, start, self.lengths, self.record, moved)
            now = [Static(x.value, 1) if _is_static(x) else next(moving)[None] for x in given]
            variables, old = carry
            variables, new, ys = propagate(
                variables, old, structure.unflatten(now), lambda below, *rest: walk((*path, *below), *rest)
            )
            if self.lengths is not None:
                new = _freeze(start < self.lengths, new, old)
            self.available += walk.available
            return (variables, new), (
                jax.tree.map(lambda y: y.value if _is_static(y) else y[0], ys, is_leaf=_is_static),
                jax.tree.map(lambda a: a[0], walk.records),
            )

        inputs = jnp.arange(count), [x for x in given if not _is_static(x)], dict(self.moved)
        (variables, state), (ys, records) = _scan(step, (variables, state), inputs, count)
        restore(variables)
        self.records |= records
        return state, ys

    def _reversed(self, path: tuple[int, ...], xs: Sequence) -> Sequence:
        """The last step of each sequence first; what is after its end stays there."""
        plan = self.plan
        if plan.chunk < plan.steps:
            raise ValueError(
                f"layer {'.'.join(map(str, path))} starts at the end of the sequence, so it needs all {plan.steps} "
                f"steps in one chunk, got chunk={plan.chunk}: use chunk=None, and no loop around it"
            )
        if isinstance(xs, Static):
            return xs
        if self.lengths is None:
            return xs[::-1]
        times, ends = jnp.arange(plan.steps)[:, None], self.lengths[None]
        times = jnp.where(times < ends, ends - 1 - times, times)
        return xs[times, jnp.arange(ends.shape[1])[None]]

    def _wanted(self, path: tuple[int, ...], cell: Any, state: State) -> dict[str, str]:
        """Full names to record of this cell's states, each with its field; for its "h" all of them, as "h.field"."""
        fields = getattr(state, "_fields", ())
        kinds = {field: field for field in fields}
        kinds |= {kind: field for kind, field in KINDS.items() if hasattr(state, field)}
        charged = callable(getattr(cell, "charge", None)) and "v" in fields and "h" not in fields
        asked = self._asked(path, {"h": None} if charged else {})
        return self._asked(path, kinds) | {f"{name}.{field}": field for name in asked for field in fields}

    def _keep_charged(self, path: tuple[int, ...], cell: Any, state: State, xs: Sequence, kept: dict[str, Any]) -> None:
        """Records the membranes before the reset, made of the state before each step; takes what it needs of `kept`."""
        name = ".".join((*map(str, path), "h"))
        fields = getattr(state, "_fields", ())
        if not fields or f"{name}.{fields[0]}" not in kept:
            return
        after = type(state)(**{field: kept.pop(f"{name}.{field}") for field in fields})
        before = jax.tree.map(lambda first, a: jnp.concatenate((jnp.asarray(first)[None], a[:-1])), state, after)
        static = isinstance(xs, Static)
        charge = jax.vmap(cell.charge, in_axes=(0, None if static else 0))
        self.records[name] = charge(before, xs.value if static else xs).v

    def _keep(self, path: tuple[int, ...], values: dict[str, Sequence]) -> None:
        """Records those of `values` that were asked for."""
        for name, value in self._asked(path, values).items():
            self.records[name] = jax.tree.map(_copied, value, is_leaf=_is_static)

    def _asked(self, path: tuple[int, ...], kinds: dict[str, Any]) -> dict[str, Any]:
        """What was asked for of the layer at `path`, from full names to the values of `kinds`."""
        named = {".".join((*map(str, path), kind)): (kind, value) for kind, value in kinds.items()}
        self.available += named
        return {full: value for full, (kind, value) in named.items() if {full, kind} & set(self.record)}


def _is_static(x: Any) -> bool:
    return isinstance(x, Static)


def _copied(xs: Sequence) -> Array:
    """A sequence as an array `[T, N, *]`."""
    return jnp.broadcast_to(xs.value, (xs.steps, *xs.value.shape)) if isinstance(xs, Static) else xs


def _scan(step: Any, carry: Any, inputs: Any, count: int) -> tuple[Any, Any]:
    """`lax.scan`, but for one step without a loop."""
    if count > 1:
        return lax.scan(step, carry, inputs, length=count)
    carry, out = step(carry, jax.tree.map(lambda a: a[0], inputs))
    return carry, jax.tree.map(lambda a: a[None], out)


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
    state, (ys, kept) = _scan(step, state, inputs, count)
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
