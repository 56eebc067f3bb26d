"""Medians and quartiles."""

import statistics
from collections.abc import Iterable
from typing import NamedTuple


class Spread(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Median and quartiles of one value or more.

    Raises:
        ValueError: there is no value.
    """
    values = sorted(values)
    if not values:
        raise ValueError("`values` must hold at least one value, got none")
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)
