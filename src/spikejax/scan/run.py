"""The driver: one cell or a whole network over many time steps."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.scan.chunk import ChunkRunner
from spikejax.scan.lengths import check_batch_axis, check_lengths, hold
from spikejax.scan.plan import Plan, plan
from spikejax.scan.probes import OF_LAYERS, Probes
from spikejax.scan.record import Record, Recorder
from spikejax.sequence import Sequence, Static, Steps
from spikejax.typing import Array, Cell, LayerVisitor, Network, Path, PureNetwork, PyTree, State


def run(
    cell: Cell,
    xs: ArrayLike | Sequence,
    state: State = None,
    *,
    steps: int | None = None,
    chunk: int | None = None,
    remat: bool = False,
    method: str = "auto",
    residuals: str = "h",
    backward: str = "scan",
    lengths: ArrayLike | None = None,
    record: Record | None = None,
    perturb: Mapping[str, ArrayLike] | None = None,
) -> tuple[State, Any]:
    """Runs a cell over time.

        state, ys = run(cell, xs)

    Time is cut in chunks. Inside a chunk a network runs layer by layer, from chunk to chunk step by step, so that
    `chunk=T` is layer-by-layer propagation and `chunk=1` is step-by-step propagation. Outputs and gradients do not
    depend on the chunk (but see `BatchNorm` in train mode in the concept page on networks), nor on `remat`.

    Args:
        cell: a cell, or a network of cells.
        xs: input `[T, N, *]`, time first; with `steps`, one static input `[N, *]` shown at every step; or a `Sequence`.
        state: state to start from; None starts from `cell.init_state(xs.shape[1:])`. Cells that draw random
            numbers need `cell.init_state(shape, key=key)`.
        steps: number of steps T of a static input. The stateless layers before the first cell are computed once.
        chunk: time steps computed layer by layer at once; None chooses (see `plan`).
        remat: True computes each chunk again in the backward pass instead of storing what it needs: memory grows
            with `chunk + T / chunk` instead of T.
        method: how one cell runs through its chunk: "fused", by one kernel with a backward pass of its own, for cells
            in charge, fire and reset; "scan", step by step in a `lax.scan`; "associative", in about log2(chunk) stages,
            for cells whose state is linear in the one before (`LeakyIntegrator`, `LinearLIF`); or "auto", fused where
            a cell can be. Encoders and parallel neurons have a way of their own, whatever the method.
        residuals: what the fused kernel keeps for the backward pass: "h", the membranes before the reset; "x", nothing
            but the input, from which it computes them again; "packed", these in bfloat16 and a bit a spike, which
            rounds the gradients.
        backward: how the fused kernel goes back: "scan", step by step, or "associative", in about log2(chunk) stages.
        lengths: valid steps of each sequence `[N]`, integers from 1 to T. After its length a sequence's state and
            outputs stay as they were at its last valid step.
        record: names of what to return besides the outputs: "spikes" (the output of every cell), "membrane" (its `v`
            after each step), "h" (its `v` after the input, before the reset), any field of a state, "output" (that of
            every stateless layer), "input" (that of any layer); with a path for one layer only, such as "3.membrane".
            A mapping says what is kept of each: None, every step; "sum", "mean" or "max" over time, which needs no
            memory for the steps; or a function of the steps `[k, N, *]` of a chunk that keeps the first axis.
        perturb: what is added to the inputs and outputs of layers, from full names such as "0.output", "1.spikes" or
            "1.input" to arrays `[T, N, *]`: the gradient with respect to zeros is that with respect to the values
            themselves; see `spikejax.monitor.layer_gradients`.

    Returns:
        The last state, and the outputs `[T, N, *]`; with `record`, the last state and a pair of the outputs and a
        dict from "path.kind" to `[T, N, *]`, or `[N, *]` where time was reduced.

    Raises:
        ValueError: no time step, no time axis and no `steps` or both, a state made for another shape, an unknown name
            of a way, a record or a layer to perturb, a `chunk` or `lengths` out of range, a cell that cannot go the way
            asked for, a cell that was built for another number of steps.
        TypeError: `cell` has no `init_state` and `step`.
    """
    if isinstance(cell, type):
        raise TypeError(f"`cell` is the class {cell.__name__}: give an instance, such as {cell.__name__}()")
    if not isinstance(cell, Cell):
        raise TypeError(
            f"`cell` must have `init_state` and `step`, got {type(cell).__name__}: wrap layers in sx.nn.Sequential"
        )
    inputs = _inputs(xs, steps)
    shape, static = inputs.shape, inputs.time_axis is None
    chosen = plan(
        cell,
        inputs.steps,
        chunk=chunk,
        remat=remat,
        method=method,
        residuals=residuals,
        backward=backward,
        static=shape if static else None,
    )
    if state is None:
        state = cell.init_state(shape, jnp.promote_types(inputs.dtype, jnp.float32))
    else:
        _check_state(cell, state, shape, steps)
    valid = None if lengths is None else check_lengths(lengths, shape[0], inputs.steps)
    if valid is not None:
        check_batch_axis(cell, state, shape)
    recorder, perturb = Recorder(record, valid), _perturbations(perturb, inputs.steps)

    probed = any(name.split(".")[-1] in OF_LAYERS for name in (*recorder.names, *perturb))
    if isinstance(cell, Network) and static and not probed:
        hoist = cell.profile(jax.default_backend()).hoist
        if hoist is not None:
            value, cell = hoist(inputs.data)
            inputs = Static(value, inputs.steps)
    pure = cell.pure() if isinstance(cell, Network) else _pure_cell(cell)
    (variables, state), ys, records, reduced = _over_chunks(pure, state, inputs, perturb, chosen, recorder)
    pure.restore(variables)
    if valid is not None:
        stay = partial(hold, lengths=valid)
        ys, batched = stay(ys), {name: value for name, value in records.items() if name not in recorder.unbatched}
        records |= jax.tree.map(stay, batched)
    return state, ys if record is None else (ys, records | reduced)


def _over_chunks(
    pure: PureNetwork, state: State, xs: Sequence, perturb: Mapping[str, Array], plan: Plan, recorder: Recorder
) -> tuple[Any, Array, dict[str, Any], dict[str, Any]]:
    """Scans the chunks; a shorter last chunk follows on its own, so any T goes with any chunk."""

    def one_chunk(
        carry: PyTree, start: int | Array, xs: Sequence, perturb: Mapping[str, Array]
    ) -> tuple[Any, Any, Any]:
        probes = Probes(recorder.names, perturb)
        variables, state = carry
        variables, state, ys = pure.propagate(
            variables, state, xs, ChunkRunner(plan, probes, start, recorder.lengths), ()
        )
        probes.check_names()
        by_step, reduced = recorder.split(probes, start)
        return (variables, state), (ys.all(), by_step), reduced

    inner = jax.checkpoint(one_chunk, prevent_cse=False) if plan.remat else one_chunk
    outer = jax.checkpoint(one_chunk) if plan.remat else one_chunk
    carry = pure.variables, state
    count, rest = divmod(plan.steps, plan.chunk)
    if count == 1 and not rest:
        carry, (ys, by_step), reduced = outer(carry, 0, xs, perturb)
        return carry, ys, by_step, recorder.finish(reduced, plan.steps)

    def body(carry: PyTree, part: Sequence, others: tuple[Array, Mapping[str, Array]]) -> tuple[Any, Any]:
        inner_carry, reduced = carry
        inner_carry, out, more = inner(inner_carry, others[0], part, others[1])
        return (inner_carry, recorder.join(reduced, more)), out

    whole = count * plan.chunk
    shapes = _shapes_reduced(one_chunk, carry, xs.first(plan.chunk), _cut(perturb, 0, plan.chunk), recorder)
    by_chunk = jax.tree.map(lambda a: a[:whole].reshape(count, plan.chunk, *a.shape[1:]), dict(perturb))
    others = jnp.arange(count) * plan.chunk, by_chunk
    (carry, reduced), out = xs.first(whole).scan_chunks(body, (carry, recorder.nothing(shapes)), others, plan.chunk)
    out = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), out)
    if rest:
        carry, last, more = outer(carry, whole, xs.after(whole), _cut(perturb, whole, plan.steps))
        out = jax.tree.map(lambda a, b: jnp.concatenate((a, b)), out, last)
        reduced = recorder.join(reduced, more)
    return carry, *out, recorder.finish(reduced, plan.steps)


def _cut(perturb: Mapping[str, Array], start: int, end: int) -> dict[str, Array]:
    return {name: a[start:end] for name, a in perturb.items()}


def _shapes_reduced(
    one_chunk: Callable[..., Any], carry: PyTree, xs: Sequence, perturb: Mapping[str, Array], recorder: Recorder
) -> dict[str, Any]:
    """The shapes of what is reduced over time."""
    if not any(isinstance(way, str) for way in recorder.ways.values()):
        return {}
    return jax.eval_shape(lambda *args: one_chunk(*args)[2], carry, 0, xs, perturb)


def _perturbations(perturb: Mapping[str, ArrayLike] | None, steps: int) -> dict[str, Array]:
    """Arrays to add to inputs and outputs, with as many steps as the run."""
    arrays = {name: jnp.asarray(value) for name, value in (perturb or {}).items()}
    for name, value in arrays.items():
        if value.ndim < 1 or value.shape[0] != steps:
            raise ValueError(f"`perturb`[{name!r}] must be [T, N, *] with {steps} time steps, got shape {value.shape}")
    return arrays


def _pure_cell(cell: Cell) -> PureNetwork:
    """A cell that is no network, as a network of which it is the only layer."""

    def propagate(
        variables: PyTree, state: State, xs: Sequence, visitor: LayerVisitor, path: Path
    ) -> tuple[Any, State, Sequence]:
        return variables, *visitor.cell(path, cell, state, xs)

    return PureNetwork(propagate, (), lambda _: None)


def _inputs(xs: ArrayLike | Sequence, steps: int | None) -> Sequence:
    """The input as a sequence, its time axis checked."""
    if isinstance(xs, Sequence):
        if steps is not None:
            raise ValueError(f"`steps` must not be given with a sequence, which has {xs.steps} steps, got {steps}")
        return xs
    xs = jnp.asarray(xs)
    if steps is not None:
        if xs.ndim < 1:
            raise ValueError(f"`xs` must be one static input [N, *] with `steps`, got shape {xs.shape}")
        return Static(xs, steps)
    if xs.ndim < 2:
        raise ValueError(
            f"`xs` must be [T, N, *], time first, got shape {xs.shape}: add the missing axes, or give `steps` to show "
            f"one static input [N, *] at every step"
        )
    if xs.shape[0] == 0:
        raise ValueError(f"`xs` must have at least one time step, got shape {xs.shape} with T = 0")
    return Steps(xs)


def _check_state(cell: Cell, state: State, shape: tuple[int, ...], steps: int | None) -> None:
    """Raises `ValueError` where `state` was made for another input than `shape`."""

    def shapes(shape: tuple[int, ...]) -> Any:
        return jax.eval_shape(lambda: cell.init_state(shape, key=jax.random.key(0)))

    def fits(expected: PyTree) -> bool:
        same = jax.tree.structure(expected) == jax.tree.structure(state)
        return same and jax.tree.map(jnp.shape, expected) == jax.tree.map(jnp.shape, state)

    expected = shapes(shape)
    if fits(expected):
        return
    if steps is not None and len(shape) > 1 and fits(shapes(shape[1:])):
        raise ValueError(
            f"`xs` has a time axis and `steps` = {steps} was given too: `state` is made for inputs {shape[1:]}, `xs` "
            f"has shape {shape}; leave out one of them"
        )
    if jax.tree.structure(expected) != jax.tree.structure(state):
        raise ValueError(
            f"`state` must have the structure {jax.tree.structure(expected)}, got {jax.tree.structure(state)}: make it "
            f"with init_state({shape}) of the same cell"
        )
    for (path, want), have in zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(state), strict=True):
        if want.shape != jnp.shape(have):
            name = jax.tree_util.keystr(path)
            raise ValueError(
                f"`state`{name} must have shape {want.shape} for inputs {shape}, got {jnp.shape(have)}: make it with "
                f"init_state({shape}), or pass state=None"
            )
