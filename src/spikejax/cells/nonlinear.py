"""Neurons whose membrane is not linear below the threshold: quadratic and exponential integrate and fire."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.base import Membrane, Neuron, check_broadcast
from spikejax.checks import check_number, check_tau
from spikejax.typing import Array, Shape, State


class RestingNeuron(Neuron):
    """Base of the neurons whose resting potential is a parameter of its own, apart from `v_reset`.

    They start at `v_reset`, or at 0 with the soft reset, as all neurons do.

    Args:
        v_rest: resting potential, finite.

    Raises:
        ValueError: `v_rest` is not finite.
    """

    v_rest: float | Array = 0.0  # pyright: ignore[reportIncompatibleMethodOverride,reportIncompatibleVariableOverride]

    def validate(self) -> None:
        """Raises ValueError unless `v_rest` is finite and the thresholds are in order."""
        super().validate()
        check_number("v_rest", self.v_rest)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: `v` at `v_reset`, or 0 with the soft reset."""
        check_broadcast(self, shape)
        return Membrane(v=first_membrane(self, shape, dtype))


def first_membrane(cell: Neuron, shape: Shape, dtype: DTypeLike) -> Array:
    """`v_reset` for every neuron, or 0 with the soft reset."""
    v = 0.0 if cell.v_reset is None else cell.v_reset
    return jnp.broadcast_to(jnp.asarray(v, dtype), shape)


class QIF(RestingNeuron):
    """Quadratic integrate and fire: above `v_c` the membrane runs away on its own.

        h = v + (x + a0 (v - v_rest) (v - v_c)) / tau

    Args:
        tau: membrane time constant in steps, > 1.
        v_c: critical potential, from which the membrane rises without input; finite.
        a0: curvature, > 0.
        v_rest: resting potential, finite.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `tau` <= 1, `a0` <= 0, or a potential is not finite.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, eq. 5.16, in forward Euler steps; defaults
    as in SpikingJelly's QIFNode, which also demands v_rest >= v_reset.
    """

    tau: float | Array = 2.0
    v_c: float | Array = 0.8
    a0: float | Array = 1.0
    v_reset: float | Array | None = -0.1

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1, `a0` > 0 and the potentials are finite."""
        super().validate()
        check_tau("tau", self.tau, gt=1)
        check_number("v_c", self.v_c)
        check_number("a0", self.a0, gt=0)

    def charge(self, state: State, x: Array) -> State:
        """Adds the input and the parabola."""
        v = state.v
        return state._replace(v=v + (x + self.a0 * (v - self.v_rest) * (v - self.v_c)) / self.tau)


class EIF(RestingNeuron):
    """Exponential integrate and fire: a leak, and an upstroke near `theta_rh`.

        h = v + (x - (v - v_rest) + delta_T exp((v - theta_rh) / delta_T)) / tau

    Args:
        tau: membrane time constant in steps, > 1.
        delta_T: sharpness of the upstroke, > 0; towards 0 the neuron becomes a LIF.
        theta_rh: rheobase threshold, where the upstroke begins; finite.
        v_rest: resting potential, finite.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `tau` <= 1, `delta_T` <= 0, or a potential is not finite.

    Source: Fourcaud-Trocmé, Hansel, van Vreeswijk, Brunel, "How spike generation mechanisms determine the neuronal
    response to fluctuating inputs", 2003, eq. 12, in forward Euler steps; defaults as in SpikingJelly's EIFNode, which
    also demands v_rest >= v_reset.
    """

    tau: float | Array = 2.0
    delta_T: float | Array = 1.0
    theta_rh: float | Array = 0.8
    v_reset: float | Array | None = -0.1

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1, `delta_T` > 0 and the potentials are finite."""
        super().validate()
        check_tau("tau", self.tau, gt=1)
        check_number("delta_T", self.delta_T, gt=0)
        check_number("theta_rh", self.theta_rh)

    def charge(self, state: State, x: Array) -> State:
        """Leaks, adds the input and the upstroke."""
        v = state.v
        return state._replace(v=v + (x - (v - self.v_rest) + upstroke(v, self.theta_rh, self.delta_T)) / self.tau)


def upstroke(v: Array, theta_rh: float | Array, delta_T: float | Array) -> Array:
    """The exponential current `delta_T exp((v - theta_rh) / delta_T)` of EIF and AdEx."""
    return delta_T * jnp.exp((v - theta_rh) / delta_T)
