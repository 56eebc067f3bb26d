"""A neuron whose threshold adapts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.leaky import LIF
from spikejax.checks import check_number, check_tau
from spikejax.typing import Array, Shape, State


class AdaptiveThreshold(NamedTuple):
    """The state of a neuron whose threshold adapts.

    Attributes:
        v: membrane potential `[N, *]`, in units of the threshold.
        b: what recent spikes have added to the threshold, over beta `[N, *]`.
    """

    v: Array
    b: Array


class ALIF(LIF):
    """LIF with an adaptive threshold, which every spike raises: the neuron of long short-term memory SNNs (LSNN).

        h.v = v + (x - (v - v_reset)) / tau        decay_input=True
        h.v = v - (v - v_reset) / tau + x          decay_input=False
        s   = Theta(h.v - theta),   theta = v_threshold + beta b
        v   = h.v - s theta                        soft reset; the hard reset goes to v_reset
        b   = (1 - 1 / tau_a) b + s / tau_a

    The soft reset, here the default, subtracts the adapted threshold.

    Args:
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too.
        tau_a: time constant of the threshold in steps, > 1.
        beta: how far the threshold rises, finite; >= 0 for adaptation.
        v_threshold: threshold at rest.
        v_reset: potential after a spike, and rest; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset of both variables.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `tau` or `tau_a` <= 1, or `beta` is not finite.

    Source: Bellec, Salaj, Subramoney, Legenstein, Maass, "Long short-term memory and learning-to-learn in networks of
    spiking neurons", 2018, eq. 1, 2 and 5, with 1 - 1 / tau for the paper's exp(-1 / tau). SpikingJelly and NIR have
    none.
    """

    tau: float | Array = 20.0
    tau_a: float | Array = 200.0
    beta: float | Array = 1.7
    v_reset: float | Array | None = None

    def validate(self) -> None:
        """Raises ValueError unless the time constants are > 1 and all else is finite."""
        super().validate()
        check_tau("tau_a", self.tau_a, gt=1)
        check_number("beta", self.beta)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: `v` at rest, the threshold not raised."""
        return AdaptiveThreshold(v=super().init_state(shape, dtype).v, b=jnp.zeros(shape, dtype))

    def fire(self, h: State) -> Array:
        """Spikes, 0 or 1, at the adapted threshold."""
        return self.surrogate(h.v - self.v_threshold - self.beta * h.b)

    def reset(self, h: State, s: Array) -> State:
        """The membrane and the threshold after the spikes `s`."""
        if self.detach_reset:
            s = jax.lax.stop_gradient(s)
        theta = self.v_threshold + self.beta * h.b
        v = h.v - s * theta if self.v_reset is None else (1 - s) * h.v + s * self.v_reset
        b = h.b + (s - h.b) / self.tau_a
        return h._replace(v=v.astype(h.v.dtype), b=b.astype(h.b.dtype))
