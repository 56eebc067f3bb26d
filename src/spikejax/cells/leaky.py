"""The leaky integrate-and-fire family: LIF, LIF with a learnt time constant, and the leaky read-out."""

from dataclasses import InitVar, field

import jax
import jax.numpy as jnp

from spikejax.cells.base import ChargeFireReset, Membrane, Neuron
from spikejax.checks import check_tau
from spikejax.pytree import make_parameter
from spikejax.typing import Array, State


def leak(v: Array, x: Array, rate: float | Array, v_rest: float | Array, decay_input: bool) -> Array:
    """The leaky membrane's charge.

        h = v + (x - (v - v_rest)) rate      decay_input
        h = v - (v - v_rest) rate + x        not decay_input

    Args:
        v: membrane `[N, *]`.
        x: input `[N, *]`.
        rate: 1 / tau, in 1 / steps.
        v_rest: potential that the membrane decays to.
        decay_input: whether the input is scaled by the rate as well.
    """
    return v + (x - (v - v_rest)) * rate if decay_input else v - (v - v_rest) * rate + x


def leak_coefficients(x: Array, rate: float | Array, decay_input: bool) -> tuple[float | Array, Array]:
    """`leak` towards 0 as `h = decay v + drive`: the pair of decay and drive."""
    return 1 - rate, x * rate if decay_input else x


class LIF(Neuron):
    """Leaky integrate and fire.

        h = v + (x - (v - v_reset)) / tau      decay_input=True
        h = v - (v - v_reset) / tau + x        decay_input=False

    With the soft reset (`v_reset=None`) the membrane decays to 0.

    Args:
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too, so that a constant input x settles at v = x.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, and rest; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `tau` <= 1.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, eq. 1.5, in forward Euler steps; as
    SpikingJelly's LIFNode. NIR's LIF is this with r = 1, v_leak = v_reset and decay_input=True.
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


class ParametricLIF(Neuron):
    """LIF whose time constant is learnt through the logistic function s.

        1 / tau = s(w)
        h = v + (x - (v - v_reset)) s(w)      decay_input=True
        h = v - (v - v_reset) s(w) + x        decay_input=False

    Args:
        init_tau: time constant to start from, in steps, > 1: a number, or an array for one a neuron; used only
            where `w` is not given: w = -ln(init_tau - 1).
        w: the learnt parameter, always an array.
        decay_input: True scales the input by s(w) too.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, and rest; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `init_tau` <= 1, or `w` is not finite.

    Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
    Networks", 2021, eq. 8.
    """

    init_tau: InitVar[float | Array] = 2.0
    w: Array = field(default=None)  # pyright: ignore[reportAssignmentType]
    decay_input: bool = True

    def __post_init__(self, init_tau: float | Array) -> None:
        if self.w is None:
            check_tau("init_tau", init_tau, gt=1)
            object.__setattr__(self, "w", -jnp.log(jnp.asarray(init_tau, jnp.result_type(float)) - 1))
        make_parameter(self, "w")
        super().__post_init__()

    @property
    def tau(self) -> Array:
        """The time constant that `w` stands for, in steps."""
        return 1 / jax.nn.sigmoid(self.w)

    def charge(self, state: State, x: Array) -> State:
        """Leaks at the learnt rate and adds the input."""
        rate = jax.nn.sigmoid(self.w)
        return state._replace(v=leak(state.v, x, rate, self.v_rest, self.decay_input))


class LeakyIntegrator(ChargeFireReset):
    """A membrane without spikes: the read-out of regression, and of reinforcement learning.

        v = v + (x - v) / tau      decay_input=True
        v = v - v / tau + x        decay_input=False
        output = v

    Args:
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too.

    Raises:
        ValueError: `tau` <= 1.

    Source: LIF of "Neuronal Dynamics", 2014, eq. 1.5, with an infinite threshold; SpikingJelly's NonSpikingLIFNode.
    """

    tau: float | Array = 2.0
    decay_input: bool = True

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1."""
        check_tau("tau", self.tau, gt=1)

    def charge(self, state: State, x: Array) -> State:
        """Leaks and adds the input."""
        return state._replace(v=leak(state.v, x, 1 / self.tau, 0.0, self.decay_input))

    def fire(self, h: State) -> Array:
        """The membrane itself."""
        return h.v

    def fired(self, h: State, s: Array) -> Array:
        """Nowhere: the membrane is no spike."""
        return jnp.zeros(s.shape, bool)

    def reset(self, h: State, s: Array) -> State:
        """Nothing to reset."""
        return h

    def coefficients(self, x: Array) -> tuple[Membrane, Membrane]:
        """The charge as a linear recurrence; see `spikejax.typing.LinearCell`."""
        decay, drive = leak_coefficients(x, 1 / self.tau, self.decay_input)
        return Membrane(jnp.asarray(decay, x.dtype)), Membrane(drive)
