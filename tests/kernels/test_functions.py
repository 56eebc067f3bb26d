"""The functions of float32 in plain operations, against float64 of NumPy.

Their programs are computed here operation by operation, as float32 of NumPy: no compiler changes them, and numbers
below 2^-126 stay.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.kernels.llvm.functions import FUNCTIONS

COUNT = 20_000
TINY, MOST = np.float64(2.0**-126), np.float64(np.finfo(np.float32).max)
INF, NAN = math.inf, math.nan

BITS = {"int32": np.int32, "float32": np.float32}
SHIFTED = {
    "shift_left": lambda a, b: (a.astype(np.uint32) << np.uint32(b)).astype(np.int32),
    "shift_right_arithmetic": np.right_shift,
    "shift_right_logical": lambda a, b: (a.astype(np.uint32) >> np.uint32(b)).astype(np.int32),
}
PRIMITIVES: dict[str, Callable] = SHIFTED | {
    "abs": np.abs,
    "add": np.add,
    "and": np.bitwise_and,
    "bitcast_convert_type": lambda a, new_dtype: np.asarray(a).view(new_dtype),
    "broadcast_in_dim": lambda a, shape, **_: np.broadcast_to(a, shape),
    "clamp": lambda low, a, high: np.minimum(np.maximum(low, a), high),
    "convert_element_type": lambda a, new_dtype, **_: np.asarray(a).astype(new_dtype),
    "div": np.divide,
    "eq": np.equal,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "select_n": lambda which, no, yes: np.where(which, yes, no),
    "sqrt": np.sqrt,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}
"""All that the functions may be made of."""
