"""Elementwise primitives of JAX as LLVM instructions on scalars and vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import lax
from llvmlite import ir

Value = Any
"""A scalar or a vector of LLVM."""

TYPES: dict[str, ir.Type] = {
    "bool": ir.IntType(1),
    "int8": ir.IntType(8),
    "uint8": ir.IntType(8),
    "int16": ir.IntType(16),
    "int32": ir.IntType(32),
    "uint32": ir.IntType(32),
    "bfloat16": ir.IntType(16),
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
}
"""Of one element. A bfloat16 is its bits, from which and to which it can only be converted."""


class NotLoweredError(ValueError):
    """A program has an operation for which there are no instructions here."""


def type_of(dtype: Any, lanes: int | None) -> ir.Type:
    """The type of a scalar, where `lanes` is None, or of a vector."""
    element = TYPES.get(np.dtype(dtype).name)
    if element is None:
        raise NotLoweredError(f"has no {np.dtype(dtype).name}")
    return element if lanes is None else ir.VectorType(element, lanes)


def constant(value: Any, dtype: Any, lanes: int | None) -> ir.Constant:
    """`value` in every lane."""
    kind = type_of(dtype, lanes)
    element = float(value) if np.issubdtype(dtype, np.floating) else int(value)
    return ir.Constant(kind, element if lanes is None else [element] * lanes)


def lanes_of(value: Value) -> int | None:
    """Number of lanes of a vector, or None of a scalar."""
    return value.type.count if isinstance(value.type, ir.VectorType) else None


class Instructions:
    """Writes instructions where `builder` stands, for arguments of one dtype and shape."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self._builder = builder

    def emit(self, name: str, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        """The value of a primitive.

        Args:
            name: of the primitive.
            args: its arguments.
            dtypes: theirs.
            out: dtype of the result.
            params: of the primitive.

        Raises:
            NotLoweredError: there are no instructions for it.
        """
        kind = np.dtype(dtypes[0])
        if kind.name == "bfloat16" and name not in ("convert_element_type", "select_n"):
            raise NotLoweredError(f"has no `{name}` of bfloat16")
        method = getattr(self, f"_{name}", None)
        if method is not None:
            return method(args, dtypes, out, params)
        table = FLOATS if np.issubdtype(kind, np.floating) else INTEGERS
        write = table.get(name)
        if write is None:
            raise NotLoweredError(f"has no `{name}` of {kind.name}")
        return write(self._builder, *args)

    def splat(self, value: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if isinstance(value, ir.Constant):
            return ir.Constant(ir.VectorType(value.type, lanes), [value.constant] * lanes)
        kind = ir.VectorType(value.type, lanes)
        first = self._builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        order = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        return self._builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), order)

    def _select_n(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        which, no, yes = args
        if np.dtype(dtypes[0]) != np.bool_:
            raise NotLoweredError("has no `select_n` by integers")
        return self._builder.select(which, yes, no)

    def _clamp(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        low, x, high = args
        return _min(self._builder, _max(self._builder, low, x), high)

    def _round(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        to_even = params["rounding_method"] == lax.RoundingMethod.TO_NEAREST_EVEN
        return _intrinsic("roundeven" if to_even else "round")(self._builder, *args)

    def _convert_element_type(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        (a,), start, end = args, np.dtype(dtypes[0]), np.dtype(out)
        if start == end:
            return a
        if start.name == "bfloat16":
            return self._convert_element_type([self._widened(a)], [np.float32], out, params)
        if end.name == "bfloat16":
            return self._rounded(self._convert_element_type(args, dtypes, np.float32, params))
        return self._converted(a, start, end)

    def _converted(self, a: Value, start: np.dtype, end: np.dtype) -> Value:
        build, kind = self._builder, type_of(end, lanes_of(a))
        floats = np.issubdtype(start, np.floating), np.issubdtype(end, np.floating)
        if end == np.bool_:
            zero = ir.Constant(a.type, None)
            return build.fcmp_unordered("!=", a, zero) if floats[0] else build.icmp_unsigned("!=", a, zero)
        unsigned = start.kind in "bu"
        if floats == (True, True):
            return build.fpext(a, kind) if end.itemsize > start.itemsize else build.fptrunc(a, kind)
        if floats[1]:
            return build.uitofp(a, kind) if unsigned else build.sitofp(a, kind)
        if floats[0]:
            return _saturating(build, a, kind, unsigned=end.kind == "u")
        if end.itemsize == start.itemsize and start != np.bool_:
            return a
        if end.itemsize < start.itemsize:
            return build.trunc(a, kind)
        return build.zext(a, kind) if unsigned else build.sext(a, kind)

    def _widened(self, bits: Value) -> Value:
        """float32 from the bits of a bfloat16."""
        build, lanes = self._builder, lanes_of(bits)
        high = build.shl(build.zext(bits, type_of(np.int32, lanes)), constant(16, np.int32, lanes))
        return build.bitcast(high, type_of(np.float32, lanes))

    def _rounded(self, a: Value) -> Value:
        """The bits of the bfloat16 next to a float32, to even where two are."""
        build, lanes = self._builder, lanes_of(a)
        bits = build.bitcast(a, type_of(np.int32, lanes))
        sixteen, one = constant(16, np.int32, lanes), constant(1, np.int32, lanes)
        odd = build.and_(build.lshr(bits, sixteen), one)
        up = build.add(build.add(bits, constant(0x7FFF, np.int32, lanes)), odd)
        quiet = build.or_(bits, constant(0x400000, np.int32, lanes))
        whole = build.select(build.fcmp_unordered("uno", a, a), quiet, up)
        return build.trunc(build.lshr(whole, sixteen), type_of(np.int16, lanes))

    def _bitcast_convert_type(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        return self._builder.bitcast(args[0], type_of(out, lanes_of(args[0])))

    def _is_finite(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        size = _intrinsic("fabs")(self._builder, *args)
        return self._builder.fcmp_ordered("<", size, constant(np.inf, dtypes[0], lanes_of(size)))

    def _not(self, args: list[Value], dtypes: list[Any], out: Any, params: dict[str, Any]) -> Value:
        return self._builder.not_(args[0])


def _intrinsic(name: str) -> Callable[..., Value]:
    def call(build: ir.IRBuilder, *args: Value) -> Value:
        return build.call(build.module.declare_intrinsic(f"llvm.{name}", [args[0].type]), args)

    return call


def _saturating(build: ir.IRBuilder, a: Value, kind: ir.Type, unsigned: bool) -> Value:
    """An integer, the nearest one where it does not fit, 0 for NaN."""
    name = f"llvm.fpto{'u' if unsigned else 's'}i.sat"
    return build.call(build.module.declare_intrinsic(name, [kind, a.type], ir.FunctionType(kind, [a.type])), [a])


def _max(build: ir.IRBuilder, a: Value, b: Value) -> Value:
    """The larger, or NaN where either is."""
    first = build.or_(build.fcmp_ordered(">", a, b), build.fcmp_unordered("uno", a, a))
    return build.select(first, a, b)


def _min(build: ir.IRBuilder, a: Value, b: Value) -> Value:
    first = build.or_(build.fcmp_ordered("<", a, b), build.fcmp_unordered("uno", a, a))
    return build.select(first, a, b)


def _sign(build: ir.IRBuilder, a: Value) -> Value:
    """1 or -1, and what is neither as it is: 0, NaN."""
    lanes, zero = lanes_of(a), ir.Constant(a.type, None)
    kind = np.float32 if a.type in (ir.FloatType(), ir.VectorType(ir.FloatType(), lanes or 1)) else np.float64
    below = build.select(build.fcmp_ordered("<", a, zero), constant(-1, kind, lanes), a)
    return build.select(build.fcmp_ordered(">", a, zero), constant(1, kind, lanes), below)


def _compare(sign: str, floating: bool) -> Callable[..., Value]:
    def write(build: ir.IRBuilder, a: Value, b: Value) -> Value:
        if not floating:
            return build.icmp_signed(sign, a, b)
        return build.fcmp_unordered(sign, a, b) if sign == "!=" else build.fcmp_ordered(sign, a, b)

    return write


SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

FLOATS: dict[str, Callable[..., Value]] = {
    "add": ir.IRBuilder.fadd,
    "sub": ir.IRBuilder.fsub,
    "mul": ir.IRBuilder.fmul,
    "div": ir.IRBuilder.fdiv,
    "neg": ir.IRBuilder.fneg,
    "abs": _intrinsic("fabs"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "max": _max,
    "min": _min,
    "sign": _sign,
} | {name: _compare(sign, floating=True) for name, sign in SIGNS.items()}
"""Instructions on floating-point numbers."""

INTEGERS: dict[str, Callable[..., Value]] = {
    "add": ir.IRBuilder.add,
    "sub": ir.IRBuilder.sub,
    "mul": ir.IRBuilder.mul,
    "div": ir.IRBuilder.sdiv,
    "rem": ir.IRBuilder.srem,
    "neg": ir.IRBuilder.neg,
    "and": ir.IRBuilder.and_,
    "or": ir.IRBuilder.or_,
    "xor": ir.IRBuilder.xor,
    "shift_left": ir.IRBuilder.shl,
    "shift_right_arithmetic": ir.IRBuilder.ashr,
    "shift_right_logical": ir.IRBuilder.lshr,
    "max": lambda build, a, b: build.select(build.icmp_signed(">", a, b), a, b),
    "min": lambda build, a, b: build.select(build.icmp_signed("<", a, b), a, b),
} | {name: _compare(sign, floating=False) for name, sign in SIGNS.items()}
"""Instructions on integers, signed, and on truth values."""
