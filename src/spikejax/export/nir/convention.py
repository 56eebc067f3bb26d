"""Conventions of NIR: layouts, units of time, thresholds."""

import math
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from spikejax.checks import check_number

METADATA = ("producer", "dt", "reset")
"""Metadata of a graph that spikejax writes; no reader may rely on them."""


def library() -> Any:
    """The package `nir`.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import nir
    except ImportError as error:
        raise ImportError("NIR needs the package `nir`: pip install spikejax[nir]") from error
    return nir


def check_dt(dt: float) -> None:
    """Raises ValueError unless `dt` is a time."""
    check_number("dt", dt, gt=0, remedy="it is the length of a step in seconds, such as 1e-4")


def channels_first_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`(H, W, C)` as `(C, H, W)`."""
    return shape[-1:] + shape[:-1]


def channels_last_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """`(C, H, W)` as `(H, W, C)`."""
    return shape[1:] + shape[:1]


def flattened(shape: tuple[int, ...]) -> np.ndarray | None:
    """For each feature of a flattened `(H, W, C)`, its place where `(C, H, W)` is flattened; None where they agree."""
    order = np.moveaxis(np.arange(math.prod(shape)).reshape(channels_first_shape(shape)), 0, -1).ravel()
    return None if (order == np.arange(order.size)).all() else order


def just_below(threshold: ArrayLike) -> np.ndarray:
    """The threshold of which `v > it` is `v >= threshold`, for any v in float32."""
    return _next(threshold, -np.inf)


def just_above(threshold: ArrayLike) -> np.ndarray:
    """The threshold of which `v >= it` is `v > threshold`, for any v in float32."""
    return _next(threshold, np.inf)


def _next(threshold: ArrayLike, towards: float) -> np.ndarray:
    """The neighbour in float32, without the denormal numbers next to 0, which XLA takes for 0."""
    here = np.asarray(threshold, np.float32)
    there = np.nextafter(here, np.float32(towards))
    tiny = np.finfo(np.float32).tiny
    return np.where(abs(there) >= tiny, there, np.where(here == 0, np.copysign(tiny, np.float32(towards)), 0))
