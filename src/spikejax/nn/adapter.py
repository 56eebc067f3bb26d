"""How cells and layers stand inside Flax NNX modules."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx import reprlib
from jax.typing import DTypeLike

from spikejax.pytree import Struct
from spikejax.typing import (
    Array,
    Cell,
    Network,
    Propagate,
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

    def __nnx_repr__(self) -> Generator[reprlib.Object | reprlib.Attr]:
        yield reprlib.Object(type(self).__name__)
        yield reprlib.Attr("cell", self.cell)

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


def apply_over_time(layer: Any, name: str, xs: Sequence) -> Sequence:
    """A stateless layer on all steps at once: `[T, N, *]` goes through as `[T * N, *]`."""
    if isinstance(xs, Static):
        return Static(apply(layer, name, xs.value), xs.steps)
    steps, batch = xs.shape[:2]
    ys = apply(layer, name, xs.reshape(steps * batch, *xs.shape[2:]))
    return ys.reshape(steps, batch, *ys.shape[1:])


def shape_of(layer: Any, call: Callable[..., Array], *args: Any) -> jax.ShapeDtypeStruct:
    """The shape of `call(layer, *args)`, without computing it and without touching the layer's variables."""
    if not isinstance(layer, nnx.Module):
        return jax.eval_shape(lambda *args: call(layer, *args), *args)
    graph, variables = nnx.split(layer)
    return jax.eval_shape(lambda variables, *args: call(nnx.merge(graph, variables), *args), variables, *args)


def shape_after(layer: Any, state: State, x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """The shape of what a cell or network puts out in one step."""
    steps = next((cell.T for _, cell in whole_sequence_cells(layer)), None)
    if steps is None:
        return shape_of(layer, lambda layer, state, x: layer.step(state, x)[1], state, x)

    def at_once(layer: Any, state: State, x: Array) -> Any:
        if isinstance(layer, Network):
            return layer.propagate(state, Static(x, steps), through_once)[1]
        return through_once((), cell_of(layer), state, Static(x, steps))[1]

    def through_once(path: Any, cell: Cell | Stateless, state: State, xs: Sequence) -> tuple[State, Any]:
        if isinstance(cell, Stateless):
            return state, cell.over_time(xs)
        if isinstance(cell, WholeSequenceCell):
            return cell.steps(state, xs)
        x = jnp.broadcast_to(xs.value, (steps, *xs.value.shape)) if isinstance(xs, Static) else xs
        return state, jax.vmap(lambda x: cell.step(state, x)[1])(x)

    ys = shape_of(layer, at_once, state, x)
    return jax.ShapeDtypeStruct(ys.shape[1:], ys.dtype)


def whole_sequence_cells(layer: Any) -> Iterator[tuple[str, WholeSequenceCell]]:
    """The cells in `layer` that take their whole sequence at once, with their names."""
    if isinstance(layer, nnx.Module):
        for path, module in nnx.iter_modules(layer):
            cell = cell_of(module)
            if isinstance(cell, WholeSequenceCell):
                yield name_of(path), cell


def name_of(path: tuple[Any, ...]) -> str:
    """The name of a layer, from its path in the module."""
    return ".".join(str(part) for part in path if part != "layers")


class Container(nnx.Module):
    """Base of networks: makes `propagate` of an NNX module a pure function of its variables."""

    def propagate(self, state: State, xs: Sequence, through: Through) -> tuple[State, Array]:
        """Takes `xs` through every layer, leaving each cell's way through time to `through`."""
        raise NotImplementedError(f"{type(self).__name__} must define `propagate(self, state, xs, through)`")

    def pure(self) -> tuple[Propagate, Any, Callable[[Any], None]]:
        """`propagate` with the variables that a forward pass may change (statistics, random streams) as an argument.

        Returns:
            The pure function, the variables it starts from, and a function that writes back those that changed.
        """
        graph, params, variables = nnx.split(self, nnx.Param, ...)
        changed: set[Any] = set()

        def propagate(variables: Any, state: State, xs: Sequence, through: Through) -> tuple[Any, State, Sequence]:
            before = {path: variable[...] for path, variable in nnx.to_flat_state(variables)}
            net = nnx.merge(graph, params, variables, copy=True)
            state, ys = net.propagate(state, xs, through)
            after = nnx.state(net, nnx.Not(nnx.Param))
            changed.update(path for path, new in nnx.to_flat_state(after) if new[...] is not before[path])
            return after, state, ys

        def restore(after: Any) -> None:
            now = [(path, value) for path, value in nnx.to_flat_state(after) if path in changed]
            nnx.update(self, nnx.from_flat_state(now))

        return propagate, variables, restore

    def slow_in_loop(self, platform: str) -> str | None:
        """Names a convolution, whose weight gradient XLA computes slowly in loops on CPU (jax-ml/jax#12868)."""
        for path, module in nnx.iter_modules(self):
            if platform == "cpu" and isinstance(module, nnx.Conv | nnx.ConvTranspose):
                kind = type(module).__name__
                return f"layer {name_of(path)} ({kind}): in a loop XLA on CPU computes its weight gradient far slower"
        return None

    def whole_sequence_reason(self) -> str | None:
        """Names a cell that takes its whole sequence at once, or a BatchNorm whose statistics depend on the chunk."""
        for name, cell in whole_sequence_cells(self):
            return f"layer {name}: {cell.whole_sequence_reason()}"
        for path, module in nnx.iter_modules(self):
            if isinstance(module, nnx.BatchNorm) and not module.use_running_average:
                name = name_of(path)
                return f"layer {name} (BatchNorm, train mode) takes its statistics over a chunk, so over all steps"
        return None
