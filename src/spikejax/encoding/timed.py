"""Base of the encoders whose spikes follow from the value and the step alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from spikejax.checks import check_number
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, ParallelCell, Shape


class StepIndex(NamedTuple):
    """The state of an encoder that counts its steps.

    Attributes:
        t: steps encoded so far, uint32, shape `()`.
    """

    t: Array

    shared = ("t",)


class Encoder(ParallelCell):
    """A cell that turns values into spikes; of a static input it makes T times as much."""


class Timed(Encoder):
    """An encoder in one equation: the spikes of step `t` for the values `x`, without a memory of other steps."""

    def encode(self, t: Array, x: Array) -> Array:
        """The spikes of step `t`, in the dtype of `x`."""
        raise NotImplementedError(f"{type(self).__name__} must define `encode(self, t, x)`")

    def checked(self, x: Array) -> Array:
        """The input, floating point and in range where that can be seen."""
        raise NotImplementedError(f"{type(self).__name__} must define `checked(self, x)`")

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> StepIndex:
        """Step 0. Only the index is kept, so the arguments are not needed."""
        return StepIndex(jnp.zeros((), jnp.uint32))

    def step(self, state: StepIndex, x: Array) -> tuple[StepIndex, Array]:
        """The spikes of one step.

        Args:
            state: as `init_state` gives it.
            x: values `[N, *]`, floating point.

        Returns:
            The next state, and the spikes in the dtype of `x`.

        Raises:
            ValueError: a concrete `x` leaves its range.
            TypeError: `x` is not floating point.
        """
        return StepIndex(state.t + 1), self.encode(state.t, self.checked(x))

    def steps(self, state: StepIndex, xs: Sequence) -> tuple[StepIndex, Steps]:
        """The spikes of many steps at once, the same as by `step`.

        Args:
            state: as `init_state` gives it.
            xs: the values.

        Returns:
            The last state, and the spikes, time first.

        Raises:
            ValueError: a concrete value leaves its range.
            TypeError: `xs` is not floating point.
        """
        times, spikes = over_time(self.encode, state.t, self.checked, xs)
        return StepIndex(times[-1] + 1), Steps(spikes)


def over_time(
    encode: Callable[[Array, Array], Array], t: Array, checked: Callable[[Array], Array], xs: Sequence
) -> tuple[Array, Array]:
    """The steps of a chunk that begins at `t`, and `encode(t, x)` at each."""
    times = t + jnp.arange(xs.steps, dtype=t.dtype)
    return times, jax.vmap(encode, (0, xs.time_axis))(times, checked(xs.data))


def floating(x: ArrayLike, remedy: str) -> Array:
    """`x` as an array, which must be of floating point."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"`x` must be floating point{remedy}, got {x.dtype}: scale it, as in x / 255")
    return x


def within(x: ArrayLike, high: float, remedy: str) -> Array:
    """`x` as an array of floating point from 0 to `high`, checked where it can be seen."""
    limit = f"within [0, {high:g}]"
    x = floating(x, f" {limit}")
    check_number("x", x, ge=0, le=high, remedy=remedy)
    return x
