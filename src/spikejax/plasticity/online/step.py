"""One step of a network in which a rule takes each cell through the step."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax.numpy as jnp
from jax.lax import stop_gradient

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import floats
from spikejax.nn.layer import apply
from spikejax.nn.recurrent import ElementwiseRecurrent, Recurrent, RecurrentState
from spikejax.plasticity.online.signal import PureLayer, Signal
from spikejax.sequence import Sequence
from spikejax.typing import Array, Cell, LayerVisitor, Path, PureNetwork, State, Stateless

RuleMemory: TypeAlias = dict[str, Any]
"""Arrays that a rule carries from step to step, by the path of the cell."""


class CellInput(NamedTuple):
    """One cell at one step.

    Attributes:
        path: the place of the cell, as "0.2".
        cell: the cell with its parameters.
        state: its state before the step, a constant to gradients.
        signal: its input, with the feedback of a recurrent cell.
    """

    path: str
    cell: Any
    state: State
    signal: Signal

    @property
    def current(self) -> Array:
        """The input `[N, *]`."""
        return self.signal.value


class CellRule(Protocol):
    """The part of a rule that a step of a network needs.

    Attributes:
        remembers: False if the past is a constant to the rule, so that it takes networks of any wiring.
    """

    remembers: bool

    def take(self, step: "OnlineStep", at: CellInput) -> tuple[State, Array]:
        """Takes one cell through the step; reads `step.before` and writes `step.after`."""
        ...

    def refusal(self, reason: str) -> ValueError:
        """The error for a network whose gradient the rule would not get right."""
        ...


class OnlineStep(LayerVisitor):
    """Takes the layers of a network through one step; lives while the step is traced.

    Args:
        rule: takes each cell through the step.
        before: memory of the rule from the step before; empty at the first.
        local: True if no gradient passes from a cell to what follows.

    Attributes:
        after: memory of the rule for the next step.
        outputs: with `local`, of every neuron, its output with and without gradients.
        eligibilities: influences on the outputs of cells in this step, for rules that use them at a later cell.
    """

    def __init__(self, rule: CellRule, before: RuleMemory, local: bool = False) -> None:
        self.rule, self.before, self.local = rule, before, local
        self.after: RuleMemory = {}
        self.outputs: dict[str, tuple[Array, Array]] = {}
        self.eligibilities: dict[str, Any] = {}

    def _signal(self, path: str, xs: Sequence) -> Signal:
        """The input of a layer; refused where no layer gave it and the rule has to know its origin."""
        if isinstance(xs, Signal):
            return xs
        if self.rule.remembers:
            raise self.rule.refusal(
                f"the input of layer {path} was computed by the network around it and not by a layer: make that "
                f"computation a layer of the network"
            )
        return Signal(xs.at(0), f"{path}.input")

    def stateless(self, path: Path, layer: Stateless, *inputs: Sequence) -> Sequence:
        """The layer itself."""
        name = _name(path)
        return _apply(name, layer.layer, partial(_named, name), *(self._signal(name, xs) for xs in inputs))

    def cell(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        """One step of a cell by the rule; a cell whose state does not change is a layer without one."""
        return self._cell(_name(path), cell, state, self._signal(_name(path), xs))

    def reverse(self, path: Path, xs: Sequence) -> Sequence:
        """Refuses: a network that reads from the end has no single step."""
        raise self.rule.refusal(f"layer {_name(path)} reads the sequence from its end")

    def _cell(self, path: str, cell: Cell, state: State, xs: Signal) -> tuple[State, Signal]:
        if isinstance(cell, ElementwiseRecurrent):
            new, y = self.rule.take(self, CellInput(path, cell.cell, state.cell, _with_feedback(path, cell, state, xs)))
            state = RecurrentState(new, y.astype(state.y.dtype))
        elif isinstance(cell, ChargeFireReset):
            state, y = self.rule.take(self, CellInput(path, cell, state, xs))
        else:
            record = PureLayer.of(path, cell, lambda cell, state, x: cell.step(state, x)[1], state)
            new, y = cell.step(state, xs.value)
            if all(a is b for a, b in zip(floats(new), floats(state), strict=True)):
                return new, Signal.made_by(record.compared(cell, new), y, xs)
            state, y = self.rule.take(self, CellInput(path, cell, state, xs))
        if not self.local:
            return state, Signal(y, path, frozenset((path,)))
        signal = Signal(stop_gradient(y), path, frozenset((path,)))
        if isinstance(cell.cell if isinstance(cell, ElementwiseRecurrent) else cell, ChargeFireReset):
            self.outputs[path] = (y, signal.value)
        return state, signal

    def loop(self, path: Path, network: PureNetwork, state: State, inputs: Any) -> tuple[State, Any]:
        """One step of a loop, for rules that take the past as a constant.

        Raises:
            ValueError: the rule follows the past.
        """
        if self.rule.remembers:
            raise self.rule.refusal(
                f"the outputs of layers come back to others in {_name(path)!r} through whole layers, and not to one "
                f"neuron in a Recurrent"
            )
        variables, state, out = network.propagate(network.variables, state, inputs, self, path)
        network.restore(variables)
        return state, out


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _with_feedback(path: str, cell: ElementwiseRecurrent, state: RecurrentState, x: Signal) -> Signal:
    """The current of a recurrent cell, from its input and its last output."""
    last = Signal(state.y, f"{path}.last")
    if not isinstance(cell, Recurrent):
        return _apply(f"{path}.f", cell.f, lambda f, _, x, y: _in_dtype_of(x, f(x, y)), x, last)
    back = _apply(f"{path}.feedback", cell.feedback, _call, last)
    return _apply(f"{path}.sum", jnp.add, lambda add, _, x, back: add(x, _in_dtype_of(x, back)), x, back)


def _apply(path: str, layer: Callable[..., Array], call: Callable[..., Array], *inputs: Signal) -> Signal:
    """The signal that a layer makes of others by `call(layer, (), *inputs)`."""
    record = PureLayer.of(path, layer, call)
    value = call(layer, (), *(signal.value for signal in inputs))
    return Signal.made_by(record.compared(layer), value, *inputs)


def _call(layer: Callable[..., Array], _: tuple[()], *inputs: Array) -> Array:
    return layer(*inputs)


def _named(path: str, layer: Callable[..., Array], _: tuple[()], *inputs: Array) -> Array:
    """The output of a layer; errors name the layer."""
    return apply(layer, path, *inputs)


def _in_dtype_of(x: Array, value: Array) -> Array:
    return value.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else value
