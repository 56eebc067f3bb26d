"""LIF with noise on its membrane, for exploration in reinforcement learning."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.leaky import LIF
from spikejax.checks import check_number
from spikejax.typing import Array, Shape, State


class NoisyMembrane(NamedTuple):
    """The state of a noisy neuron: the noise of step t follows from the key and t alone.

    Attributes:
        v: membrane potential `[N, *]`, in units of the threshold.
        key: a `jax.random.key`, shape `()`, the same at every step.
        t: steps taken so far, uint32, shape `()`.
    """

    v: Array
    key: Array
    t: Array

    shared = ("key", "t")


class NoisyLIF(LIF):
    """LIF with Gaussian noise on every charge, drawn anew for every neuron and step.

        h = charge of LIF + noise_scale xi[t],   xi[t] ~ N(0, 1)

    The noise is a constant to gradients; `noise_scale` has one. Its key is given to `init_state`, so that the same key
    explores the same way: `run(cell, xs, cell.init_state(xs.shape[1:], key=key))`.

    Args:
        noise_scale: standard deviation of the noise, >= 0, in units of the membrane.
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too, but never the noise.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, and rest; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: `noise_scale` < 0 or `tau` <= 1.

    Source: Ma, Yan, Tang, "Exploiting Noise as a Resource for Computation and Learning in Spiking Neural Networks",
    2023, eq. 3, with white noise. SpikingJelly's noisy nodes draw coloured noise from a hidden buffer.
    """

    noise_scale: float | Array = 0.1

    def validate(self) -> None:
        """Raises ValueError unless `noise_scale` >= 0 and the other parameters are in range."""
        super().validate()
        check_number("noise_scale", self.noise_scale, ge=0, remedy="it is a standard deviation")

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The membrane at rest, and the key to draw the noise from.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: dtype of the membrane.
            key: a `jax.random.key`.

        Raises:
            ValueError: `key` is None, or a per-neuron parameter does not broadcast to `shape`.
        """
        if key is None:
            raise ValueError(
                "`key` must be given, because NoisyLIF draws random noise: pass "
                "state=net.init_state(shape, key=jax.random.key(0)) to run"
            )
        return NoisyMembrane(super().init_state(shape, dtype).v, key, jnp.zeros((), jnp.uint32))

    def charge(self, state: State, x: Array) -> State:
        """Leaks, adds the input and the noise of the step."""
        noise = jax.random.normal(jax.random.fold_in(state.key, state.t), state.v.shape, state.v.dtype)
        v = super().charge(state, x).v + self.noise_scale * noise
        return state._replace(v=v, t=state.t + 1)
