"""One layer of a network: its state, its shape, one step of it, and its way through a chunk of time."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.nn.cell_module import Layer, as_given
from spikejax.sequence import Sequence, Static, apply_at_once, is_sequence
from spikejax.typing import (
    Array,
    Cell,
    LayerVisitor,
    Network,
    ParallelCell,
    Path,
    PureNetwork,
    PyTree,
    State,
    Stateless,
    StepLimited,
    StepLimits,
)


def apply(layer: Callable[..., Array], name: str, *xs: Array) -> Array:
    """`layer(*xs)` for batches `[N, *]`, with the layer named when it refuses them."""
    try:
        return layer(*xs)
    except (TypeError, ValueError) as error:
        kind = getattr(layer, "__name__", type(layer).__name__)
        shapes = " and ".join(str(jnp.shape(x)) for x in xs)
        raise ValueError(f"layer {name} ({kind}) refused an input of shape {shapes}: {error}") from error


def init_layer(
    layer: Layer, index: int, inputs: tuple[jax.ShapeDtypeStruct, ...], dtype: DTypeLike, key: Array | None
) -> tuple[State, jax.ShapeDtypeStruct]:
    """The state of the layer at `index` before the first step, empty for a stateless one, and its output's shape."""
    if not isinstance(layer, Cell):
        return (), shape_of(layer, lambda layer, *xs: apply(layer, str(index), *xs), *inputs)
    state = layer.init_state(inputs[0].shape, dtype, key=None if key is None else jax.random.fold_in(key, index))
    return state, shape_after(layer, state, inputs[0])


def step_layer(layer: Layer, index: int, state: State, *inputs: Array) -> tuple[State, Array]:
    """One step of the layer at `index`."""
    return layer.step(state, inputs[0]) if isinstance(layer, Cell) else ((), apply(layer, str(index), *inputs))


def propagate_layer(
    layer: Layer, index: int, state: State, visitor: LayerVisitor, path: Path, *inputs: Sequence
) -> tuple[State, Sequence]:
    """Shows the layer at `index` of the network at `path` to a visitor; see `spikejax.typing.Network`."""
    path = (*path, index)
    if isinstance(layer, Network):
        return layer.propagate(state, inputs[0], visitor, path)
    if not isinstance(layer, Cell):
        over_time = partial(apply_at_once, partial(apply, layer, str(index)))
        return (), visitor.stateless(path, Stateless(layer, over_time), *inputs)
    return visitor.cell(path, as_given(layer), state, inputs[0])


def shape_of(layer: Layer, call: Callable[..., Any], *args: PyTree) -> Any:
    """The shape of `call(layer, *args)`, without computing it and without touching the layer's variables."""
    if not isinstance(layer, nnx.Module):
        return jax.eval_shape(lambda *args: call(layer, *args), *args)
    graph, variables = nnx.split(layer)
    return jax.eval_shape(lambda variables, *args: call(nnx.merge(graph, variables), *args), variables, *args)


def shape_after(layer: Cell, state: State, x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """The shape of the output of a cell or network in one step."""
    parts = [limits for _, limits in limited_parts(layer) if limits.whole]
    if not parts:
        return shape_of(layer, lambda layer, state, x: layer.step(state, x)[1], state, x)
    steps = next((limits.most for limits in parts if limits.most is not None), 1)

    def first_output(layer: Cell, state: State, x: Array) -> Array:
        visitor, xs = _OutputShape(steps), Static(x, steps)
        if isinstance(layer, Network):
            return layer.propagate(state, xs, visitor)[1].at(0)
        return visitor.cell((), as_given(layer), state, xs)[1].at(0)

    return shape_of(layer, first_output, state, x)


class _OutputShape(LayerVisitor):
    """Gives outputs of the right shape, of cells that take single steps those of the first, at every step."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def cell(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        if isinstance(cell, ParallelCell) and cell.limits().whole:
            return cell.steps(state, xs)
        return state, xs.map(lambda x: cell.step(state, x)[1])

    def stateless(self, path: Path, layer: Stateless, *inputs: Sequence) -> Sequence:
        return layer.over_time(*inputs)

    def loop(self, path: Path, network: PureNetwork, state: State, inputs: PyTree) -> tuple[State, PyTree]:
        first = jax.tree.map(lambda xs: xs.first(1), inputs, is_leaf=is_sequence)
        _, state, ys = network.propagate(network.variables, state, first, self, path)
        return state, jax.tree.map(lambda y: Static(y.at(0), self.steps), ys, is_leaf=is_sequence)

    def reverse(self, path: Path, xs: Sequence) -> Sequence:
        return xs


def limited_parts(layer: object) -> Iterator[tuple[str, StepLimits]]:
    """The step limits of all cells and networks in `layer` that have some, by their names."""
    if isinstance(layer, nnx.Module):
        for path, module in nnx.iter_modules(layer):
            part = as_given(module)
            if isinstance(part, StepLimited) and part.limits() != StepLimits():
                yield name_of_path(path), part.limits()


def name_of_path(path: tuple[Any, ...]) -> str:
    """The name of a layer, from its path in the module."""
    return ".".join(str(part) for part in path if part != "layers")
