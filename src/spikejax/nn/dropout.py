"""Dropout that stays the same through a sequence."""

from collections.abc import Sequence as Axes
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.checks import check_number
from spikejax.sequence import Sequence
from spikejax.typing import Array, ParallelCell, Shape


class Mask(NamedTuple):
    """The state of a dropout that stays the same through a sequence.

    Attributes:
        mask: factor of each input, 0 or 1 / (1 - rate), `[N, *]`, of size 1 in space and feature axes that share it.
    """

    mask: Array


class TimeInvariantDropout(nnx.Module, ParallelCell):
    """Dropout with one mask for a whole sequence; a cell, whose state is the mask.

        y[t] = x[t] mask        mask = 0 with probability rate, else 1 / (1 - rate), drawn once by init_state

    `nnx.Dropout` draws anew at every step; of many steps each input then gets through some, and little is dropped. Here
    a new sequence is a new mask: `net.init_state(shape, key=key)`. `net.eval()` makes it the identity, which needs no
    key, `net.train()` switches it on.

    Args:
        rate: share of the inputs to drop, within [0, 1).
        broadcast_dims: axes of the input `[N, *]` that share one mask: (1, 2) drops whole channels of `[N, H, W, C]`.
        deterministic: True lets everything through, as `eval` does.

    Raises:
        ValueError: `rate` is out of range, or there is no key in train mode.

    Source: Lee, Sarwar, Panda, Srinivasan and Roy, "Enabling Spike-Based Backpropagation for Training Deep Neural
    Network Architectures", 2020.

    SpikingJelly: `Dropout` and, with `broadcast_dims`, `Dropout2d`.
    """

    def __init__(self, rate: float = 0.5, *, broadcast_dims: Axes[int] = (), deterministic: bool = False) -> None:
        check_number("rate", rate, ge=0, lt=1, remedy="it is the share of inputs to drop")
        self.rate, self.broadcast_dims, self.deterministic = float(rate), tuple(broadcast_dims), deterministic

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> Mask:
        """The mask of a new sequence.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: dtype of the mask.
            key: a `jax.random.key`; not needed in eval mode.

        Raises:
            ValueError: `key` is None in train mode.
        """
        own = jnp.ones([1 if i in self.broadcast_dims else size for i, size in enumerate(shape)], dtype)
        if self.deterministic or not self.rate:
            return Mask(jnp.broadcast_to(own, (shape[0], *own.shape[1:])))
        if key is None:
            raise ValueError(
                "`key` must be given, because TimeInvariantDropout draws a mask in train mode: pass "
                "state=net.init_state(shape, key=jax.random.key(0)) to run, or call net.eval()"
            )
        mask = nnx.Dropout(self.rate)(own, rngs=key)
        return Mask(jnp.broadcast_to(mask, (shape[0], *mask.shape[1:])))

    def step(self, state: Mask, x: Array) -> tuple[Mask, Array]:
        """One step in time, `x` `[N, *]`."""
        return state, x if self.deterministic else x * state.mask.astype(x.dtype)

    def steps(self, state: Mask, xs: Sequence) -> tuple[Mask, Sequence]:
        """Many steps at once; a static input stays static."""
        return state, xs.map(lambda x: self.step(state, x)[1])
