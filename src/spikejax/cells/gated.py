"""LIF with learnt gates between its ways to leak, to integrate and to reset."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from spikejax.cells.base import ChargeFireReset, check_broadcast, check_surrogate
from spikejax.pytree import make_parameter
from spikejax.surrogate import Sigmoid
from spikejax.typing import Array, Shape, State, Surrogate


class Gated(NamedTuple):
    """The state of a gated LIF.

    Attributes:
        v: membrane potential `[N, *]` before the reset, which the next charge makes.
        s: spikes of the last step `[N, *]`.
        t: steps taken so far, uint32, shape `()`.
    """

    v: Array
    s: Array
    t: Array

    shared = ("t",)


class GatedLIF(ChargeFireReset):
    """Gated LIF (GLIF): learnt gates blend two ways to leak (alpha), to integrate (beta) and to reset (gamma).

        h.v = (1 - alpha (1 - tau)) (1 - gamma s) v - (1 - alpha) linear_decay
              - (1 - gamma) v_subreset s + (1 - beta (1 - conduct[t])) x
        s   = Theta(h.v - v_threshold)

    Every symbol is the logistic function of the field of that name, so it stays within (0, 1): the fields are learnt
    and always arrays, a scalar, or one a channel, aligned to the last axes. v and s on the right are those of the
    last step, whose reset is part of the charge.

    Args:
        alpha: gate of the leak: 1 is exponential, 0 linear.
        beta: gate of the input: 1 scales it by `conduct`, 0 takes it as it is.
        gamma: gate of the reset: 1 sets the membrane back, 0 subtracts `v_subreset`.
        tau: share of the membrane that the exponential leak keeps; not a time constant.
        linear_decay: what the linear leak takes away in a step.
        v_subreset: what the soft reset subtracts.
        v_threshold: potential at which the neuron fires.
        conduct: gain of the input: a scalar, or an array `[T, *]` with one row a step; a run beyond its T steps gives
            NaN membranes.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: a field is not finite.
        TypeError: `surrogate` is no surrogate.

    Source: Yao, Li, Mo, Cheng, "GLIF: A Unified Gated Leaky Integrate-and-Fire Neuron for Spiking Neural Networks",
    2022, eq. 4 to 11. As SpikingJelly's GatedLIFNode, whose gates start at random near 1/2 and whose linear_decay
    starts at v_threshold / (2 T), here for T = 4; it neither detaches the reset nor lets a scalar serve all steps.
    """

    alpha: Array = 0.0  # pyright: ignore[reportAssignmentType]
    beta: Array = 0.0  # pyright: ignore[reportAssignmentType]
    gamma: Array = 0.0  # pyright: ignore[reportAssignmentType]
    tau: Array = -float(np.log(3))  # pyright: ignore[reportAssignmentType]
    linear_decay: Array = -float(np.log(15))  # pyright: ignore[reportAssignmentType]
    v_subreset: Array = 0.0  # pyright: ignore[reportAssignmentType]
    v_threshold: Array = 0.0  # pyright: ignore[reportAssignmentType]
    conduct: Array = 0.0  # pyright: ignore[reportAssignmentType]
    detach_reset: bool = False
    surrogate: Surrogate = Sigmoid()

    def __post_init__(self) -> None:
        for name in GATES:
            make_parameter(self, name, "it goes through the logistic function")
        super().__post_init__()

    def validate(self) -> None:
        """Raises TypeError unless `surrogate` is one."""
        check_surrogate(self.surrogate)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: membranes 0, no spikes."""
        check_broadcast(self, shape)
        return Gated(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros((), jnp.uint32))

    def charge(self, state: State, x: Array) -> State:
        """Resets by the last spikes, leaks, and adds the gated input."""
        alpha, beta, gamma, tau, decay, v_subreset = map(
            jax.nn.sigmoid, (self.alpha, self.beta, self.gamma, self.tau, self.linear_decay, self.v_subreset)
        )
        conduct = jax.nn.sigmoid(self._conduct(state.t))
        rest = (1 - alpha * (1 - tau)) * (1 - gamma * state.s) * state.v
        lost = (1 - alpha) * decay + (1 - gamma) * v_subreset * state.s
        return state._replace(v=rest - lost + (1 - beta * (1 - conduct)) * x, t=state.t + 1)

    def fire(self, h: State) -> Array:
        """Spikes, 0 or 1, of the charged membrane."""
        return self.surrogate(h.v - jax.nn.sigmoid(self.v_threshold))

    def reset(self, h: State, s: Array) -> State:
        """Remembers the spikes, for the reset in the next charge."""
        return h._replace(s=(jax.lax.stop_gradient(s) if self.detach_reset else s).astype(h.s.dtype))

    def _conduct(self, t: Array) -> Array:
        if self.conduct.ndim == 0:
            return self.conduct
        return self.conduct.at[t].get(mode="fill", fill_value=jnp.nan)

    def feature_shapes(self) -> dict[str, Shape]:
        """As of every cell, but the first axis of `conduct` is time; one value is of all steps, and no neuron's own."""
        return super().feature_shapes() | {"conduct": np.shape(self.conduct)[1:] or (1,)}


GATES = ("alpha", "beta", "gamma", "tau", "linear_decay", "v_subreset", "v_threshold", "conduct")
