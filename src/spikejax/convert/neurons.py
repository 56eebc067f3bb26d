"""Neurons in place of rectifiers: their firing rate is the value of the rectifier, clipped to the rates they have."""

import itertools
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells import Neuron
from spikejax.checks import check_number
from spikejax.typing import Array, Shape, State


class _SoftIF(Neuron):
    """Integrates its input, and subtracts the spikes that it fires."""

    v_reset: None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def validate(self) -> None:
        """Raises ValueError unless v_threshold > 0 and the reset is soft."""
        super().validate()
        check_number("v_threshold", self.v_threshold, gt=0)
        if self.v_reset is not None:
            raise ValueError(f"`v_reset` must be None, the soft reset, got {self.v_reset!r}")

    def charge(self, state: State, x: Array) -> State:
        """Adds the input."""
        return state._replace(v=state.v + x)


class RateIF(_SoftIF):
    """Integrate and fire with soft reset; the membrane may start above 0, and fire several spikes a step.

        h = v + x        s = min(max(floor(h / v_threshold), 0), burst)        v = h - s v_threshold

    Over T steps of a constant input a in [0, burst v_threshold] its rate is a to within v_threshold / T.

    Args:
        v_init: initial membrane as a share of the threshold, within [0, 1): 0.5 rounds the rate to the nearest multiple
            of 1 / T instead of down.
        burst: largest number of spikes in one step, an integer >= 1.
        v_threshold: potential of one spike, > 0.
        v_reset: None, the soft reset.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: gradient of the threshold.

    Raises:
        ValueError: an argument leaves its range, or `v_reset` is not None.

    Source: Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks for
    image classification", 2017, eqs. 3-5; v_init: Bu et al., "Optimal ANN-SNN conversion for high-accuracy and
    ultra-low-latency spiking neural networks", 2022; burst: Li and Zeng, "Efficient and accurate conversion of spiking
    neural network with burst spikes", 2022.
    """

    v_init: float | Array = 0.0
    burst: int = 1

    def validate(self) -> None:
        """Raises ValueError unless 0 <= v_init < 1, burst >= 1, v_threshold > 0 and the reset is soft."""
        super().validate()
        check_number("v_init", self.v_init, ge=0, lt=1, remedy="of the threshold")
        check_number("burst", self.burst, ge=1, whole=True)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The membrane before the first step, `v_init` times the threshold."""
        state = super().init_state(shape, dtype)
        start = jnp.asarray(self.v_init, dtype) * self.v_threshold
        return state._replace(v=jnp.broadcast_to(start, shape).astype(dtype))

    @property
    def output_kind(self) -> Literal["spikes", "counts", "analog"]:
        """More than one spike a step is a count."""
        return "counts" if super().output_kind == "spikes" and self.burst > 1 else super().output_kind

    def fire(self, h: State) -> Array:
        """The number of spikes, each with the surrogate of its own threshold."""
        return sum(self.surrogate(h.v - n * self.v_threshold) for n in range(1, self.burst + 1))  # pyright: ignore[reportReturnType]


class MultiThresholdIF(_SoftIF):
    """Integrate and fire of either sign, with spikes of several sizes, each half the one before; soft reset.

        h = v + x
        s = the nearest to h / v_threshold of 0, +-1, +-1/2, ..., +-2^(1 - levels)
        v = h - s v_threshold

    For values of either sign, few of them large: over T steps of a constant input a within +-v_threshold the mean of s
    is a / v_threshold to within 1 / (2 T). The small spikes spread it evenly over time.

    Args:
        levels: number of sizes, an integer >= 1.
        v_threshold: the largest spike, > 0.
        v_reset: None, the soft reset.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: gradient of each threshold.

    Raises:
        ValueError: an argument leaves its range, or `v_reset` is not None.

    Source: Huang et al., "Towards high-performance spiking transformers from ANN to SNN conversion", 2024,
    multi-threshold neuron, there of 2 `levels` thresholds.
    """

    levels: int = 4

    def validate(self) -> None:
        """Raises ValueError unless levels >= 1, v_threshold > 0 and the reset is soft."""
        super().validate()
        check_number("levels", self.levels, ge=1, whole=True)

    @property
    def output_kind(self) -> Literal["analog"]:
        """Fractions of a spike are no counts."""
        return "analog"

    def fire(self, h: State) -> Array:
        """The spike, in multiples of the threshold, each step between two sizes with a surrogate of its own."""
        sizes = [2.0**-k for k in range(self.levels)] + [0.0]
        total = jnp.zeros_like(h.v)
        for size, smaller in itertools.pairwise(sizes):
            edge = 0.5 * (size + smaller) * self.v_threshold
            total = total + (size - smaller) * (self.surrogate(h.v - edge) - self.surrogate(-h.v - edge))
        return total


class SignedState(NamedTuple):
    """The state of `SignedIF`.

    Attributes:
        v: membrane potential `[N, *]`.
        fired: spikes fired so far, negative ones subtracted `[N, *]`.
    """

    v: Array
    fired: Array


class SignedIF(RateIF):
    """`RateIF` that takes back spikes that came too early: once it has fired, it may fire -1.

        h = v + x
        s = as RateIF, or -1 where h < 0 and fired > 0
        v = h - s v_threshold        fired = fired + s

    In deep networks, whose inputs are uneven over time, a surplus spike is corrected by one of the other sign.

    Args:
        v_init: initial membrane as a share of the threshold, within [0, 1).
        burst: largest number of spikes in one step, an integer >= 1.
        v_threshold: potential of one spike, > 0.
        v_reset: None, the soft reset.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: gradient of the threshold.

    Raises:
        ValueError: an argument leaves its range, or `v_reset` is not None.

    Source: Wang et al., "Signed neuron with memory: towards simple, accurate and high-efficient ANN-SNN conversion",
    2022, eqs. 10-12.
    """

    @property
    def output_kind(self) -> Literal["counts", "analog"]:
        """Counts, one less for a spike taken back."""
        return "counts" if super().output_kind != "analog" else "analog"

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> SignedState:
        """The membrane before the first step, and no spike."""
        return SignedState(super().init_state(shape, dtype).v, jnp.zeros(shape, dtype))

    def fire(self, h: State) -> Array:
        """The number of spikes, or -1."""
        return super().fire(h) - ((h.v < 0) & (h.fired > 0))

    def reset(self, h: State, s: Array) -> State:
        """The membrane after the spikes, and their count."""
        return super().reset(h, s)._replace(fired=(h.fired + s).astype(h.fired.dtype))
