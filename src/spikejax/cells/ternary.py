"""Neurons that fire 1, 0 or -1."""

from typing import Literal

import jax
import numpy as np
from jax.core import Tracer

from spikejax.cells.base import Neuron
from spikejax.cells.leaky import leak
from spikejax.checks import check_elements, check_number, check_tau
from spikejax.typing import Array, State


class TernaryNeuron(Neuron):
    """Base of the neurons with a threshold on either side; a model writes `charge`.

        s = P - N,   P = Theta(h - v_threshold),   N = Theta(-h - v_threshold)
        v = (1 - P - N) h + (P + N) v_reset      hard reset: v_reset is a number
        v = h - s v_threshold                    soft reset: v_reset is None

    Args:
        v_threshold: potential at which the neuron fires 1, > 0; it fires -1 at its negative.
        v_reset: potential after a spike, within the thresholds; None subtracts or adds the threshold.

    Raises:
        ValueError: `v_threshold` <= 0, or `v_reset` is not within the thresholds.
    """

    def validate(self) -> None:
        """Raises ValueError unless the thresholds stand on either side of 0 and of `v_reset`."""
        check_number("v_threshold", self.v_threshold, gt=0, remedy="the neuron fires -1 at -v_threshold")
        super().validate()
        if self.v_reset is not None and not isinstance(self.v_threshold, Tracer):
            lowest = -np.asarray(self.v_threshold)
            check_elements("v_reset", self.v_reset, lambda v: v > lowest, f"> -v_threshold, {self.v_threshold!r}")

    @property
    def output_kind(self) -> Literal["counts", "analog"]:
        """The kind of the output: the integers from -1 to 1."""
        return "counts" if super().output_kind == "spikes" else "analog"

    def fire(self, h: State) -> Array:
        """Spikes, -1, 0 or 1, of the charged membrane."""
        return self.surrogate(h.v - self.v_threshold) - self.surrogate(-h.v - self.v_threshold)

    def reset(self, h: State, s: Array) -> State:
        """The membrane after the spikes `s`."""
        if self.v_reset is None:
            return super().reset(h, s)
        # The sum P + N, not |s|, whose slope at s = 0 would hide that of the thresholds.
        fired = self.surrogate(h.v - self.v_threshold) + self.surrogate(-h.v - self.v_threshold)
        if self.detach_reset:
            fired = jax.lax.stop_gradient(fired)
        return h._replace(v=((1 - fired) * h.v + fired * self.v_reset).astype(h.v.dtype))


class TernaryIF(TernaryNeuron):
    """Integrate and fire with spikes of both signs.

        h = v + x
        s = Theta(h - v_threshold) - Theta(-h - v_threshold)
        v = (1 - |s|) h + |s| v_reset      hard reset: v_reset is a number
        v = h - s v_threshold              soft reset: v_reset is None

    Args:
        v_threshold: potential at which the neuron fires 1, > 0; it fires -1 at its negative.
        v_reset: potential after a spike, within the thresholds; None subtracts or adds the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: what gradients see of each threshold.

    Raises:
        ValueError: `v_threshold` <= 0, or `v_reset` is not within the thresholds.

    Source: Guo et al., "Ternary Spike: Learning Ternary Spikes for Spiking Neural Networks", 2024, eq. 8, with both
    resets of SpikingJelly's TernaryIFNode.
    """

    def charge(self, state: State, x: Array) -> State:
        """Adds the input."""
        return state._replace(v=state.v + x)


class TernaryLIF(TernaryNeuron):
    """Leaky integrate and fire with spikes of both signs.

        h = v + (x - (v - v_reset)) / tau      decay_input=True
        h = v - (v - v_reset) / tau + x        decay_input=False
        s = Theta(h - v_threshold) - Theta(-h - v_threshold)
        v = (1 - |s|) h + |s| v_reset          hard reset: v_reset is a number
        v = h - s v_threshold                  soft reset: v_reset is None

    Args:
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too.
        v_threshold: potential at which the neuron fires 1, > 0; it fires -1 at its negative.
        v_reset: potential after a spike, and rest, within the thresholds; None subtracts or adds the threshold.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: what gradients see of each threshold.

    Raises:
        ValueError: `tau` <= 1, `v_threshold` <= 0, or `v_reset` is not within the thresholds.

    Source: Guo et al., "Ternary Spike: Learning Ternary Spikes for Spiking Neural Networks", 2024, eq. 7, 8 (tau =
    4 / 3, decay_input=False, v_reset=0.0), with both resets of SpikingJelly's TernaryLIFNode.
    """

    tau: float | Array = 2.0
    decay_input: bool = True

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1 and the thresholds are in order."""
        super().validate()
        check_tau("tau", self.tau, gt=1)

    def charge(self, state: State, x: Array) -> State:
        """Leaks and adds the input."""
        return state._replace(v=leak(state.v, x, 1 / self.tau, self.v_rest, self.decay_input))
