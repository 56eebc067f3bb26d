"""Neurons with an adaptation current: Izhikevich, and the adaptive exponential integrate and fire."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.base import check_broadcast
from spikejax.cells.nonlinear import RestingNeuron, first_membrane, upstroke
from spikejax.checks import check_number, check_tau
from spikejax.typing import Array, Shape, State


class Adaptation(NamedTuple):
    """The state of a neuron with an adaptation current.

    Attributes:
        v: membrane potential `[N, *]`, in units of the threshold.
        w: adaptation current `[N, *]`, in units of the input.
    """

    v: Array
    w: Array


class AdaptiveNeuron(RestingNeuron):
    """Base of the neurons with an adaptation current; a model writes `drift`.

        h.v = v + (x + drift(v) - w) / tau
        h.w = w + (a (h.v - v_rest) - w) / tau_w
        w   = h.w + b s

    The current follows the charged membrane, and jumps by `b` at a spike.

    Args:
        tau: membrane time constant in steps, > 1.
        tau_w: time constant of the adaptation in steps, > 1.
        a: coupling of the adaptation to the membrane, finite.
        b: jump of the adaptation at a spike, finite.
        w_rest: adaptation current before the first step, finite.

    Raises:
        ValueError: a time constant is <= 1, or another parameter is not finite.
    """

    tau: float | Array = 2.0
    tau_w: float | Array = 2.0
    a: float | Array = 0.0
    b: float | Array = 0.0
    w_rest: float | Array = 0.0

    def validate(self) -> None:
        """Raises ValueError unless the time constants are > 1 and all else is finite."""
        super().validate()
        check_tau("tau", self.tau, gt=1)
        check_tau("tau_w", self.tau_w, gt=1)
        for name in ("a", "b", "w_rest"):
            check_number(name, getattr(self, name))

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: `v` at `v_reset`, or 0 with the soft reset; `w` at `w_rest`."""
        check_broadcast(self, shape)
        w = jnp.broadcast_to(jnp.asarray(self.w_rest, dtype), shape)
        return Adaptation(v=first_membrane(self, shape, dtype), w=w)

    def drift(self, v: Array) -> Array:
        """The current that the membrane drives itself with."""
        raise NotImplementedError(f"{type(self).__name__} must define `drift(self, v)`")

    def charge(self, state: State, x: Array) -> State:
        """Drives the membrane, and lets the adaptation follow it."""
        v = state.v + (x + self.drift(state.v) - state.w) / self.tau
        w = state.w + (self.a * (v - self.v_rest) - state.w) / self.tau_w
        return state._replace(v=v, w=w)

    def reset(self, h: State, s: Array) -> State:
        """The membrane and the adaptation after the spikes `s`."""
        jump = self.b * (jax.lax.stop_gradient(s) if self.detach_reset else s)
        return super().reset(h, s)._replace(w=(h.w + jump).astype(h.w.dtype))


class Izhikevich(AdaptiveNeuron):
    """Quadratic integrate and fire with an adaptation current: bursts, adapts, resonates, by its parameters.

        h.v = v + (x + a0 (v - v_rest) (v - v_c) - w) / tau
        h.w = w + (a (h.v - v_rest) - w) / tau_w
        w   = h.w + b s

    `detach_reset=True` stops gradients at every use of the spike in the reset; SpikingJelly's adaptive neurons go on
    deriving some of them. With a = b = 0 and w = 0 it is QIF.

    Args:
        tau: membrane time constant in steps, > 1.
        v_c: critical potential, from which the membrane rises without input; finite.
        a0: curvature, > 0.
        tau_w: time constant of the adaptation in steps, > 1.
        a: coupling of the adaptation to the membrane, finite.
        b: jump of the adaptation at a spike, finite.
        v_rest: resting potential, finite.
        w_rest: adaptation current before the first step, finite.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: a time constant is <= 1, `a0` <= 0, or another parameter is not finite.

    Source: Izhikevich, "Simple Model of Spiking Neurons", 2003, eq. 1 to 3, in the scaling of Gerstner et al.,
    "Neuronal Dynamics", 2014, eq. 6.3, 6.4 with a quadratic f; defaults as in SpikingJelly's IzhikevichNode.
    """

    v_c: float | Array = 0.8
    a0: float | Array = 1.0
    v_rest: float | Array = -0.1

    def validate(self) -> None:
        """Raises ValueError unless `a0` > 0 and the other parameters are in range."""
        super().validate()
        check_number("v_c", self.v_c)
        check_number("a0", self.a0, gt=0)

    def drift(self, v: Array) -> Array:
        """The parabola through `v_rest` and `v_c`."""
        return self.a0 * (v - self.v_rest) * (v - self.v_c)


class AdEx(AdaptiveNeuron):
    """Adaptive exponential integrate and fire: EIF with an adaptation current.

        h.v = v + (x - (v - v_rest) + delta_T exp((v - theta_rh) / delta_T) - w) / tau
        h.w = w + (a (h.v - v_rest) - w) / tau_w
        w   = h.w + b s

    The paper's explicit Euler step would let w follow the membrane before its charge; here it follows the charged
    one, as in `Izhikevich`. Ratios of a, b and tau_w / tau are the paper's, with the leak as the unit of conductance.

    Args:
        tau: membrane time constant in steps, > 1.
        delta_T: sharpness of the upstroke, > 0.
        theta_rh: rheobase threshold, where the upstroke begins; finite.
        tau_w: time constant of the adaptation in steps, > 1.
        a: coupling of the adaptation to the membrane, finite.
        b: jump of the adaptation at a spike, finite.
        v_rest: resting potential, finite.
        w_rest: adaptation current before the first step, finite.
        v_threshold: potential at which the neuron fires, the peak of the upstroke.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: a time constant is <= 1, `delta_T` <= 0, or another parameter is not finite.

    Source: Brette, Gerstner, "Adaptive Exponential Integrate-and-Fire Model as an Effective Description of Neuronal
    Activity", 2005, eq. 1 to 3. SpikingJelly and NIR have none.
    """

    delta_T: float | Array = 1.0
    theta_rh: float | Array = 0.8
    tau_w: float | Array = 30.0
    a: float | Array = 0.13
    b: float | Array = 0.13
    v_reset: float | Array | None = -0.1

    def validate(self) -> None:
        """Raises ValueError unless `delta_T` > 0 and the other parameters are in range."""
        super().validate()
        check_number("delta_T", self.delta_T, gt=0)
        check_number("theta_rh", self.theta_rh)

    def drift(self, v: Array) -> Array:
        """The leak and the upstroke."""
        return upstroke(v, self.theta_rh, self.delta_T) - (v - self.v_rest)
