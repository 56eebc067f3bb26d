"""Rates to random spikes."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.encoding.timed import Encoder, over_time, within
from spikejax.pytree import Struct
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Shape


class RandomState(NamedTuple):
    """The state of a cell that draws random numbers: those of step t follow from the key and t alone.

    Attributes:
        key: a `jax.random.key`, shape `()`, the same at every step.
        t: steps drawn so far, uint32, shape `()`.
    """

    key: Array
    t: Array

    shared = ("key", "t")


class Drawn(Encoder, Struct):
    """An encoder whose spikes are drawn anew at each step, with probabilities that follow from the value."""

    def probabilities(self, x: Array) -> Array:
        """The probability of a spike, for each neuron."""
        raise NotImplementedError(f"{type(self).__name__} must define `probabilities(self, x)`")

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> RandomState:
        """The key to draw from.

        Args:
            shape: shape of the input of one step; not needed here.
            dtype: not needed here.
            key: a `jax.random.key`.

        Raises:
            ValueError: `key` is None.
        """
        if key is None:
            raise ValueError(
                f"`key` must be given, because {type(self).__name__} draws random spikes: pass "
                "state=net.init_state(shape, key=jax.random.key(0)) to run"
            )
        return RandomState(key, jnp.zeros((), jnp.uint32))

    def step(self, state: RandomState, x: Array) -> tuple[RandomState, Array]:
        """Draws the spikes of one step.

        Args:
            state: as `init_state` gives it.
            x: values `[N, *]`, floating point.

        Returns:
            The next state, and spikes `[N, *]` in the dtype of `x`.

        Raises:
            ValueError: a concrete `x` leaves its range.
            TypeError: `x` is not floating point.
        """
        x = self.probabilities(x)
        return state._replace(t=state.t + 1), _draw(state.key, state.t, x)

    def steps(self, state: RandomState, xs: Sequence) -> tuple[RandomState, Steps]:
        """Draws the spikes of many steps at once, the same that `step` draws.

        Args:
            state: as `init_state` gives it.
            xs: the values.

        Returns:
            The last state, and spikes `[T, N, *]`.

        Raises:
            ValueError: a concrete value leaves its range.
            TypeError: `xs` is not floating point.
        """
        times, spikes = over_time(partial(_draw, state.key), state.t, self.probabilities, xs)
        return state._replace(t=times[-1] + 1), Steps(spikes)


class Poisson(Drawn):
    """Poisson coding: at each step a spike with the probability that the value gives, drawn anew.

        P(s[t] = 1) = x

    Values below 0 never fire and values above 1 always do; they are refused where they can be seen, that is outside
    `jit`. Spikes have no gradient with respect to `x`.

    Source: Poisson (Bernoulli) rate coding, as SpikingJelly's PoissonEncoder; here x = 0 never fires.
    """

    def probabilities(self, x: Array) -> Array:
        """The probability of a spike for each value: the value itself, checked."""
        return within(x, 1, "it is the probability of a spike: scale the input")


def _draw(key: Array, t: Array, x: Array) -> Array:
    """The spikes of step `t`; flat, because XLA:CPU draws images with a trailing channel axis a third slower."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    uniform = jax.random.uniform(jax.random.fold_in(key, t), (x.size,), dtype)
    return (uniform < x.ravel()).astype(x.dtype).reshape(x.shape)
