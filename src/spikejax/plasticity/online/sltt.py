"""The rule that remembers nothing."""

from spikejax.plasticity.online.rule import LocalRule
from spikejax.plasticity.online.step import CellInput, OnlineStep
from spikejax.typing import Array, State


class SLTT(LocalRule):
    """Spatial learning through time: the gradient of each step alone, with the past as a constant.

        dL/dW = 1/T sum over t of dloss[t]/dI[t] dI[t]/dW,   P = 0

    Nothing is carried from step to step. The share of a neuron's memory of earlier steps in the gradient is left out.
    Takes networks of any wiring and layers of any kind.

    Source: Meng, Xiao, Yan, Wang, Lin, Luo, "Towards Memory- and Time-Efficient Backpropagation for Training Spiking
    Neural Networks", 2023; without the random choice of steps of SLTT-K.
    """

    remembers = False

    def take(self, step: OnlineStep, at: CellInput) -> tuple[State, Array]:
        """The step itself."""
        return at.cell.step(at.state, at.current)
