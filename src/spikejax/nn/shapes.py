"""Layers that bring an input to a given size, or tell its size."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from spikejax.typing import Array


@dataclass(frozen=True)
class AdaptiveAvgPool:
    """Mean over as many bins an axis as asked for: `[N, H, W, C]` to `[N, *output_size, C]`; any number of space axes.

        bin i of n places reaches from floor(i n / output_size) to ceil((i + 1) n / output_size)

    Bins overlap where n is no multiple of `output_size`; where it is one, it is `AvgPool`.

    Args:
        output_size: bins of each space axis, >= 1: one number, or one an axis, with None to keep the axis as it is.

    Raises:
        ValueError: a size is < 1, or their number is not that of the space axes.

    PyTorch's `AdaptiveAvgPool1d` to `3d`.
    """

    output_size: int | tuple[int | None, ...]

    def __post_init__(self) -> None:
        sizes = self.output_size if isinstance(self.output_size, tuple) else (self.output_size,)
        if any(size is not None and size < 1 for size in sizes):
            raise ValueError(f"`output_size` must be >= 1 in every axis, got {self.output_size}")

    def __call__(self, x: Array) -> Array:
        """Pools one batch."""
        x = jnp.asarray(x)
        space = x.ndim - 2
        sizes = self.output_size if isinstance(self.output_size, tuple) else (self.output_size,) * space
        if len(sizes) != space:
            raise ValueError(f"`output_size` {self.output_size} must have {space} axes for an input of shape {x.shape}")
        y = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        for axis, bins in enumerate(sizes, 1):
            if bins is not None:
                share = jnp.asarray(_shares(x.shape[axis], bins), y.dtype)
                y = jnp.moveaxis(jnp.tensordot(y, share, (axis, 1), precision="highest"), -1, axis)
        return y.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else y


def _shares(places: int, bins: int) -> np.ndarray:
    """Weights of the places in the mean of each bin, `[bins, places]`."""
    low = np.arange(bins) * places // bins
    high = -(-np.arange(1, bins + 1) * places // bins)
    inside = (np.arange(places) >= low[:, None]) & (np.arange(places) < high[:, None])
    return inside / inside.sum(1, keepdims=True)


@dataclass(frozen=True)
class PrintShape:
    """Prints its name and the shape that reaches it, and changes nothing.

    A shape is known when the network is traced, so a compiled network prints once, not at every call; in a network over
    time the first axis is that of all steps of a chunk together.

    Args:
        name: what to print before the shape.
    """

    name: str = "shape"

    def __call__(self, x: Array) -> Array:
        """Prints, and gives back `x`."""
        print(f"{self.name}: {jnp.shape(x)} {x.dtype}")
        return x
