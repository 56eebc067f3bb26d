"""Types and constants of LLVM for those of JAX."""

from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import DTypeLike

from spikejax.kernels.llvm.loops import LLVMValue

TYPES: dict[str, Any] = {
    "bool": ir.IntType(1),
    "int8": ir.IntType(8),
    "uint8": ir.IntType(8),
    "int16": ir.IntType(16),
    "uint16": ir.IntType(16),
    "int32": ir.IntType(32),
    "uint32": ir.IntType(32),
    "int64": ir.IntType(64),
    "uint64": ir.IntType(64),
    "bfloat16": ir.IntType(16),
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
}
"""Types of one element, by dtype. A bfloat16 is its bits; operations on it compute in float32 and round."""


def type_of(dtype: DTypeLike, lanes: int | None) -> ir.Type:
    """The type of a vector, or of a scalar if `lanes` is None."""
    element = TYPES[np.dtype(dtype).name]
    return element if lanes is None else ir.VectorType(element, lanes)


def constant(value: np.ndarray | np.generic | float, dtype: DTypeLike, lanes: int | None) -> ir.Constant:
    """A constant vector of `value` in every lane, or a constant scalar if `lanes` is None."""
    if np.dtype(dtype).name == "bfloat16":
        value, dtype = np.asarray(value, dtype).view(np.uint16), np.uint16
    element = float(value) if np.issubdtype(dtype, np.floating) else int(value)  # pyright: ignore[reportArgumentType]
    return ir.Constant(type_of(dtype, lanes), element if lanes is None else [element] * lanes)


def lanes_of(value: LLVMValue) -> int | None:
    """The number of lanes of a vector, or None for a scalar."""
    return value.type.count if isinstance(value.type, ir.VectorType) else None


def splat(build: ir.IRBuilder, value: LLVMValue, lanes: int) -> LLVMValue:
    """A vector of a scalar in every lane."""
    if isinstance(value, ir.Constant):
        return ir.Constant(ir.VectorType(value.type, lanes), [value.constant] * lanes)
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = build.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return build.shuffle_vector(first, nothing, constant(0, np.int32, lanes))
