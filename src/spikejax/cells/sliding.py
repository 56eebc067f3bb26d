"""The parallel spiking neuron that slides along time, any number of steps."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from spikejax.cells.base import check_broadcast
from spikejax.cells.parallel import PSNBase, uniform
from spikejax.checks import check_integer
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Shape


class SlidingPSNState(NamedTuple):
    """The state of a cell that remembers its last inputs.

    Attributes:
        past: the last inputs `[N, *, k - 1]`, the latest at the end; zeros before the first step.
    """

    past: Array


class SlidingPSN(PSNBase):
    """Sliding parallel spiking neuron: the membrane is a learnt mixture of the last k inputs, the same at every step.

        h[t] = sum_i weight[i] x[t - k + 1 + i]      i = 0 ... k-1; x before the first step is 0
        s[t] = Theta(h[t] - v_threshold)

    A causal convolution over time: any number of steps, in any chunk, or one by one.

    Args:
        k: inputs that the membrane sees, the present one included, >= 1.
        weight: `[k]`, the latest input's last, or one set a neuron `[k, *]`; where it is not given, drawn from `key`,
            uniform within 1 / sqrt(k), or without a key (..., 1/4, 1/2, 1).
        v_threshold: one number, or one a neuron; an array of 1 where it is not given.
        surrogate: the surrogate gradient of the threshold.
        key: a `jax.random.key` to draw `weight` from.

    Raises:
        ValueError: `k` < 1, or `weight` does not fit it.
        TypeError: `surrogate` is no surrogate.

    Source: Fang et al., "Parallel Spiking Neurons with High Efficiency and Ability to Learn Long-term Dependencies",
    2023, the sliding PSN. SpikingJelly's SlidingPSN stores the threshold negated, as `bias`.
    """

    k: int

    def __post_init__(self, key: Array | None) -> None:
        check_integer("k", self.k)
        drawn = None if key is None else uniform("SlidingPSN", key, self.k, (self.k,))
        self.fill(2.0 ** jnp.arange(1 - self.k, 1) if drawn is None else drawn, jnp.ones(()))
        super().__post_init__()

    def validate(self) -> None:
        """Raises ValueError unless `weight` has k taps."""
        super().validate()
        if self.weight.shape[:1] != (self.k,):
            raise ValueError(f"`weight` must have k = {self.k} as its first axis, got shape {self.weight.shape}")

    def feature_shapes(self) -> dict[str, Shape]:
        """As of every cell, but the first axis of `weight` is time."""
        return super().feature_shapes() | {"weight": np.shape(self.weight)[1:]}

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> SlidingPSNState:
        """The state before the first step: the inputs before it were 0.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: dtype of the state; float32 unless asked otherwise, whatever the dtype of the input.
            key: not needed here.

        Raises:
            ValueError: a per-neuron parameter does not broadcast to `shape`.
        """
        check_broadcast(self, shape)
        return SlidingPSNState(jnp.zeros((*shape, self.k - 1), dtype))

    def step(self, state: SlidingPSNState, x: Array) -> tuple[SlidingPSNState, Array]:
        """One step in time.

        Args:
            state: as `init_state` gives it.
            x: input `[N, *]`.

        Returns:
            The next state, and spikes `[N, *]` in the dtype of `x`.

        Raises:
            ValueError: `x` is of another shape than the state was made for.
        """
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)

    def steps(self, state: SlidingPSNState, xs: Sequence) -> tuple[SlidingPSNState, Steps]:
        """Many steps at once, the same as `step` repeated.

        Args:
            state: as `init_state` gives it.
            xs: the inputs.

        Returns:
            The last state, and spikes `[T, N, *]`.

        Raises:
            ValueError: `xs` is of another shape than the state was made for.
        """
        x = xs.all()
        past = jnp.moveaxis(jnp.asarray(state.past), -1, 0)
        if x.shape[1:] != past.shape[1:]:
            shape = x.shape[1:]
            raise ValueError(
                f"`x` has shape {shape}, but the state was made for {past.shape[1:]}: use init_state({shape})"
            )
        self.init_state(x.shape[1:])
        window = jnp.concatenate((past, x.astype(past.dtype)))
        count = x.shape[0]
        weight = self.weight.reshape(self.k, *(1,) * (past.ndim - self.weight.ndim), *self.weight.shape[1:])
        # Shifted slices instead of a convolution: one fused loop, and a step rounds as many steps do.
        h = sum((weight[i] * window[i : i + count] for i in range(1, self.k)), weight[0] * window[:count])
        return SlidingPSNState(jnp.moveaxis(window[count:], 0, -1)), Steps(self.spikes(h, self.v_threshold, x))
