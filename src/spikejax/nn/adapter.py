"""How cells and layers stand inside Flax NNX modules."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.pytree import Struct
from spikejax.typing import (
    Array,
    Cell,
    Loop,
    Network,
    Propagate,
    Reverse,
    Sequence,
    Shape,
    State,
    Stateless,
    Static,
    Through,
    WholeSequenceCell,
)

Layer = Cell | Callable[[Array], Array]


class CellModule(nnx.Module):
    """A cell inside an NNX module: its array fields are `nnx.Param`s, its constants stay constants.

    Args:
        cell: the cell; a `Struct`, such as every neuron of `spikejax.cells`.
    """

    def __init__(self, cell: Struct) -> None:
        leaves, structure = jax.tree_util.tree_flatten_with_path(cell)
        self.structure = structure
        self.names = tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves)
        for name, (_, leaf) in zip(self.names, leaves, strict=True):
            setattr(self, name, nnx.Param(leaf))

    @property
    def cell(self) -> Any:
        """The cell with the present values of its parameters."""
        return jax.tree.unflatten(self.structure, [getattr(self, name).get_value() for name in self.names])

    def __nnx_repr__(self) -> Generator[Any]:
        """As of every module, with the cell in place of the attributes that hold its parts."""
        head, *attributes = super().__nnx_repr__()
        yield head
        yield from (replace(part, key="cell", value=self.cell) for part in attributes[:1])

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """As the cell's own."""
        return self.cell.init_state(shape, dtype, key=key)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """As the cell's own."""
        return self.cell.step(state, x)


def cell_of(layer: Any) -> Any:
    """The cell that a layer holds, with its present parameters; of any other layer, the layer itself."""
    return layer.cell if isinstance(layer, CellModule) else layer


def adapt(layer: Any, name: str) -> Any:
    """`layer` as a container keeps it: a cell in its module, all else as it is.

    Raises:
        TypeError: `layer` is neither a cell, nor an NNX module, nor a function.
    """
    if isinstance(layer, type):
        raise TypeError(f"layer {name} is the class {layer.__name__}: give an instance, such as {layer.__name__}()")
    if isinstance(layer, Struct) and isinstance(layer, Cell):
        return CellModule(layer)
    if isinstance(layer, Cell) or callable(layer):
        return layer
    raise TypeError(f"layer {name} must be a cell, an nnx.Module or a function, got {type(layer).__name__}")


def is_stateless(layer: Any) -> bool:
    """Whether `layer` is a function of its input alone."""
    return not isinstance(layer, Cell)


def apply(layer: Any, name: str, *xs: Array) -> Array:
    """`layer(*xs)` for batches `[N, *]`, with the layer named when it refuses them."""
    try:
        return layer(*xs)
    except (TypeError, ValueError) as error:
        kind = getattr(layer, "__name__", type(layer).__name__)
        shapes = " and ".join(str(jnp.shape(x)) for x in xs)
        raise ValueError(f"layer {name} ({kind}) refused an input of shape {shapes}: {error}") from error


def apply_over_time(layer: Any, name: str, given: Sequence | tuple[Sequence, ...]) -> Sequence:
    """A stateless layer on all steps at once: `[T, N, *]` goes through as `[T * N, *]`; of several inputs, a tuple."""
    inputs = given if isinstance(given, tuple) else (given,)
    still = [xs for xs in inputs if isinstance(xs, Static)]
    if len(still) == len(inputs):
        return Static(apply(layer, name, *(xs.value for xs in still)), still[0].steps)
    steps, batch = next(xs.shape[:2] for xs in inputs if not isinstance(xs, Static))
    whole = (jnp.broadcast_to(xs.value, (steps, *xs.value.shape)) if isinstance(xs, Static) else xs for xs in inputs)
    ys = apply(layer, name, *(xs.reshape(steps * batch, *xs.shape[2:]) for xs in whole))
    return ys.reshape(steps, batch, *ys.shape[1:])


def init_layer(
    layer: Any, index: int, inputs: tuple[jax.ShapeDtypeStruct, ...], dtype: DTypeLike, key: Array | None
) -> tuple[State, jax.ShapeDtypeStruct]:
    """The state of the layer at `index` before the first step, empty for a stateless one, and its output's shape."""
    if is_stateless(layer):
        return (), shape_of(layer, lambda layer, *xs: apply(layer, str(index), *xs), *inputs)
    state = layer.init_state(inputs[0].shape, dtype, key=None if key is None else jax.random.fold_in(key, index))
    return state, shape_after(layer, state, inputs[0])


def step_layer(layer: Any, index: int, state: State, *inputs: Array) -> tuple[State, Array]:
    """One step of the layer at `index`."""
    return ((), apply(layer, str(index), *inputs)) if is_stateless(layer) else layer.step(state, inputs[0])


def propagate_layer(layer: Any, index: int, state: State, through: Through, *inputs: Any) -> tuple[State, Any]:
    """The steps of a chunk through the layer at `index`; see `spikejax.typing.Network`."""
    if isinstance(layer, Network):
        return layer.propagate(state, inputs[0], below((index,), through))
    if is_stateless(layer):
        over_time = partial(apply_over_time, layer, str(index))
        return through((index,), Stateless(layer, over_time), (), inputs[0] if len(inputs) == 1 else inputs)
    return through((index,), layer.cell if isinstance(layer, CellModule) else layer, state, inputs[0])


def below(above: tuple[int, ...], through: Through) -> Through:
    """`through` for the layers of a network nested at the path `above`."""
    return lambda path, layer, state, xs: through((*above, *path), layer, state, xs)


def shape_of(layer: Any, call: Callable[..., Array], *args: Any) -> jax.ShapeDtypeStruct:
    """The shape of `call(layer, *args)`, without computing it and without touching the layer's variables."""
    if not isinstance(layer, nnx.Module):
        return jax.eval_shape(lambda *args: call(layer, *args), *args)
    graph, variables = nnx.split(layer)
    return jax.eval_shape(lambda variables, *args: call(nnx.merge(graph, variables), *args), variables, *args)


def shape_after(layer: Any, state: State, x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """The shape of what a cell or network puts out in one step."""
    whole = [part.T for _, part in whole_sequence_parts(layer)]
    if not whole:
        return shape_of(layer, lambda layer, state, x: layer.step(state, x)[1], state, x)
    steps = next(filter(None, whole), 1)

    def at_once(layer: Any, state: State, x: Array) -> Any:
        if isinstance(layer, Network):
            return layer.propagate(state, Static(x, steps), through_once)[1]
        return through_once((), cell_of(layer), state, Static(x, steps))[1]

    def through_once(path: Any, cell: Any, state: State, xs: Any) -> tuple[State, Any]:
        if isinstance(cell, Reverse):
            return state, xs
        if isinstance(cell, Stateless):
            return state, cell.over_time(xs)
        if isinstance(cell, Loop):
            return _shape_of_loop(cell, state, xs, steps, through_once)
        if isinstance(cell, WholeSequenceCell):
            return cell.steps(state, xs)
        x = jnp.broadcast_to(xs.value, (steps, *xs.value.shape)) if isinstance(xs, Static) else xs
        return state, jax.vmap(lambda x: cell.step(state, x)[1])(x)

    ys = shape_of(layer, at_once, state, x)
    ys = ys.value if isinstance(ys, Static) else jax.ShapeDtypeStruct(ys.shape[1:], ys.dtype)
    return jax.ShapeDtypeStruct(ys.shape, ys.dtype)


def _shape_of_loop(loop: Loop, state: State, given: Any, steps: int, through: Through) -> tuple[State, Any]:
    """A loop's state, and its output in the first step as if it were that of every one."""
    is_static = lambda xs: isinstance(xs, Static)  # noqa: E731
    propagate, variables, _ = loop.pure()
    first = jax.tree.map(lambda xs: Static(xs.value, 1) if is_static(xs) else xs[:1], given, is_leaf=is_static)
    _, state, ys = propagate(variables, state, first, through)
    return state, jax.tree.map(lambda y: Static(y.value if is_static(y) else y[0], steps), ys, is_leaf=is_static)


def whole_sequence_parts(layer: Any) -> Iterator[tuple[str, Any]]:
    """What in `layer` takes its whole sequence at once, with names: cells, and networks with a `whole_sequence`."""
    if isinstance(layer, nnx.Module):
        for path, module in nnx.iter_modules(layer):
            cell = cell_of(module)
            if isinstance(cell, WholeSequenceCell):
                yield name_of(path), cell
            elif isinstance(module, WholeSequence):
                yield name_of(path), module


def name_of(path: tuple[Any, ...]) -> str:
    """The name of a layer, from its path in the module."""
    return ".".join(str(part) for part in path if part != "layers")


class Container(nnx.Module):
    """Base of networks: makes `propagate` of an NNX module a pure function of its variables."""

    def propagate(self, state: State, xs: Sequence, through: Through) -> tuple[State, Array]:
        """Takes `xs` through every layer, leaving each cell's way through time to `through`."""
        raise NotImplementedError(f"{type(self).__name__} must define `propagate(self, state, xs, through)`")

    def hoist(self, x: Array) -> tuple[Array, Any]:
        """Where nothing stands before the first cell for certain, `x` as it is, and the network itself."""
        return x, self

    def pure(self, method: str = "propagate") -> tuple[Propagate, Any, Callable[[Any], None]]:
        """`propagate` with the variables that a forward pass may change (statistics, random streams) as an argument.

        Args:
            method: name of another method of the same signature, which takes its place.

        Returns:
            The pure function, the variables it starts from, and a function that writes back those that changed.
        """
        graph, params, variables = nnx.split(self, nnx.Param, ...)
        changed: set[Any] = set()

        def propagate(variables: Any, state: State, xs: Sequence, through: Through) -> tuple[Any, State, Sequence]:
            before = {path: variable[...] for path, variable in nnx.to_flat_state(variables)}
            net = nnx.merge(graph, params, variables, copy=True)
            state, ys = getattr(net, method)(state, xs, through)
            after = nnx.state(net, nnx.Not(nnx.Param))
            changed.update(path for path, new in nnx.to_flat_state(after) if new[...] is not before[path])
            return after, state, ys

        def restore(after: Any) -> None:
            now = [(path, value) for path, value in nnx.to_flat_state(after) if path in changed]
            nnx.update(self, nnx.from_flat_state(now))

        return propagate, variables, restore

    def encodes(self) -> bool:
        """Whether its first cell is an encoder, where that is certain."""
        return False

    def slow_in_loop(self, platform: str) -> str | None:
        """Names a convolution, whose weight gradient XLA computes slowly in loops on CPU (jax-ml/jax#12868)."""
        for path, module in nnx.iter_modules(self):
            if platform == "cpu" and isinstance(module, nnx.Conv | nnx.ConvTranspose):
                kind = type(module).__name__
                return f"layer {name_of(path)} ({kind}): in a loop XLA on CPU computes its weight gradient far slower"
        return None

    def whole_sequence_reason(self) -> str | None:
        """Names a cell that takes its whole sequence at once, or a BatchNorm whose statistics depend on the chunk."""
        for name, part in whole_sequence_parts(self):
            return f"layer {name}: {part.whole_sequence_reason()}"
        for path, module in nnx.iter_modules(self):
            if isinstance(module, nnx.BatchNorm) and not module.use_running_average:
                name = name_of(path)
                return f"layer {name} (BatchNorm, train mode) takes its statistics over a chunk, so over all steps"
        return None


class WholeSequence(Container):
    """Base of networks that need all steps in one chunk, as many as there are."""

    T: int | None = None

    def whole_sequence_reason(self) -> str:
        """Why all steps must run in one chunk."""
        return f"{type(self).__name__} starts at the end of the sequence"
