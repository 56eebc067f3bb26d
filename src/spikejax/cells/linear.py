"""LIF without a reset: a linear recurrence, and a threshold that looks at it."""

import jax.numpy as jnp

from spikejax.cells.base import ChargeFireReset, Membrane, check_surrogate
from spikejax.cells.leaky import leak, leak_coefficients
from spikejax.checks import check_number, check_tau
from spikejax.surrogate import Sigmoid
from spikejax.typing import Array, State, Surrogate


class LinearLIF(ChargeFireReset):
    """Leaky integrate and fire without a reset: spikes do not feed back, so time can be computed in parallel.

        v[t] = v[t-1] + (x[t] - v[t-1]) / tau      decay_input=True
        v[t] = v[t-1] - v[t-1] / tau + x[t]        decay_input=False
        s[t] = Theta(v[t] - v_threshold)

    The membrane is linear in its past: `run(method="associative")` computes all steps in about log2(T) stages. A
    neuron far above its threshold fires at every step until the leak brings it back.

    Args:
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too, so that a constant input x settles at v = x.
        v_threshold: potential at which the neuron fires.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `tau` <= 1, or `v_threshold` is not finite.
        TypeError: a field is neither a number nor an array, or `surrogate` is no surrogate.

    Source: Fang et al., "Parallel Spiking Neurons with High Efficiency and Ability to Learn Long-term Dependencies",
    2023: the neuron without reset that the parallel neurons start from.
    """

    tau: float | Array = 2.0
    decay_input: bool = True
    v_threshold: float | Array = 1.0
    surrogate: Surrogate = Sigmoid()

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1 and the threshold is finite, TypeError for a wrong surrogate."""
        check_surrogate(self.surrogate)
        check_number("v_threshold", self.v_threshold)
        check_tau("tau", self.tau, gt=1)

    def charge(self, state: State, x: Array) -> State:
        """Leaks and adds the input."""
        return state._replace(v=leak(state.v, x, 1 / self.tau, 0.0, self.decay_input))

    def fire(self, h: State) -> Array:
        """Spikes, 0 or 1, of the membrane."""
        return self.surrogate(h.v - self.v_threshold)

    def reset(self, h: State, s: Array) -> State:
        """Nothing is reset."""
        return h

    def coefficients(self, x: Array) -> tuple[Membrane, Membrane]:
        """The charge as a linear recurrence; see `spikejax.typing.LinearCell`."""
        decay, drive = leak_coefficients(x, 1 / self.tau, self.decay_input)
        return Membrane(jnp.asarray(decay, x.dtype)), Membrane(drive)
