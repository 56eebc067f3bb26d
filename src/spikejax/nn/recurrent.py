"""A cell whose output comes back to it one step later."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.nn.adapter import CellModule, adapt, apply, shape_after
from spikejax.typing import Array, Cell, Shape, State


class RecurrentState(NamedTuple):
    """The state of a recurrent cell.

    Attributes:
        cell: state of the cell.
        y: its last output `[N, *]`; 0 before the first step.
    """

    cell: State
    y: Array

    @property
    def v(self) -> Array:
        """Membrane potential of the cell, where it has one, so that `record=("membrane",)` finds it."""
        return self.cell.v


class Recurrent(nnx.Module):
    """A cell that receives its own last output through `feedback`; itself a cell.

        y[t] = cell(x[t] + feedback(y[t-1]))      y[-1] = 0

    Only the feedback runs in the loop over time: put the synapse of the input before it, as in
    `Sequential(nnx.Linear(64, 128), Recurrent(sx.LIF(), nnx.Linear(128, 128)))`, and it stays one large product.

    Args:
        cell: a neuron, whose output has the shape of its input.
        feedback: an `nnx.Module` or a function of one batch `[N, *]` that keeps the shape: dense, convolutional, or
            elementwise. It must be the same at every step: no dropout, no running statistics.

    Raises:
        TypeError: `cell` is no cell, or `feedback` is a cell, or neither a module nor a function.
        ValueError: the feedback changes the shape; raised by `init_state`.

    SpikingJelly: `LinearRecurrentContainer` for a dense feedback, `ElementWiseRecurrentContainer` with the addition;
    both keep y in a hidden attribute.
    """

    def __init__(self, cell: Cell, feedback: Callable[[Array], Array]) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"`cell` must be a cell such as sx.LIF(), got {type(cell).__name__}")
        if isinstance(feedback, Cell) or not callable(feedback):
            raise TypeError(
                f"`feedback` must be a module or a function of one batch, such as nnx.Linear(128, 128, rngs=rngs), "
                f"got {type(feedback).__name__}"
            )
        self.module = adapt(cell, "cell")
        self.feedback = feedback

    @property
    def cell(self) -> Any:
        """The cell with the present values of its parameters."""
        return self.module.cell if isinstance(self.module, CellModule) else self.module

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The cell's state before the first step, and an output of 0, for inputs of `shape` `[N, *]`."""
        state = self.module.init_state(shape, dtype, key=key)
        y = shape_after(self.module, state, jax.ShapeDtypeStruct(shape, dtype))
        back = jax.eval_shape(lambda y: apply(self.feedback, "feedback", y), y)
        if back.shape != tuple(shape):
            raise ValueError(
                f"`feedback` turns the output {y.shape} into {back.shape}, but is added to an input of {tuple(shape)}: "
                f"it must give the shape of the input"
            )
        return RecurrentState(state, jnp.zeros(y.shape, dtype))

    def step(self, state: RecurrentState, x: Array) -> tuple[RecurrentState, Array]:
        """One step in time, `x` `[N, *]`."""
        back = self.feedback(state.y)
        x = jnp.asarray(x)
        current = x + (back.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else back)
        inner, y = self.module.step(state.cell, current)
        return RecurrentState(inner, y.astype(state.y.dtype)), y
