"""Neurons that stand for a rectifier: their firing rate is its value, clipped to what they can fire."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from spikejax.cells import Neuron
from spikejax.pytree import check
from spikejax.typing import Array, Shape, State


class RateIF(Neuron):
    """Integrate and fire with soft reset, whose membrane may start above 0, and which may fire more than once a step.

        h = v + x        s = min(max(floor(h / v_threshold), 0), burst)        v = h - s v_threshold

    Over T steps of a constant input a its rate is a to within v_threshold / T, where a lies in [0, burst v_threshold].

    Args:
        v_init: membrane to start from, as a share of the threshold, within [0, 1): 0.5 rounds the rate to the nearest
            multiple of 1 / T instead of down.
        burst: most spikes of one step, an integer >= 1.
        v_threshold: potential of one spike, > 0.
        v_reset: None, the soft reset.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: what gradients see of the threshold.

    Raises:
        ValueError: an argument leaves its range, or `v_reset` is not None.

    Source: Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks for
    image classification", 2017, eqs. 3-5; v_init: Bu et al., "Optimal ANN-SNN conversion for high-accuracy and
    ultra-low-latency spiking neural networks", 2022; burst: Li and Zeng, "Efficient and accurate conversion of spiking
    neural network with burst spikes", 2022.
    """

    v_init: float | Array = 0.0
    burst: int = 1
    v_reset: None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def validate(self) -> None:
        """Raises ValueError unless 0 <= v_init < 1, burst >= 1, v_threshold > 0 and the reset is soft."""
        super().validate()
        check("v_init", self.v_init, lambda share: (share >= 0) & (share < 1), "within [0, 1)", "of the threshold")
        check("burst", self.burst, lambda n: (n >= 1) & (n == np.floor(n)), "an integer >= 1")
        check("v_threshold", self.v_threshold, lambda v: v > 0, "> 0")
        if self.v_reset is not None:
            raise ValueError(f"`v_reset` must be None, the soft reset, got {self.v_reset!r}")

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The membrane before the first step, `v_init` times the threshold."""
        state = super().init_state(shape, dtype)
        start = jnp.asarray(self.v_init, dtype) * self.v_threshold
        return state._replace(v=jnp.broadcast_to(start, shape).astype(dtype))

    def charge(self, state: State, x: Array) -> State:
        """Adds the input."""
        return state._replace(v=state.v + x)

    def fire(self, h: State) -> Array:
        """The number of spikes, each with the surrogate of its own threshold."""
        return sum(self.surrogate(h.v - n * self.v_threshold) for n in range(1, self.burst + 1))  # pyright: ignore[reportReturnType]


class SignedState(NamedTuple):
    """The state of `SignedIF`.

    Attributes:
        v: membrane potential `[N, *]`.
        fired: spikes fired so far, negative ones subtracted `[N, *]`.
    """

    v: Array
    fired: Array


class SignedIF(RateIF):
    """`RateIF` that takes back spikes which came too early: where it has fired before, it may fire -1.

        h = v + x
        s = as RateIF, or -1 where h < 0 and fired > 0
        v = h - s v_threshold        fired = fired + s

    In deep networks, whose inputs are uneven over time, a spike too many is corrected by one of the other sign.

    Args:
        v_init: membrane to start from, as a share of the threshold, within [0, 1).
        burst: most spikes of one step, an integer >= 1.
        v_threshold: potential of one spike, > 0.
        v_reset: None, the soft reset.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: what gradients see of the threshold.

    Raises:
        ValueError: an argument leaves its range, or `v_reset` is not None.

    Source: Wang et al., "Signed neuron with memory: towards simple, accurate and high-efficient ANN-SNN conversion",
    2022, eqs. 10-12.
    """

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> SignedState:
        """The membrane before the first step, and no spike."""
        return SignedState(super().init_state(shape, dtype).v, jnp.zeros(shape, dtype))

    def fire(self, h: State) -> Array:
        """Spikes, 1 and more, 0, or -1."""
        return super().fire(h) - ((h.v < 0) & (h.fired > 0))

    def reset(self, h: State, s: Array) -> State:
        """The membrane after the spikes, and their count."""
        return super().reset(h, s)._replace(fired=(h.fired + s).astype(h.fired.dtype))
