"""The contracts between the parts of spikejax: what a state, a surrogate, a cell and a network are."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.sequence import PyTree, Sequence

Array: TypeAlias = jax.Array
Shape: TypeAlias = tuple[int, ...]
Path: TypeAlias = tuple[int, ...]
"""The place of a layer: its index in the network, after those of the networks around it."""

State: TypeAlias = PyTree
"""A pytree of arrays, one leaf a state variable: all that a cell carries from one step to the next.

Leaves are `[N, *]`, batch first. What all samples share, such as a random key or the index of the step, is a field of a
named tuple whose class lists it in the attribute `shared`:

    class Counted(NamedTuple):
        v: Array      # [N, *]
        t: Array      # one for all samples

        shared = ("t",)

`run(lengths=...)` stops the batched leaves of a sample where its sequence ends; the shared ones go on.
"""


@runtime_checkable
class Surrogate(Protocol):
    """A Heaviside step forward, a smooth function backward."""

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


@dataclass(frozen=True)
class StepLimits:
    """The number of steps that a cell takes at once, and the reason for it.

    Attributes:
        least: fewest steps of a run.
        most: most steps of a run; None where there is no limit.
        whole: True if all steps of a run must come in one chunk.
        reason: the sentence that says why, without a full stop.
    """

    least: int = 1
    most: int | None = None
    whole: bool = False
    reason: str = ""

    def check(self, steps: int) -> None:
        """Raises ValueError unless `steps`, of a chunk where the cell takes whole sequences, else of a run, will do."""
        if self.most is None or self.least <= steps <= self.most:
            return
        remedy = f"run it over {self.most} steps in one chunk, with chunk=None" if self.whole else "run it over fewer"
        raise ValueError(f"{self.reason}, got {steps}: {remedy}, or build it with T={steps}")


class StepLimited:
    """Base of cells and networks that may need a certain number of steps at once."""

    def limits(self) -> StepLimits:
        """The number of steps that it takes: any, unless a class says otherwise."""
        return StepLimits()


class ParallelCell(StepLimited, ABC):
    """Base of cells that take many steps at once, faster than one after another and with the same result.

    A cell has this contract only by deriving from it. `step` may refuse where `limits` says `whole`.
    """

    @abstractmethod
    def steps(self, state: State, xs: Sequence) -> tuple[State, Sequence]:
        """As `step` repeated: a sequence of inputs to the last state and the sequence of outputs.

        With `lengths`, `run` shows cells that need the whole sequence zeros after the end of a sequence.
        """


@dataclass(frozen=True)
class Stateless:
    """A layer that is a function of its inputs alone, as a network shows it to a visitor.

    Attributes:
        layer: the layer, with the parameters that it has at that moment.
        over_time: the layer on all steps of its input sequences at once.
    """

    layer: Any
    over_time: Callable[..., Sequence]


class PureNetwork(NamedTuple):
    """A network as a pure function of its variables.

    Attributes:
        propagate: `(variables, state, xs, visitor, path)` to the variables after it, the state and the outputs, as
            `Network.propagate`.
        variables: the variables that a forward pass may change, such as running statistics and random streams.
        restore: writes the variables that a call of `propagate` changed back into the network.
    """

    propagate: Callable[[Any, State, PyTree, "LayerVisitor", Path], tuple[PyTree, State, PyTree]]
    variables: PyTree
    restore: Callable[[Any], None]


class LayerVisitor(ABC):
    """Takes the layers of a network through the steps of a chunk: one method for each kind of layer.

    `Network.propagate` calls it layer by layer and hands on what it gives.
    """

    @abstractmethod
    def cell(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        """A cell that is no network: from its state and input to the last state and the output."""

    @abstractmethod
    def stateless(self, path: Path, layer: Stateless, *inputs: Sequence) -> Sequence:
        """A layer without a state, of one or more inputs."""

    @abstractmethod
    def loop(self, path: Path, network: PureNetwork, state: State, inputs: PyTree) -> tuple[State, PyTree]:
        """A part of a network that goes step by step, because its output comes back to it one step later.

        Args:
            path: the place of the network that it is a part of.
            network: takes that part through one step: its inputs and outputs are pytrees of sequences of length 1.
            state: state before the first step.
            inputs: a pytree of sequences.

        Returns:
            The last state, and the outputs of all steps, a pytree of sequences.
        """

    @abstractmethod
    def reverse(self, path: Path, xs: Sequence) -> Sequence:
        """The same steps in reverse order, of all steps of the run at once."""


@dataclass(frozen=True)
class Profile:
    """Facts about a network that decide how it runs over time.

    Attributes:
        whole: the reason to run all steps in one chunk, because a layer needs them all or its outputs depend on the
            chunk; None if there is none.
        slow_in_loop: the reason why its layers are slow in a loop over chunks; None if they are not.
        encodes: True if its first cell is an encoder, which makes T times as much of a static input.
        hoist: applies the stateless layers before the first cell to a static input `[N, *]`, and gives the result and
            the rest of the network; None if it has to run as it is.
    """

    whole: str | None = None
    slow_in_loop: str | None = None
    encodes: bool = False
    hoist: "Callable[[Array], tuple[Array, Network]] | None" = None


@runtime_checkable
class Network(Cell, Protocol):
    """A cell made of cells, which can run layer by layer over several steps at once."""

    def propagate(self, state: State, xs: Sequence, visitor: LayerVisitor, path: Path = ()) -> tuple[State, Sequence]:
        """Takes `xs` through every layer by the methods of `visitor`.

        Args:
            state: state before the first of the steps.
            xs: input of the steps.
            visitor: takes each layer through them.
            path: place of the network itself in the one around it.

        Returns:
            The state after the last of the steps, and the outputs.
        """
        ...

    def pure(self) -> PureNetwork:
        """`propagate` as a pure function of the variables that it may change."""
        ...

    def profile(self, platform: str) -> Profile:
        """Facts for the planner; `platform` is a name of `jax.default_backend()`."""
        ...


def batched(state: State) -> Any:
    """A pytree of booleans like `state`: True for leaves `[N, *]`, False for those that all samples share."""
    return jax.tree.map(_batched_fields, state, is_leaf=_is_named_tuple)


def _is_named_tuple(node: object) -> bool:
    return isinstance(node, tuple) and hasattr(node, "_fields")


def _batched_fields(node: PyTree) -> Any:
    """`batched` of a leaf, which is True, or of a named tuple, whose class says what is shared."""
    if not _is_named_tuple(node):
        return True
    shared = getattr(node, "shared", ())
    fields = node._asdict().items()
    return node._replace(
        **{name: jax.tree.map(lambda _: False, field) if name in shared else batched(field) for name, field in fields}
    )
