"""Synapses with a memory of their own."""

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset, Membrane
from spikejax.checks import check_tau
from spikejax.pytree import ARRAYS, make_parameter
from spikejax.typing import Array, State

DEFAULT_TAU = 100.0
"""The time constant of a filter that is given none, in steps."""


class SynapseFilter(ChargeFireReset):
    """A current that decays between spikes; a cell without a neuron, elementwise.

        I[t] = I[t-1] - (1 - s[t]) I[t-1] / tau + s[t]        output I[t]

    tau dI/dt = -I, to which every spike adds 1; at the step of a spike it does not decay. Behind a linear layer it
    filters currents, before one it lets neurons act longer than a step. A number is the time constant; an array is
    where it starts from, and is trained as w with 1 / tau = s(w), s the logistic function, so that tau stays > 1.

    Args:
        tau: time constant in steps, > 1, 100 where neither is given; an array has one a feature, or shape () for all.
        w: the trained parameter, in place of `tau`.

    Raises:
        ValueError: `tau` <= 1, `w` is not finite, or both are given.

    Source: Diehl, Cook, "Unsupervised learning of digit recognition using spike-timing-dependent plasticity", 2015;
    SpikingJelly's `SynapseFilter`.
    """

    tau: float | Array | None = None
    w: Array | None = None

    def __post_init__(self) -> None:
        if self.tau is not None and self.w is not None:
            raise ValueError("`tau` and `w` must not both be given: `w` is what an array `tau` is trained as")
        if self.tau is not None:
            check_tau("tau", self.tau, gt=1)
        if isinstance(self.tau, ARRAYS):
            object.__setattr__(self, "w", -jnp.log(jnp.asarray(self.tau, jnp.result_type(float)) - 1))
            object.__setattr__(self, "tau", None)
        if self.w is not None:
            make_parameter(self, "w")
        super().__post_init__()

    @property
    def rate(self) -> float | Array:
        """1 / tau, in 1 / steps."""
        if self.w is not None:
            return jax.nn.sigmoid(self.w)
        return 1 / (DEFAULT_TAU if self.tau is None else self.tau)

    def charge(self, state: State, x: Array) -> State:
        """Decays where there is no spike, and adds the spikes."""
        decay, drive = self._linear(x)
        return Membrane(decay * state.v + drive)

    def fire(self, h: State) -> Array:
        """The current itself."""
        return h.v

    def fired(self, h: State, s: Array) -> Array:
        """Nowhere: the current is no spike."""
        return jnp.zeros(s.shape, bool)

    def reset(self, h: State, s: Array) -> State:
        """Nothing to reset."""
        return h

    def coefficients(self, x: Array) -> tuple[Membrane, Membrane]:
        """The charge as a linear recurrence; see `spikejax.typing.LinearCell`."""
        decay, drive = self._linear(x)
        return Membrane(decay), Membrane(drive)

    def _linear(self, x: Array) -> tuple[Array, Array]:
        return 1 - (1 - x) * self.rate, x
