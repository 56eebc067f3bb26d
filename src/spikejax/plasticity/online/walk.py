"""One step of a network in which a rule decides how each cell remembers its parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax.lax import stop_gradient

from spikejax.cells import ChargeFireReset
from spikejax.nn.recurrent import Recurrent, RecurrentState
from spikejax.plasticity.online.linear import LINEAR, Synapse
from spikejax.typing import Array, Loop, State, Stateless

Traces = dict[str, Any]
"""What a rule keeps, by the path of the cell."""


class Visit(NamedTuple):
    """One cell at one step.

    Attributes:
        path: where the cell stands, as "0.2".
        cell: the cell with its parameters.
        state: its state before the step, a constant to gradients.
        current: its input `[N, *]`, with the feedback of a recurrent cell.
        synapses: the linear layers that make the current.
        below: path of the cell whose output arrives here, through layers without a state; None for the input.
    """

    path: str
    cell: Any
    state: State
    current: Array
    synapses: list[Synapse]
    below: str | None


TakeStep = Callable[["Walk", Visit], tuple[State, Array]]
"""How a rule takes a cell through a step; it reads `walk.before` and writes `walk.after`."""


class Walk:
    """Takes the layers of a network through one step; the `through` of `Network.propagate`.

    Lives while a step is traced.

    Args:
        take_step: what the rule does with a cell.
        before: what it has kept.
        local: whether no gradient passes from a cell to what follows.

    Attributes:
        after: what the rule keeps for the next step.
        outputs: with `local`, of every neuron, its output over time `[1, N, *]` with and without gradients.
        shared: what the rule tells of one cell to a later one in the same step.
    """

    def __init__(self, take_step: TakeStep, before: Traces, local: bool = False) -> None:
        self.take_step, self.before, self.local = take_step, before, local
        self.after: Traces = {}
        self.outputs: dict[str, tuple[Array, Array]] = {}
        self.shared: dict[str, Any] = {}
        self._last: tuple[Any, Any] = (None, None)  # a linear layer's output over time, and the layer as a synapse
        self._lineage: tuple[Any, str | None] = (None, None)  # an array over time, and the cell that it comes from

    def __call__(self, path: tuple[int, ...], layer: Any, state: State, xs: Any) -> tuple[State, Any]:
        if isinstance(layer, Loop):
            raise ValueError(
                f"`net` cannot learn online: what layers put out comes back to others in {'.'.join(map(str, path))!r}, "
                f"through whole layers: use BPTT(), or Recurrent with one neuron and its feedback"
            )
        below = self._lineage[1] if xs is self._lineage[0] else None
        if isinstance(layer, Stateless):
            ys = layer.over_time(xs)
            synapse = Synapse("feed", layer.layer, xs[0]) if type(layer.layer) in LINEAR else None
            self._last, self._lineage = (ys, synapse), (ys, below)
            return state, ys
        name = ".".join(map(str, path))
        synapses = [self._last[1]] if xs is self._last[0] and self._last[1] is not None else []
        state, y = self._cell(name, layer, state, xs[0], synapses, below)
        ys = y[None]
        if self.local:
            free, ys = ys, stop_gradient(ys)
            if isinstance(layer.cell if isinstance(layer, Recurrent) else layer, ChargeFireReset):
                self.outputs[name] = (free, ys)
        self._lineage = (ys, name)
        return state, ys

    def _cell(
        self, name: str, layer: Any, state: State, x: Array, synapses: list[Synapse], below: str | None
    ) -> tuple[State, Array]:
        """A cell, or the cell inside a recurrent one, with its whole input current."""
        if not isinstance(layer, Recurrent):
            return self.take_step(self, Visit(name, layer, state, x, synapses, below))
        feedback: Any = layer.feedback
        current = layer.current(x, state.y)
        if type(feedback) in LINEAR:
            synapses = [*synapses, Synapse("back", feedback, state.y)]
        inner, y = self.take_step(self, Visit(name, layer.cell, state.cell, current, synapses, below))
        return RecurrentState(inner, y.astype(state.y.dtype)), y
