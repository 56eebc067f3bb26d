"""Attention over time, channels and places: it weighs the currents before a neuron."""

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.checks import check_integer
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, ParallelCell, Shape, State, StepLimits


class _AllSteps(nnx.Module, ParallelCell):
    """A cell that looks at all T steps at once, and has no state."""

    T: int

    def limits(self) -> StepLimits:
        """Exactly T steps, in one chunk."""
        reason = f"{type(self).__name__} weighs the T = {self.T} steps it was built for against each other"
        return StepLimits(self.T, self.T, whole=True, reason=reason)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> tuple[()]:
        """There is no state; the arguments are not needed."""
        return ()

    def step(self, state: tuple[()], x: Array) -> tuple[tuple[()], Array]:
        """The only step, where T is 1."""
        if self.T > 1:
            raise ValueError(
                f"{type(self).__name__} cannot take a single step, because its output depends on all T = {self.T} "
                f"steps: use sx.run"
            )
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)

    def steps(self, state: State, xs: Sequence) -> tuple[State, Steps]:
        """All T steps."""
        self.limits().check(xs.steps)
        return state, Steps(self.weighed(xs.all()))

    def weighed(self, xs: Array) -> Array:
        """The input `[T, N, *]` after attention."""
        raise NotImplementedError


class _Gate(nnx.Module):
    """Scores of `[N, features]` from their mean and their largest value: two dense layers, shared by both."""

    def __init__(self, features: int, reduction: int, name: str, rngs: nnx.Rngs) -> None:
        check_integer(name, reduction, le=features, remedy=f"it divides {features} features")
        inner = features // reduction
        self.squeeze = nnx.Linear(features, inner, use_bias=False, rngs=rngs)
        self.expand = nnx.Linear(inner, features, use_bias=False, rngs=rngs)

    def __call__(self, mean: Array, largest: Array) -> Array:
        return nnx.sigmoid(sum(self.expand(nnx.relu(self.squeeze(pooled))) for pooled in (mean, largest)))


class TemporalAttention(_AllSteps):
    """Weighs every step of a sequence by a score from all of them (TA-SNN).

        score = sigmoid(W2 relu(W1 mean) + W2 relu(W1 max))    mean and max over the features of each step, [N, T]
        y[t] = score[t] x[t]

    It stands between a synapse and its neurons. It sees the future, so it has no state and cannot take single steps: it
    runs on exactly the T steps it was built for, in one chunk. With `lengths`, the input after a sequence's end counts
    as 0.

    Args:
        T: number of time steps, >= 1.
        reduction: W1 maps T numbers to T // reduction; from 1 to T.
        rngs: random streams for the initial parameters.

    Raises:
        ValueError: an argument is out of range, or it is run over another number of steps.

    Source: Yao, Gao, Zhao, Wang, Lin, Yang and Li, "Temporal-wise Attention Spiking Neural Networks for Event Streams
    Classification", 2021. SpikingJelly: `TemporalWiseAttention`, which adds the largest values as here.
    """

    def __init__(self, T: int, reduction: int = 1, *, rngs: nnx.Rngs) -> None:
        check_integer("T", T)
        self.T = T
        self.time = _Gate(T, reduction, "reduction", rngs)

    def weighed(self, xs: Array) -> Array:
        """The input `[T, N, *]`, each step times its score."""
        features = tuple(range(2, xs.ndim))
        score = self.time(xs.mean(features).T, xs.max(features).T)
        return xs * score.T.reshape(*xs.shape[:2], *(1,) * len(features))


class MultiDimensionalAttention(_AllSteps):
    """Weighs steps, then channels, then places, each by scores of its own (MA-SNN, TCSA).

        x1[t] = time[t] x[t]                 time as in `TemporalAttention`
        x2[..., c] = channel[c] x1[..., c]   from mean and max over steps and places, [N, C]
        y = relu(place x2)                   place = sigmoid(conv(mean and max over steps and channels)), [N, H, W]

    For images `[T, N, H, W, C]`, between a convolution and its neurons. It sees the future, so it has no state and
    cannot take single steps: it runs on exactly the T steps it was built for, in one chunk. With `lengths`, the input
    after a sequence's end counts as 0.

    Args:
        T: number of time steps, >= 1.
        channels: C, >= 1.
        reduction_t: divides T between the dense layers of the time scores; from 1 to T.
        reduction_c: divides C between those of the channel scores; from 1 to C.
        kernel_size: of the convolution of the place scores, odd.
        rngs: random streams for the initial parameters.

    Raises:
        ValueError: an argument is out of range, or it is run over another number of steps.

    Source: Yao, Zhao, Zhang, Hu, Deng, Tian, Xu and Li, "Attention Spiking Neural Networks", 2023.
    """

    def __init__(
        self,
        T: int,
        channels: int,
        reduction_t: int = 1,
        reduction_c: int = 1,
        kernel_size: int = 3,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        check_integer("T", T)
        check_integer("channels", channels)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"`kernel_size` must be odd and >= 1, got {kernel_size}")
        self.T = T
        self.time = _Gate(T, reduction_t, "reduction_t", rngs)
        self.channel = _Gate(channels, reduction_c, "reduction_c", rngs)
        self.place = nnx.Conv(2, 1, (kernel_size, kernel_size), use_bias=False, rngs=rngs)

    def weighed(self, xs: Array) -> Array:
        """The input `[T, N, H, W, C]`, times all scores."""
        if xs.ndim != 5:
            raise ValueError(f"`xs` must be images [T, N, H, W, C], got shape {xs.shape}")
        xs = xs * self.time(xs.mean((2, 3, 4)).T, xs.max((2, 3, 4)).T).T[:, :, None, None, None]
        xs = xs * self.channel(xs.mean((0, 2, 3)), xs.max((0, 2, 3)))[:, None, None]
        pooled = jnp.stack([xs.mean((0, 4)), xs.max((0, 4))], -1)
        return nnx.relu(xs * nnx.sigmoid(self.place(pooled)))
