"""LIF with a learnt slope of the membrane."""

from dataclasses import field

import jax

from spikejax.cells.leaky import LIF, leak
from spikejax.checks import check_number
from spikejax.pytree import make_parameter
from spikejax.typing import Array, State


class KLIF(LIF):
    """LIF whose membrane is scaled by a learnt k and rectified before the threshold.

        h = relu(k (v + (x - (v - v_reset)) / tau))      decay_input=True
        h = relu(k (v - (v - v_reset) / tau + x))        decay_input=False
        v = (1 - s) h + s v_reset                        scale_reset=False, hard reset
        v = h - s v_threshold                            scale_reset=False, soft reset
        v = (1 - s) h / k + s v_reset                    scale_reset=True, hard reset
        v = (h - s v_threshold) / k                      scale_reset=True, soft reset

    The soft reset works with both scalings; in SpikingJelly before 0.0.0.0.15 it raises an error.

    Args:
        k: the learnt slope, > 0 at first, always an array.
        scale_reset: True divides the membrane by k again in the reset.
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, and rest; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `k` <= 0 or not finite, or `tau` <= 1.

    Source: Jiang, Zhang, "KLIF: An optimized spiking neuron unit for tuning surrogate gradient slope and membrane
    potential", 2023, eq. 8 to 12.
    """

    k: Array = field(default=1.0)  # pyright: ignore[reportAssignmentType]
    scale_reset: bool = False

    def __post_init__(self) -> None:
        make_parameter(self, "k")
        super().__post_init__()

    def validate(self) -> None:
        """Raises ValueError unless `k` > 0 and the other parameters are in range."""
        super().validate()
        check_number("k", self.k, gt=0, remedy="the threshold would not be reached from below")

    def charge(self, state: State, x: Array) -> State:
        """Leaks, adds the input, scales and rectifies."""
        v = leak(state.v, x, 1 / self.tau, self.v_rest, self.decay_input)
        return state._replace(v=jax.nn.relu(self.k * v))

    def reset(self, h: State, s: Array) -> State:
        """The membrane after the spikes `s`."""
        if not self.scale_reset:
            return super().reset(h, s)
        if self.detach_reset:
            s = jax.lax.stop_gradient(s)
        v = (h.v - s * self.v_threshold) / self.k
        if self.v_reset is not None:
            v = (1 - s) * h.v / self.k + s * self.v_reset
        return h._replace(v=v.astype(h.v.dtype))
