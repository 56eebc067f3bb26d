"""The driver: one cell or a whole network over many time steps."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.scan.plan import Plan, plan
from spikejax.scan.record import Record, Recorder
from spikejax.scan.walk import OF_LAYERS, Walk
from spikejax.typing import Array, Cell, Network, Propagate, Sequence, State, Static


def run(
    cell: Cell,
    xs: ArrayLike,
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
        xs: input `[T, N, *]`, time first; with `steps`, one static input `[N, *]` shown at every step.
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
    inputs = _inputs(jnp.asarray(xs), steps)
    shape = inputs.value.shape if isinstance(inputs, Static) else inputs.shape[1:]
    count = inputs.steps if isinstance(inputs, Static) else inputs.shape[0]
    static = shape if isinstance(inputs, Static) else None
    chosen = plan(
        cell, count, chunk=chunk, remat=remat, method=method, residuals=residuals, backward=backward, static=static
    )
    if state is None:
        dtype = jnp.promote_types(jnp.asarray(xs).dtype, jnp.float32)
        state = cell.init_state(shape, dtype)
    else:
        _check_state(cell, state, shape, steps)
    valid = None if lengths is None else _lengths(lengths, shape[0], count)
    recorder, moved = Recorder(record, valid), _moved(perturb, count)

    looked_at = any(name.split(".")[-1] in OF_LAYERS for name in (*recorder.names, *moved))
    if isinstance(cell, Network) and isinstance(inputs, Static) and not looked_at:
        value, cell = cell.hoist(inputs.value)
        inputs = Static(value, inputs.steps)
    propagate, variables, restore = cell.pure() if isinstance(cell, Network) else _alone(cell)
    carry = variables, state
    (variables, state), ys, records, reduced = _over_chunks(propagate, carry, inputs, moved, chosen, recorder)
    restore(variables)
    if valid is not None:
        ys, records = jax.tree.map(lambda a: _hold(a, valid), (ys, records))
    return state, ys if record is None else (ys, records | reduced)


def _over_chunks(
    propagate: Propagate, carry: Any, xs: Sequence, moved: dict[str, Array], plan: Plan, recorder: Recorder
) -> tuple[Any, Array, dict[str, Any], dict[str, Any]]:
    """Scans the chunks; a shorter last chunk follows on its own, so any T goes with any chunk."""

    def one_chunk(carry: Any, start: int | Array, xs: Sequence, moved: dict[str, Array]) -> tuple[Any, Any, Any]:
        walk = Walk(plan, start, recorder.lengths, recorder.names, moved)
        variables, state = carry
        variables, state, ys = propagate(variables, state, xs, walk)
        if isinstance(ys, Static):
            ys = jnp.broadcast_to(ys.value, (ys.steps, *ys.value.shape))
        walk.check_names()
        by_step, reduced = recorder.split(walk.records, start)
        return (variables, state), (ys, by_step), reduced

    inner = jax.checkpoint(one_chunk, prevent_cse=False) if plan.remat else one_chunk
    outer = jax.checkpoint(one_chunk) if plan.remat else one_chunk
    count, rest = divmod(plan.steps, plan.chunk)
    if count == 1 and not rest:
        carry, (ys, by_step), reduced = outer(carry, 0, xs, moved)
        return carry, ys, by_step, recorder.finish(reduced, plan.steps)

    def body(carry: Any, inputs: tuple[Array, Any, Any]) -> tuple[Any, Any]:
        start, part, moved = inputs
        inner_carry, so_far = carry
        part = Static(xs.value, plan.chunk) if isinstance(xs, Static) else part
        inner_carry, out, reduced = inner(inner_carry, start, part, moved)
        return (inner_carry, recorder.join(so_far, reduced)), out

    whole = count * plan.chunk
    cut = lambda a: a[:whole].reshape(count, plan.chunk, *a.shape[1:])  # noqa: E731
    parts, pushes = None if isinstance(xs, Static) else cut(xs), jax.tree.map(cut, moved)
    first = Static(xs.value, plan.chunk) if isinstance(xs, Static) else xs[: plan.chunk]
    shapes = _shapes_reduced(one_chunk, carry, first, jax.tree.map(lambda a: a[: plan.chunk], moved), recorder)
    starts = jnp.arange(count) * plan.chunk
    (carry, reduced), out = lax.scan(body, (carry, recorder.nothing(shapes)), (starts, parts, pushes))
    out = jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), out)
    if rest:
        part = Static(xs.value, rest) if isinstance(xs, Static) else xs[whole:]
        carry, last, more = outer(carry, whole, part, jax.tree.map(lambda a: a[whole:], moved))
        out = jax.tree.map(lambda a, b: jnp.concatenate((a, b)), out, last)
        reduced = recorder.join(reduced, more)
    return carry, *out, recorder.finish(reduced, plan.steps)


def _shapes_reduced(one_chunk: Any, carry: Any, xs: Sequence, moved: Any, recorder: Recorder) -> dict[str, Any]:
    """The shapes of what is reduced over time."""
    if not any(isinstance(way, str) for way in recorder.ways.values()):
        return {}
    return jax.eval_shape(lambda *given: one_chunk(*given)[2], carry, 0, xs, moved)


def _moved(perturb: Mapping[str, ArrayLike] | None, steps: int) -> dict[str, Array]:
    """What is added to inputs and outputs, with as many steps as the run."""
    moved = {name: jnp.asarray(value) for name, value in (perturb or {}).items()}
    for name, value in moved.items():
        if value.ndim < 1 or value.shape[0] != steps:
            raise ValueError(f"`perturb`[{name!r}] must be [T, N, *] with {steps} time steps, got shape {value.shape}")
    return moved


def _alone(cell: Cell) -> tuple[Propagate, Any, Callable[[Any], None]]:
    """What `Network.pure` gives, of a cell that is no network."""

    def propagate(variables: Any, state: State, xs: Sequence, through: Any) -> tuple[Any, State, Array]:
        return variables, *through((), cell, state, xs)

    return propagate, (), lambda _: None


def _inputs(xs: Array, steps: int | None) -> Sequence:
    """The input as a sequence, with what can be wrong with its time axis."""
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
    return xs


def _check_state(cell: Cell, state: State, shape: tuple[int, ...], steps: int | None) -> None:
    """Raises `ValueError` where `state` was made for another input than `shape`."""

    def shapes(shape: tuple[int, ...]) -> Any:
        return jax.eval_shape(lambda: cell.init_state(shape, key=jax.random.key(0)))

    def fits(expected: Any) -> bool:
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


def _lengths(lengths: ArrayLike, batch: int, steps: int) -> Array:
    """The valid steps of each sequence, checked."""
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        valid = jnp.asarray(lengths)
    if valid.shape != (batch,) or not jnp.issubdtype(valid.dtype, jnp.integer):
        raise ValueError(
            f"`lengths` must be one integer a sequence, shape ({batch},), got {valid.dtype} of shape {valid.shape}"
        )
    check_number("lengths", valid, ge=1, le=steps, remedy=f"there are {steps} time steps")
    return valid


def _hold(ys: Array, lengths: Array) -> Array:
    """Outputs `[T, N, *]` that stay as they were at each sequence's last valid step."""
    times = jnp.minimum(jnp.arange(ys.shape[0])[:, None], lengths[None] - 1)
    return ys[times, jnp.arange(lengths.shape[0])[None]]
