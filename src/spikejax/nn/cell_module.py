"""Cells inside Flax NNX modules."""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.pytree import Struct
from spikejax.typing import Array, Cell, Shape, State

Layer = Cell | Callable[..., Array]
"""A cell, a network, an `nnx.Module` or a function of batches `[N, *]`."""


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
        """The state of the cell before the first step."""
        return self.cell.init_state(shape, dtype, key=key)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step of the cell."""
        return self.cell.step(state, x)


def as_module(layer: Layer, name: str) -> Any:
    """A layer as containers store it: a cell in a `CellModule`, everything else as it is.

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


def as_given(layer: object) -> Any:
    """A layer as it was given to a container: a cell with its present parameters, everything else as it is."""
    return layer.cell if isinstance(layer, CellModule) else layer
