"""Normalisation of spikes by the activity of all channels."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from spikejax.checks import check_number
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, ParallelCell, Shape


class Activity(NamedTuple):
    """The state of NeuNorm.

    Attributes:
        activity: trace of the activity of all channels, `[N, *space, 1]`.
    """

    activity: Array


class NeuNorm(nnx.Module, ParallelCell):
    """Subtracts from the spikes of a layer what all its channels did of late at the same place; a cell.

        a[t] = k a[t-1] + (1 - k) / C^2 sum over c of x[t, ..., c]        a[-1] = 0
        y[t] = x[t] - weight a[t]

    It stands behind the neurons of a convolution; its output is no longer 0 and 1.

    Args:
        shape: of one sample, `(H, W, C)`; any number of space axes.
        k: what is left of the trace after a step, within [0, 1).
        shared: one weight for all channels of a place, instead of one for each.
        weight_init: initializer of `weight`, `[H, W, C]`, or `[H, W, 1]` where it is shared.
        rngs: random streams for `weight_init`; needed where it draws.

    Raises:
        ValueError: `k` is out of range, or an input has another shape.

    Source: Wu, Deng, Li, Zhu, Xie and Shi, "Direct Training for Spiking Neural Networks: Faster, Larger, Better", 2019.

    SpikingJelly: `NeuNorm`, channels first, with uniform random weights to begin with.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        k: float = 0.9,
        *,
        shared: bool = False,
        weight_init: nnx.Initializer = nnx.initializers.ones_init(),  # noqa: B008
        rngs: nnx.Rngs | None = None,
    ) -> None:
        check_number("k", k, ge=0, lt=1)
        self.shape, self.k = tuple(shape), k
        key = (nnx.Rngs(0) if rngs is None else rngs).params()
        self.weight = nnx.Param(weight_init(key, (*self.shape[:-1], 1 if shared else self.shape[-1]), jnp.float32))

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> Activity:
        """A trace of 0, for inputs of `shape` `[N, H, W, C]`; `key` is not needed."""
        if tuple(shape[1:]) != self.shape:
            raise ValueError(f"`shape` of NeuNorm is {self.shape}, which does not fit inputs [N, *] of {tuple(shape)}")
        return Activity(jnp.zeros((*shape[:-1], 1), dtype))

    def step(self, state: Activity, x: Array) -> tuple[Activity, Array]:
        """One step in time, `x` `[N, H, W, C]`."""
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)

    def steps(self, state: Activity, xs: Sequence) -> tuple[Activity, Steps]:
        """Many steps at once: only the trace, one a place, goes step by step."""
        x = xs.all()
        drive = (1 - self.k) / x.shape[-1] ** 2 * x.sum(-1, keepdims=True, dtype=state.activity.dtype)

        def decay(activity: Array, drive: Array) -> tuple[Array, Array]:
            activity = self.k * activity + drive
            return activity, activity

        last, activity = lax.scan(decay, state.activity, drive)
        return Activity(last), Steps((x - self.weight[...] * activity).astype(x.dtype))
