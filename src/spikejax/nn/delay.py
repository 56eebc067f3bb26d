"""Fixed delays."""

from collections.abc import Sequence as List
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, ParallelCell, Shape, State


class History(NamedTuple):
    """The state of a delay.

    Attributes:
        past: the last inputs `[N, D, *]`, oldest first, where D is the longest delay.
    """

    past: Array


@dataclass(frozen=True, init=False)
class Delay(ParallelCell):
    """Shows its input some steps later; a cell without a neuron.

        y[t] = x[t - delay]      x = 0 before the first step

    Several steps at once cost one copy. Gradients pass to the steps they came from.

    Args:
        delay: steps, >= 0: a whole number, or one for each feature or channel, the last axis of the input.

    Raises:
        ValueError: a delay is negative or not whole, or their number is not that of the features.

    Source: axonal delays of Loihi, Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning",
    2018; NIR's Delay is this with delay times dt.
    """

    delay: int | tuple[int, ...]

    def __init__(self, delay: int | List[int] | np.ndarray) -> None:
        values = np.asarray(delay)
        if values.ndim > 1 or not values.size or (values != np.round(values)).any() or (values < 0).any():
            raise ValueError(
                f"`delay` must be whole steps >= 0, one or one a feature, got {delay!r}: round delays that were learnt"
            )
        object.__setattr__(self, "delay", tuple(map(int, values)) if values.ndim else int(values))

    @property
    def longest(self) -> int:
        """The longest delay in steps."""
        return max(self.delay) if isinstance(self.delay, tuple) else self.delay

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """A past of zeros, for inputs of `shape` `[N, *]`; `key` is not needed."""
        if isinstance(self.delay, tuple) and (len(shape) < 2 or shape[-1] != len(self.delay)):
            raise ValueError(
                f"`delay` has {len(self.delay)} values for an input of shape {tuple(shape)}: give one, or one for each "
                f"of the features in the last axis"
            )
        return History(jnp.zeros((shape[0], self.longest, *shape[1:]), dtype))

    def step(self, state: History, x: Array) -> tuple[History, Array]:
        """One step in time, `x` `[N, *]`."""
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)

    def steps(self, state: History, xs: Sequence) -> tuple[History, Steps]:
        """Many steps at once, as `step` repeated."""
        new, known = remember(state, xs)
        starts = self.longest - np.asarray(self.delay)
        steps = known.shape[0] - self.longest
        if starts.ndim == 0:
            return new, Steps(known[starts : starts + steps])
        times = starts + np.arange(steps)[:, None]
        times = times.reshape(steps, *(1,) * (known.ndim - 2), -1)
        return new, Steps(jnp.take_along_axis(known, times, axis=0))


def remember(state: History, xs: Sequence) -> tuple[History, Array]:
    """The past after the inputs, and past and inputs in one, `[D + T, N, *]`."""
    known = jnp.concatenate([jnp.moveaxis(state.past, 1, 0).astype(xs.dtype), xs.all()])
    return History(jnp.moveaxis(known[xs.steps :], 0, 1).astype(state.past.dtype)), known
