"""A neuron that resonates with its input."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.base import Neuron
from spikejax.checks import check_number
from spikejax.typing import Array, Shape, State


class Oscillation(NamedTuple):
    """The state of a resonator, the complex number u + iv.

    Attributes:
        v: membrane potential `[N, *]`, the imaginary part, in units of the threshold.
        u: current `[N, *]`, the real part.
    """

    v: Array
    u: Array


class ResonateAndFire(Neuron):
    """Resonate and fire: a damped oscillation that inputs at its own frequency build up.

        z   = (u + i v) exp((b + i omega) dt) + x
        h.u = Re z,   h.v = Im z

    The input enters the real part, the imaginary part fires and is reset. As an equation of real numbers:

        h.u = exp(b dt) (u cos(omega dt) - v sin(omega dt)) + x
        h.v = exp(b dt) (u sin(omega dt) + v cos(omega dt))

    Args:
        b: growth rate of the oscillation in 1 / time, finite; < 0 damps it.
        omega: angular frequency in radians / time, finite.
        dt: time that a step takes, > 0.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold (soft reset). The current
            stays as it is.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `dt` <= 0, or `b` or `omega` is not finite.

    Source: Izhikevich, "Resonate-and-fire neurons", 2001, eq. 4, solved exactly over a step, the input as a pulse at
    its end. Defaults and reset as in SpikingJelly's RAFNode; the paper resets z to i, that is v to the threshold.
    """

    b: float | Array = -0.2
    omega: float | Array = 1.0
    dt: float | Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `dt` > 0 and the rates are finite."""
        super().validate()
        check_number("b", self.b)
        check_number("omega", self.omega)
        check_number("dt", self.dt, gt=0)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: `v` at `v_reset`, or 0 with the soft reset; no current."""
        return Oscillation(v=super().init_state(shape, dtype).v, u=jnp.zeros(shape, dtype))

    def charge(self, state: State, x: Array) -> State:
        """Turns and damps the oscillation, and adds the input."""
        decay, angle = jnp.exp(self.b * self.dt), self.omega * self.dt
        real, imaginary = decay * jnp.cos(angle), decay * jnp.sin(angle)
        return state._replace(
            v=state.u * imaginary + state.v * real,
            u=state.u * real - state.v * imaginary + x,
        )
