"""The contracts between the parts of spikejax: what a state, a surrogate, a cell and a network are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

Array: TypeAlias = jax.Array
Shape: TypeAlias = tuple[int, ...]

State: TypeAlias = Any
"""A pytree of arrays, one leaf a state variable: all that a cell carries from one step to the next."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Static:
    """An input that does not change: `value` `[N, *]` is shown at each of `steps` steps, never copied."""

    value: Array
    steps: int = field(metadata={"static": True})


Sequence: TypeAlias = Array | Static
"""The input of several steps: an array `[T, N, *]`, time first, or a `Static`."""


@dataclass(frozen=True)
class Stateless:
    """A layer that is a function of its input alone, as a network shows it to its driver.

    Attributes:
        layer: the layer, with the parameters that it has at that moment.
        over_time: the layer on all steps at once.
    """

    layer: Any
    over_time: Callable[[Any], Sequence]


@dataclass(frozen=True)
class Loop:
    """A part of a network that goes step by step, because what it puts out comes back to it one step later.

    Attributes:
        pure: as `Network.pure`, of a way through the part for one step at a time, whose input and output are sequences
            of length 1, or pytrees of them.
    """

    pure: "Callable[[], tuple[Propagate, Any, Callable[[Any], None]]]"


@dataclass(frozen=True)
class Reverse:
    """The last step first: turns each sequence around, all of its steps at once."""


Through: TypeAlias = Callable[[tuple[int, ...], "Cell | Stateless | Loop | Reverse", State, Any], tuple[State, Any]]
"""How the driver takes one layer through time: `(path, layer, state, xs) -> (state, ys)`.

A `Stateless` layer may have several inputs, a tuple of sequences; a `Loop` has any pytree of them.
"""


@runtime_checkable
class Surrogate(Protocol):
    """A Heaviside step forward, a smooth stand-in backward."""

    def __call__(self, u: Array) -> Array:
        """Spikes of `u` (membrane minus threshold), same shape and dtype."""
        ...

    def derivative(self, u: Array) -> Array:
        """The slope that gradients see at `u`."""
        ...

    def primitive(self, u: Array) -> Array:
        """The function whose derivative is `derivative`."""
        ...


@runtime_checkable
class Cell(Protocol):
    """A pure unit of computation in time: a neuron, an encoder, or a whole network of them."""

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step, for inputs of `shape` `[N, *]`; `key` feeds random cells."""
        ...

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step: input `x` `[N, *]` to the next state and the output `[N, *]`."""
        ...


@runtime_checkable
class ParallelCell(Cell, Protocol):
    """A cell that takes many steps at once, faster than one after another and with the same result."""

    def steps(self, state: State, xs: Sequence) -> tuple[State, Array]:
        """As `step` repeated: inputs `[T, N, *]` or static, to the last state and the outputs `[T, N, *]`."""
        ...


@runtime_checkable
class WholeSequenceCell(ParallelCell, Protocol):
    """A cell whose output at one step may depend on any other: it takes the `T` steps it was built for at once.

    With `lengths`, `run` shows it zeros after the end of a sequence.
    """

    T: int

    def whole_sequence_reason(self) -> str:
        """Why all steps must run in one chunk."""
        ...


@runtime_checkable
class BoundedCell(ParallelCell, Protocol):
    """A cell that has parameters of its own for each of its first steps, and so only so many."""

    def check_steps(self, steps: int) -> None:
        """Raises `ValueError` where a run of `steps` steps is longer than the cell was built for."""
        ...


@runtime_checkable
class LinearCell(Cell, Protocol):
    """A cell whose state is linear in the one before, elementwise: `state[t] = a[t] state[t-1] + b[t]`.

    Nothing that the cell puts out may feed back, so that all states follow from one associative scan. Its step is
    `state = a state + b`, `out = fire(state)`.
    """

    def coefficients(self, x: Array) -> tuple[State, State]:
        """`a` and `b` for an input `x` `[N, *]`: of the state's structure, each leaf broadcasting to the state's."""
        ...

    def fire(self, h: State) -> Array:
        """The output of a state."""
        ...


@runtime_checkable
class Network(Cell, Protocol):
    """A cell made of cells, which can run layer by layer over several steps at once."""

    def propagate(self, state: State, xs: Sequence, through: Through) -> tuple[State, Sequence]:
        """Takes `xs` through every layer, leaving each cell's way through time to `through`."""
        ...

    def hoist(self, x: Array) -> tuple[Array, "Network"]:
        """Applies the stateless layers before the first cell to `x`; returns the result and what is left."""
        ...

    def pure(self) -> "tuple[Propagate, Any, Callable[[Any], None]]":
        """`propagate` as a pure function, the variables it changes, and what writes them back."""
        ...

    def encodes(self) -> bool:
        """Whether its first cell is an encoder, which makes T times as much of a static input."""
        ...

    def slow_in_loop(self, platform: str) -> str | None:
        """Why its layers are slow in a loop over chunks on `platform`, where they are; else None."""
        ...

    def whole_sequence_reason(self) -> str | None:
        """Why all steps should run in one chunk, where the outputs depend on the chunk; else None."""
        ...


Propagate: TypeAlias = Callable[[Any, State, Sequence, Through], tuple[Any, State, Sequence]]
"""`propagate` of a network whose variables are an argument: `(variables, state, xs, through)`."""
