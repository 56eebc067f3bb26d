"""The public cells that have no row in cases.py, each with the file that tests it, and how to build it.

A parallel neuron has no charge, fire and reset; a wrapper is tested around many neurons; the membrane of a neuron
without reset has no product through the reset.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import spikejax as sx

ELSEWHERE = {
    "LinearLIF": "tests/scan/test_associative.py",
    "MaskedPSN": "tests/cells/test_parallel.py",
    "PSN": "tests/cells/test_parallel.py",
    "Refractory": "tests/cells/test_wrappers.py",
    "SlidingPSN": "tests/cells/test_parallel.py",
    "Stochastic": "tests/cells/test_stochastic.py",
}
T, FEATURES, ATAN = 4, 4, sx.surrogate.ATan()


def varied(number: float, *time: int) -> Any:
    """A value a neuron, and a step where the cell has such."""
    count = int(np.prod((*time, FEATURES)))
    return jnp.asarray(number * (1 + np.arange(count) % 3).reshape(*time, FEATURES))


KINDS: dict[str, Callable[..., Any]] = {
    "constant": lambda number, *time: number,
    "scalar": lambda number, *time: jnp.array(number),
    "neuron": lambda number, *time: jnp.full((*time, FEATURES), number),
}


def build(name: str, value: Callable[..., Any] = varied, surrogate: Any = ATAN) -> Any:
    """The cell, each parameter that may be one a neuron made by `value(number, *axes of time)`."""
    matrix, options = 0.5 * np.cos(1.3 * np.arange(T * T)).reshape(T, T), {"surrogate": surrogate}
    match name:
        case "LinearLIF":
            return sx.LinearLIF(tau=value(2.0), v_threshold=value(0.3), **options)
        case "MaskedPSN":
            return sx.MaskedPSN(T=T, k=2, masking=0.4, weight=matrix, v_threshold=value(0.1, T), **options)
        case "PSN":
            return sx.PSN(T=T, weight=matrix, v_threshold=value(0.1, T), **options)
        case "Refractory":
            return sx.Refractory(sx.LIF(tau=value(2.0), v_threshold=value(0.5), **options), value(1))
        case "SlidingPSN":
            return sx.SlidingPSN(k=3, weight=matrix[:3], v_threshold=value(0.3), **options)
        case "Stochastic":
            return sx.Stochastic(sx.LIF(tau=value(2.0), v_threshold=value(0.5), **options))
    raise NotImplementedError(name)
