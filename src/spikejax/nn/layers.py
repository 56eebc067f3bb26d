"""Stateless layers that Flax has only as functions, or not at all."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_integer, check_number
from spikejax.typing import Array


@dataclass(frozen=True)
class Flatten:
    """Joins all axes but the first: `[N, *]` to `[N, prod(*)]`."""

    def __call__(self, x: Array) -> Array:
        """Flattens one batch."""
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


@dataclass(frozen=True)
class _Pool:
    window: int | tuple[int, ...]
    strides: int | tuple[int, ...] | None = None
    padding: str | tuple[tuple[int, int], ...] = "VALID"

    def __post_init__(self) -> None:
        for name in ("window", "strides"):
            value = getattr(self, name)
            if value is not None and any(n < 1 for n in ((value,) if isinstance(value, int) else value)):
                raise ValueError(f"`{name}` must be >= 1 in every axis, got {value}")
        pairs = isinstance(self.padding, tuple) and all(isinstance(pair, tuple) for pair in self.padding)
        if self.padding not in ("VALID", "SAME") and not pairs:
            raise ValueError(
                f"`padding` must be 'VALID', 'SAME' or a pair (low, high) an axis, such as ((1, 1), (0, 0)), "
                f"got {self.padding!r}"
            )

    def _sizes(self, x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Window and strides for the space axes of `x` `[N, *space, C]`."""
        space = x.ndim - 2
        window = (self.window,) * space if isinstance(self.window, int) else self.window
        strides = window if self.strides is None else self.strides
        strides = (strides,) * space if isinstance(strides, int) else strides
        if len(window) != space or len(strides) != space:
            raise ValueError(
                f"`window` {self.window} and `strides` {self.strides} must have {space} axes for an input of shape "
                f"{x.shape}"
            )
        return window, strides

    def _reached(self, x: Array) -> tuple[Array, tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
        """The part of `x` that the windows reach, their sizes and strides, and its padding."""
        window, strides = self._sizes(x)
        space = x.shape[1:-1]
        padding = self.padding
        if isinstance(padding, str):
            padding = tuple(lax.padtype_to_pads(space, window, strides, padding))
        slices, pairs = [], []
        for size, wide, step, (low, high) in zip(space, window, strides, padding, strict=True):
            # Without what is left over at the end: XLA of JAX 0.10 computes wrong values there on CPU, where windows
            # do not overlap and the input comes from a reshape.
            left_over = (size + low + high - wide) % step if size + low + high >= wide else 0
            slices.append(slice(size - max(0, left_over - high)))
            pairs.append((low, max(0, high - left_over)))
        return x[(slice(None), *slices)], window, strides, tuple(pairs)


class MaxPool(_Pool):
    """Largest value in each window: `[N, H, W, C]` to `[N, H / strides, W / strides, C]`; any number of space axes.

    Args:
        window: size of the window, one number or one an axis.
        strides: step between windows; None takes the window.
        padding: "VALID", "SAME", or what to add before and after each axis, as ((1, 1), (0, 0)).

    Raises:
        ValueError: a size is < 1, or does not fit the input's axes.
    """

    def __call__(self, x: Array) -> Array:
        """Pools one batch."""
        return nnx.max_pool(*self._reached(x))  # pyright: ignore[reportArgumentType]


class AvgPool(_Pool):
    """Mean of each window, padding included: `[N, H, W, C]` to `[N, H / strides, W / strides, C]`; any number of axes.

    Args:
        window: size of the window, one number or one an axis.
        strides: step between windows; None takes the window.
        padding: "VALID", "SAME", or what to add before and after each axis, as ((1, 1), (0, 0)).

    Raises:
        ValueError: a size is < 1, or does not fit the input's axes.
    """

    def __call__(self, x: Array) -> Array:
        """Pools one batch."""
        return nnx.avg_pool(*self._reached(x))  # pyright: ignore[reportArgumentType]


class SumPool(_Pool):
    """Sum of each window: `[N, H, W, C]` to `[N, H / strides, W / strides, C]`; any number of space axes.

    Args:
        window: size of the window, one number or one an axis.
        strides: step between windows; None takes the window.
        padding: "VALID", "SAME", or what to add before and after each axis, as ((1, 1), (0, 0)).

    Raises:
        ValueError: a size is < 1, or does not fit the input's axes.

    NIR's SumPool2d; spikes that it joins stay whole numbers, as chips want them.
    """

    def __call__(self, x: Array) -> Array:
        """Pools one batch."""
        x, *sizes = self._reached(x)
        return nnx.pool(x, 0, lax.add, *sizes)


@dataclass(frozen=True)
class Voting:
    """Mean of groups of neighbouring outputs, one group a class: `[..., C * voters]` to `[..., C]`.

    Args:
        voters: outputs a class, >= 1.

    Raises:
        ValueError: the last axis is not a multiple of `voters`.

    Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
    Networks", 2021.
    """

    voters: int = 10

    def __post_init__(self) -> None:
        check_integer("voters", self.voters)

    def __call__(self, x: Array) -> Array:
        """Averages each group."""
        if x.shape[-1] % self.voters:
            raise ValueError(f"the last axis of {x.shape} must be a multiple of `voters` = {self.voters}")
        return jnp.mean(x.reshape(*x.shape[:-1], -1, self.voters), axis=-1)


class Scale(nnx.Module):
    """Multiplies each feature by its own factor: y = scale x.

    Args:
        scale: the factor, finite: one number, or an array that broadcasts to the input `[N, *]`, aligned to the last
            axes; a parameter of the network.

    Raises:
        ValueError: `scale` is not finite, or widens the input.

    NIR's Scale.
    """

    def __init__(self, scale: ArrayLike) -> None:
        check_number("scale", scale)
        self.scale = nnx.Param(jnp.asarray(scale, jnp.result_type(float, scale)))

    def __call__(self, x: Array) -> Array:
        """Scales one batch."""
        y = x * self.scale[...]
        if y.shape != x.shape:
            raise ValueError(f"`scale` of shape {self.scale[...].shape} does not broadcast to an input of {x.shape}")
        return y
