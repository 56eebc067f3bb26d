"""A cell whose output comes back to it one step later."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.checks import check_type
from spikejax.nn.cell_module import as_given, as_module
from spikejax.nn.container import Container
from spikejax.nn.layer import apply, shape_after, shape_of
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Cell, LayerVisitor, Network, Path, Shape, State


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


class ElementwiseRecurrent(Container):
    """A cell that sees, with each input, what it put out one step before; itself a cell.

        y[t] = cell(f(x[t], y[t-1]))      y[-1] = 0

    Only `f` and the cell run in the loop over time: put the synapse of the input before it.

    Args:
        cell: a neuron, or a network.
        f: a function or `nnx.Module` of two batches `[N, *]`, the input and the last output, that gives the shape of
            the input.

    Raises:
        TypeError: `cell` is no cell, or `f` is a cell, or neither a module nor a function.
        ValueError: `f` gives another shape; raised by `init_state`.

    SpikingJelly: `ElementWiseRecurrentContainer`, whose code calls f(y, x) where its documentation says f(x, y); it
    keeps y in a hidden attribute.
    """

    def __init__(self, cell: Cell, f: Callable[[Array, Array], Array]) -> None:
        self._adopt(cell, f, "f", "a module or a function of two batches, such as jnp.add")
        self.f = f

    def _adopt(self, cell: Cell, back: object, name: str, kind: str) -> None:
        """Takes the cell, where it and what comes `back` are what they have to be."""
        check_type("cell", cell, Cell, "a cell such as sx.LIF()")
        if isinstance(back, Cell) or not callable(back):
            raise TypeError(f"`{name}` must be {kind}, got {type(back).__name__}")
        self.module = as_module(cell, "cell")

    @property
    def cell(self) -> Any:
        """The cell with the present values of its parameters."""
        return as_given(self.module)

    def current(self, x: Array, y: Array) -> Array:
        """The input of the cell, from an input and the last output `[N, *]`."""
        i = apply(self.f, "f", x, y)
        return i.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else i

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The cell's state before the first step, and an output of 0, for inputs of `shape` `[N, *]`."""
        state = self.module.init_state(shape, dtype, key=key)
        x = jax.ShapeDtypeStruct(shape, dtype)
        y = shape_after(self.module, state, x)
        i = shape_of(self, lambda self, x, y: self.current(x, y), x, y)
        if i.shape != tuple(shape):
            raise ValueError(
                f"what comes back turns an input {tuple(shape)} and an output {y.shape} into {i.shape}: it must give "
                f"the shape of the input"
            )
        return RecurrentState(state, jnp.zeros(y.shape, dtype))

    def step(self, state: RecurrentState, x: Array) -> tuple[RecurrentState, Array]:
        """One step in time, `x` `[N, *]`."""
        inner, y = self.module.step(state.cell, self.current(jnp.asarray(x), state.y))
        return RecurrentState(inner, y.astype(state.y.dtype)), y

    def propagate(
        self, state: RecurrentState, xs: Sequence, visitor: LayerVisitor, path: Path = ()
    ) -> tuple[State, Sequence]:
        """Takes `xs` through; a cell as one cell, and a network so that the visitor sees its layers."""
        if isinstance(self.module, Network):
            return visitor.loop(path, self.pure("propagate_step"), state, xs)
        return visitor.cell(path, self, state, xs)

    def propagate_step(
        self, state: RecurrentState, xs: Sequence, visitor: LayerVisitor, path: Path
    ) -> tuple[State, Sequence]:
        """One step of the network inside."""
        x = Steps(self.current(xs.at(0), state.y)[None])
        inner, ys = self.module.propagate(state.cell, x, visitor, path)
        return RecurrentState(inner, ys.at(0).astype(state.y.dtype)), ys


class Recurrent(ElementwiseRecurrent):
    """A cell that receives its own last output through `feedback`; itself a cell.

        y[t] = cell(x[t] + feedback(y[t-1]))      y[-1] = 0

    Only the feedback runs in the loop over time: put the synapse of the input before it, as in
    `Sequential(nnx.Linear(64, 128), Recurrent(sx.LIF(), nnx.Linear(128, 128)))`, and it stays one large product.

    Args:
        cell: a neuron, or a network.
        feedback: an `nnx.Module` or a function of one batch `[N, *]` that gives the shape of the input: dense,
            convolutional, or elementwise.

    Raises:
        TypeError: `cell` is no cell, or `feedback` is a cell, or neither a module nor a function.
        ValueError: the feedback gives another shape; raised by `init_state`.

    SpikingJelly: `LinearRecurrentContainer` for a dense feedback, there one matrix for [x; y]; it keeps y in a hidden
    attribute.
    """

    def __init__(self, cell: Cell, feedback: Callable[[Array], Array]) -> None:
        self._adopt(
            cell, feedback, "feedback", "a module or a function of one batch, such as nnx.Linear(128, 128, rngs=rngs)"
        )
        self.feedback = feedback

    def current(self, x: Array, y: Array) -> Array:
        """The input of the cell, from an input and the last output `[N, *]`."""
        back = apply(self.feedback, "feedback", y)
        if back.shape != x.shape:
            raise ValueError(
                f"`feedback` turns the output {y.shape} into {back.shape}, but is added to an input of {x.shape}: "
                f"it must give the shape of the input"
            )
        return x + (back.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else back)
