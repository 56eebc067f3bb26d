"""Parallel spiking neurons: a learnt linear map over time instead of a recurrence."""

import math
from dataclasses import InitVar, field
from typing import dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from spikejax.cells.base import check_broadcast, check_surrogate
from spikejax.checks import check_elements, check_integer, check_number
from spikejax.pytree import Struct, make_parameter
from spikejax.sequence import Sequence, Steps
from spikejax.surrogate import ATan
from spikejax.typing import Array, ParallelCell, Shape, StepLimits, Surrogate


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class PSNBase(Struct, ParallelCell, kw_only=True):
    """Base of the family: a weight over time, a threshold, a surrogate; fields are given by keyword."""

    weight: Array = field(default=None)  # pyright: ignore[reportAssignmentType]
    v_threshold: float | Array = field(default=None)  # pyright: ignore[reportAssignmentType]
    surrogate: Surrogate = ATan()
    key: InitVar[Array | None] = None

    def __init_subclass__(cls, **kwargs: bool) -> None:
        super().__init_subclass__(kw_only=True, **kwargs)

    def fill(self, weight: Array | None, v_threshold: Array) -> None:
        """Sets the fields that are None."""
        if self.weight is None:
            object.__setattr__(self, "weight", weight)
        make_parameter(self, "weight")
        if self.v_threshold is None:
            object.__setattr__(self, "v_threshold", v_threshold)

    def validate(self) -> None:
        """Raises ValueError unless the threshold is finite, TypeError for a wrong surrogate."""
        check_surrogate(self.surrogate)
        check_number("v_threshold", self.v_threshold)

    def spikes(self, h: Array, v_threshold: float | Array, x: Array) -> Array:
        """Spikes of `h`, in the dtype of the input `x` where it is floating point."""
        s = self.surrogate(h - v_threshold)
        return s.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else s


class PSN(PSNBase):
    """Parallel spiking neuron: every step's membrane is a learnt mixture of the inputs of all T steps.

        H = W X                     H, X [T, N, *], W [T, T]
        S = Theta(H - v_threshold)

    One matrix product over time. It sees the future, so it has no state and cannot take single steps: it runs on
    exactly the T steps it was built for, in one chunk. With `lengths`, the input after a sequence's end counts as 0.

    Args:
        T: number of time steps, >= 1.
        weight: W `[T, T]`, from input step (column) to output step (row), shared by all neurons; drawn from `key`
            where it is not given, uniform within 1 / sqrt(T).
        v_threshold: threshold of each step `[T]`, of each step and neuron `[T, *]`, or one number; ones where it is
            not given.
        surrogate: the surrogate gradient of the threshold.
        key: a `jax.random.key` to draw `weight` from.

    Raises:
        ValueError: `T` < 1, neither `weight` nor `key` is given, or a shape does not fit T.
        TypeError: `surrogate` is no surrogate.

    Source: Fang et al., "Parallel Spiking Neurons with High Efficiency and Ability to Learn Long-term Dependencies",
    2023, the PSN. SpikingJelly's PSN stores the threshold negated, as `bias` `[T, 1]`.
    """

    T: int

    def __post_init__(self, key: Array | None) -> None:
        check_integer("T", self.T)
        weight = None if self.weight is not None else uniform(type(self).__name__, key, self.T, (self.T, self.T))
        self.fill(weight, jnp.ones((self.T,)))
        super().__post_init__()

    def validate(self) -> None:
        """Raises ValueError unless the shapes fit T."""
        super().validate()
        if self.weight.shape != (self.T, self.T):
            raise ValueError(f"`weight` must have shape [T, T] = {(self.T, self.T)}, got {self.weight.shape}")
        shape = np.shape(self.v_threshold)
        if shape and shape[0] != self.T:
            raise ValueError(f"`v_threshold` must have T = {self.T} as its first axis, got shape {shape}")

    def mixing(self) -> Array:
        """The matrix `[T, T]` from inputs to membranes."""
        return self.weight

    def feature_shapes(self) -> dict[str, Shape]:
        """As of every cell, but `weight` and the first axis of `v_threshold` are time."""
        axes = {"weight": (), "v_threshold": np.shape(self.v_threshold)[1:]}
        return super().feature_shapes() | axes

    def limits(self) -> StepLimits:
        """Exactly T steps, in one chunk."""
        reason = f"{type(self).__name__} mixes the T = {self.T} steps it was built for, all at once"
        return StepLimits(self.T, self.T, whole=True, reason=reason)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> tuple[()]:
        """There is no state: nothing goes on from one sequence to the next.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: not needed here.
            key: not needed here.

        Raises:
            ValueError: a per-neuron parameter does not broadcast to `shape`.
        """
        check_broadcast(self, shape)
        return ()

    def step(self, state: tuple[()], x: Array) -> tuple[tuple[()], Array]:
        """The only step, where T is 1.

        Raises:
            ValueError: T > 1.
        """
        if self.T > 1:
            raise ValueError(
                f"{type(self).__name__} cannot take a single step, because its output depends on all T = {self.T} "
                f"steps: use sx.run, or SlidingPSN, which steps"
            )
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)

    def steps(self, state: tuple[()], xs: Sequence) -> tuple[tuple[()], Steps]:
        """All T steps.

        Args:
            state: as `init_state` gives it.
            xs: input of T steps.

        Returns:
            The state, and spikes `[T, N, *]` in the dtype of `xs`.

        Raises:
            ValueError: `xs` has another number of steps than T, or a per-neuron parameter does not broadcast to it.
        """
        self.limits().check(xs.steps)
        self.init_state(xs.shape)
        matrix = self.mixing()
        inner = xs.data.astype(jnp.promote_types(xs.dtype, matrix.dtype))
        if xs.time_axis is None:
            h = matrix.sum(1).reshape(-1, *(1,) * inner.ndim) * inner
        else:
            h = jnp.tensordot(matrix.astype(inner.dtype), inner, 1)
        return state, Steps(self.spikes(h, _over_time(self.v_threshold, h.ndim), xs.data))


class MaskedPSN(PSN):
    """Masked parallel spiking neuron: a PSN that is led, while it trains, to look back k steps and never ahead.

        H = (W * (masking M + 1 - masking)) X      M[i, j] = 1 where 0 <= i - j < k, else 0
        S = Theta(H - v_threshold)

    Raise `masking` from 0 (a PSN) to 1 in the course of training: with `replace(masking=0.5)`, which compiles anew,
    or as an array, at which gradients stop. As a PSN it runs on exactly T steps, whatever `masking` is; when it is 1,
    `SlidingPSN` does as much step by step where the rows of `weight` are equal.

    Args:
        T: number of time steps, >= 1.
        k: steps that the mask lets through, the present one included, from 1 to T.
        masking: how far the mask is applied, within [0, 1]. (SpikingJelly's `lambda_init`, there 0 by default.)
        weight: W `[T, T]`; drawn from `key` where it is not given.
        v_threshold: threshold of each step `[T]`, of each step and neuron `[T, *]`, or one number; ones where it is
            not given.
        surrogate: the surrogate gradient of the threshold.
        key: a `jax.random.key` to draw `weight` from.

    Raises:
        ValueError: as PSN, or `k` or `masking` is out of range.
        TypeError: `surrogate` is no surrogate.

    Source: Fang et al., "Parallel Spiking Neurons with High Efficiency and Ability to Learn Long-term Dependencies",
    2023, the masked PSN.
    """

    k: int
    masking: float | Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `k` and `masking` are in range."""
        super().validate()
        check_integer("k", self.k, le=self.T, remedy=f"`T` is {self.T}")
        check_elements(
            "masking", self.masking, lambda m: (m >= 0) & (m <= 1) & (m.ndim == 0), "one number within [0, 1]"
        )

    def mixing(self) -> Array:
        """The masked matrix `[T, T]` from inputs to membranes."""
        back = np.subtract.outer(np.arange(self.T), np.arange(self.T))
        mask = ((back >= 0) & (back < self.k)).astype(self.weight.dtype)
        masking = jax.lax.stop_gradient(self.masking)
        return self.weight * (masking * mask + (1 - masking)).astype(self.weight.dtype)


def uniform(name: str, key: Array | None, fan_in: int, shape: Shape) -> Array:
    """Weights uniform within 1 / sqrt(fan_in)."""
    if key is None:
        raise ValueError(f"{name} needs `weight`, or a `key` to draw it from, such as key=jax.random.key(0)")
    bound = 1 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def _over_time(value: float | Array, ndim: int) -> float | Array:
    """`[T, *]` with the axes between that broadcast it to `[T, N, *]`; a number stays one."""
    axes = jnp.shape(value)
    return jnp.reshape(value, (axes[0], *(1,) * (ndim - len(axes)), *axes[1:])) if axes else value
