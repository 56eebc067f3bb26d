"""Functions of rates that are not linear: computed on the mean input so far, and compensated for earlier outputs."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.pytree import Struct
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, ParallelCell, Shape


class Expected(NamedTuple):
    """The state of `RunningMean` and `Compensated`.

    Attributes:
        total: sum of all inputs so far, or of all outputs `[N, *]`.
        t: number of steps so far, shape `()`.
    """

    total: Array
    t: Array

    shared = ("t",)


class RunningMean(Struct, ParallelCell):
    """The mean of all inputs so far; a cell without parameters.

        y[t] = (x[1] + ... + x[t]) / t

    Source: Huang et al., "Towards high-performance spiking transformers from ANN to SNN conversion", 2024, the
    expectation that its compensation module starts from.
    """

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> Expected:
        """The state before the first step, for inputs of `shape` `[N, *]`; `key` is not needed."""
        return Expected(jnp.zeros(shape, dtype), jnp.zeros((), dtype))

    def step(self, state: Expected, x: Array) -> tuple[Expected, Array]:
        """One step in time, `x` `[N, *]`."""
        state = Expected(state.total + x, state.t + 1)
        return state, state.total / state.t

    def steps(self, state: Expected, xs: Sequence) -> tuple[Expected, Steps]:
        """Many steps at once, as `step` repeated."""
        totals = state.total + jnp.cumsum(xs.all(), axis=0)
        return Expected(totals[-1], state.t + xs.steps), Steps(totals / _times(state, xs))


class Compensated(Struct, ParallelCell):
    """The output with which the mean of all outputs so far is the input; a cell without parameters.

        y[t] = t x[t] - (t - 1) x[t-1]

    Behind a function of `RunningMean`, the mean output after T steps is that function of the mean input, for every T.

    Source: Huang et al., "Towards high-performance spiking transformers from ANN to SNN conversion", 2024, expectation
    compensation module.
    """

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> Expected:
        """The state before the first step, for inputs of `shape` `[N, *]`; `key` is not needed."""
        return Expected(jnp.zeros(shape, dtype), jnp.zeros((), dtype))

    def step(self, state: Expected, x: Array) -> tuple[Expected, Array]:
        """One step in time, `x` `[N, *]`."""
        new = Expected((state.t + 1) * x, state.t + 1)
        return new, new.total - state.total

    def steps(self, state: Expected, xs: Sequence) -> tuple[Expected, Steps]:
        """Many steps at once, as `step` repeated."""
        totals = _times(state, xs) * xs.all()
        return Expected(totals[-1], state.t + xs.steps), Steps(jnp.diff(totals, axis=0, prepend=state.total[None]))


def _times(state: Expected, xs: Sequence) -> Array:
    """The numbers of these steps, from 1, to multiply all of `xs` with."""
    return (state.t + 1 + jnp.arange(xs.steps, dtype=state.t.dtype)).reshape(-1, *(1,) * len(xs.shape))
