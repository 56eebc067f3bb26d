"""The integrate-and-fire neuron."""

from spikejax.cells.base import Neuron
from spikejax.typing import Array, State


class IF(Neuron):
    """Integrate and fire: a perfect integrator of its input.

        h = v + x

    SpikingJelly's documentation writes dv/dt = v + x; it is dv/dt = x, of which this is a step.

    Args:
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `v_threshold` or `v_reset` is not finite, or `v_reset` >= `v_threshold`.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, section 1.3 without the leak. With the soft
    reset its firing rate is the input, clipped to [0, 1].
    """

    def charge(self, state: State, x: Array) -> State:
        """Adds the input."""
        return state._replace(v=state.v + x)
