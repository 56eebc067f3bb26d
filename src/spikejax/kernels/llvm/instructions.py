"""Elementwise primitives of JAX as LLVM instructions on scalars and vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import lax
from llvmlite import ir

Value = Any
"""A scalar or a vector of LLVM."""

Write = Callable[..., Value]
"""From a builder and arguments to the instructions' value."""

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
"""Of one element. A bfloat16 is its bits; what is computed of it is computed in float32 and rounded."""


def why_not(name: str, dtypes: list[Any], out: Any) -> str | None:
    """What of a primitive on arguments of these dtypes has no instructions here, or None."""
    kinds = [np.dtype(dtype).name for dtype in dtypes]
    unknown = [kind for kind in (*kinds, np.dtype(out).name) if kind not in TYPES]
    if unknown:
        return f"`{name}` of {unknown[0]}"
    return None if name in CONVERSIONS or name in _table(_wide(kinds)[0]) else f"`{name}` of {kinds[0]}"


def emit(
    build: ir.IRBuilder, name: str, args: list[Value], dtypes: list[Any], out: Any, params: dict, contract: bool = False
) -> Value:
    """Writes the instructions of a primitive; their value.

    Args:
        build: where to.
        name: of the primitive.
        args: its arguments, all scalars or all vectors.
        dtypes: theirs.
        out: dtype of the result.
        params: of the primitive.
        contract: whether a product and a sum may be one instruction, which rounds once.
    """
    kinds, end = [np.dtype(dtype).name for dtype in dtypes], np.dtype(out).name
    if name in CONVERSIONS:
        return CONVERSIONS[name](build, args[0], kinds[0], end)
    if "bfloat16" in kinds:
        args = [_widened(build, a) if kind == "bfloat16" else a for a, kind in zip(args, kinds, strict=True)]
        found = emit(build, name, args, _wide(kinds), np.float32, params)
        return _rounded(build, found) if end == "bfloat16" else found
    more = [params["rounding_method"]] if name == "round" else []
    flags = {"flags": ["contract"]} if contract and name in CONTRACTED and kinds[0].startswith("float") else {}
    return _table(kinds[0])[name](build, *args, *more, **flags)


def type_of(dtype: Any, lanes: int | None) -> ir.Type:
    """The type of a scalar, where `lanes` is None, or of a vector."""
    element = TYPES[np.dtype(dtype).name]
    return element if lanes is None else ir.VectorType(element, lanes)


def constant(value: Any, dtype: Any, lanes: int | None) -> ir.Constant:
    """`value` in every lane."""
    if np.dtype(dtype).name == "bfloat16":
        value, dtype = np.asarray(value, dtype).view(np.uint16), np.uint16
    element = float(value) if np.issubdtype(dtype, np.floating) else int(value)
    return ir.Constant(type_of(dtype, lanes), element if lanes is None else [element] * lanes)


def lanes_of(value: Value) -> int | None:
    """Number of lanes of a vector, or None of a scalar."""
    return value.type.count if isinstance(value.type, ir.VectorType) else None


def splat(build: ir.IRBuilder, value: Value, lanes: int) -> Value:
    """A scalar in every lane."""
    if isinstance(value, ir.Constant):
        return ir.Constant(ir.VectorType(value.type, lanes), [value.constant] * lanes)
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = build.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return build.shuffle_vector(first, nothing, constant(0, np.int32, lanes))


def _wide(kinds: list[str]) -> list[str]:
    return ["float32" if kind == "bfloat16" else kind for kind in kinds]


def _like(value: Value, number: Any, dtype: Any) -> ir.Constant:
    return constant(number, dtype, lanes_of(value))


def _number(value: Value, number: float) -> ir.Constant:
    """A number of the type of `value`."""
    lanes = lanes_of(value)
    return ir.Constant(value.type, number if lanes is None else [number] * lanes)


# Conversions


def _converted(build: ir.IRBuilder, a: Value, start: str, end: str) -> Value:
    if start == end:
        return a
    if start == "bfloat16":
        return _converted(build, _widened(build, a), "float32", end)
    if end == "bfloat16":
        return _rounded(build, _converted(build, a, start, "float32"))
    kind, unsigned = type_of(end, lanes_of(a)), start.startswith(("u", "bool"))
    if end == "bool":
        compare = _compare("!=") if start.startswith("float") else _compare_integers("!=")
        return compare(build, a, ir.Constant(a.type, None))
    if start.startswith("float"):
        if not end.startswith("float"):
            return _to_integer(build, a, kind, "u" if end.startswith("u") else "s")
        return build.fpext(a, kind) if end == "float64" else build.fptrunc(a, kind)
    if end.startswith("float"):
        return build.uitofp(a, kind) if unsigned else build.sitofp(a, kind)
    width, wanted = TYPES[start].width, TYPES[end].width
    if wanted <= width:
        return build.trunc(a, kind) if wanted < width else a
    return build.zext(a, kind) if unsigned else build.sext(a, kind)


def _widened(build: ir.IRBuilder, bits: Value) -> Value:
    """float32 from the bits of a bfloat16."""
    wide = build.zext(bits, type_of(np.int32, lanes_of(bits)))
    return build.bitcast(build.shl(wide, _like(bits, 16, np.int32)), type_of(np.float32, lanes_of(bits)))


def _rounded(build: ir.IRBuilder, a: Value) -> Value:
    """The bits of the bfloat16 nearest to a float32, of two the even one."""
    bits = build.bitcast(a, type_of(np.int32, lanes_of(a)))
    odd = build.and_(build.lshr(bits, _like(a, 16, np.int32)), _like(a, 1, np.int32))
    up = build.add(build.add(bits, _like(a, 0x7FFF, np.int32)), odd)
    quiet = build.or_(bits, _like(a, 0x400000, np.int32))
    whole = build.select(_is_nan(build, a), quiet, up)
    return build.trunc(build.lshr(whole, _like(a, 16, np.int32)), type_of(np.int16, lanes_of(a)))


def _to_integer(build: ir.IRBuilder, a: Value, kind: ir.Type, sign: str) -> Value:
    """The integer towards 0, the last one where it does not fit, 0 for NaN."""
    return _call(build, f"llvm.fpto{sign}i.sat.{_suffix(kind)}.{_suffix(a.type)}", kind, [a])


CONVERSIONS: dict[str, Write] = {
    "convert_element_type": _converted,
    "bitcast_convert_type": lambda build, a, _, end: build.bitcast(a, type_of(end, lanes_of(a))),
}
"""Primitives that change the dtype, from a builder, an argument and the names of both dtypes."""


# Arithmetic


def _intrinsic(name: str) -> Write:
    """An operation of LLVM's own, from arguments of one type to a result of the same."""

    def write(build: ir.IRBuilder, *args: Value) -> Value:
        kind = args[0].type
        return _call(build, f"llvm.{name}.{_suffix(kind)}", kind, args)

    return write


def _call(build: ir.IRBuilder, name: str, kind: ir.Type, args: Any) -> Value:
    function = build.module.globals.get(name)
    if function is None:
        function = ir.Function(build.module, ir.FunctionType(kind, [a.type for a in args]), name)
    return build.call(function, args)


def _suffix(kind: Any) -> str:
    """How the name of an intrinsic tells of a type: v16f32."""
    return f"v{kind.count}{_suffix(kind.element)}" if isinstance(kind, ir.VectorType) else kind.intrinsic_name


def _is_nan(build: ir.IRBuilder, a: Value) -> Value:
    return build.fcmp_unordered("uno", a, a)


def _first_if(sign: str) -> Write:
    """The one that compares so with the other, or NaN where either is."""

    def write(build: ir.IRBuilder, a: Value, b: Value) -> Value:
        if _is_number(a):
            return build.select(build.fcmp_ordered(sign, a, b), a, b)
        if _is_number(b):
            return build.select(build.fcmp_ordered(sign, b, a), b, a)
        return build.select(build.or_(build.fcmp_ordered(sign, a, b), _is_nan(build, a)), a, b)

    return write


def _is_number(value: Value) -> bool:
    """Whether it is a constant, and not NaN."""
    if not isinstance(value, ir.Constant) or value.constant is ir.Undefined:
        return False
    elements = value.constant if isinstance(value.constant, list) else [value.constant]
    return all(element == element for element in elements)


def _first_integer_if(sign: str) -> Write:
    return lambda build, a, b: build.select(build.icmp_signed(sign, a, b), a, b)


def _quotient(build: ir.IRBuilder, a: Value, b: Value) -> Value:
    """-1 by 0; the processor would stop there, and where the least number is divided by -1."""
    by_zero, by_minus_one, divisor = _divisor(build, b)
    found = build.select(by_minus_one, build.neg(a), build.sdiv(a, divisor))
    return build.select(by_zero, _number(a, -1), found)


def _rest(build: ir.IRBuilder, a: Value, b: Value) -> Value:
    """All of it by 0."""
    by_zero, by_minus_one, divisor = _divisor(build, b)
    return build.select(by_zero, a, build.select(by_minus_one, _number(a, 0), build.srem(a, divisor)))


def _divisor(build: ir.IRBuilder, b: Value) -> tuple[Value, Value, Value]:
    by_zero, by_minus_one = (build.icmp_signed("==", b, _number(b, number)) for number in (0, -1))
    return by_zero, by_minus_one, build.select(build.or_(by_zero, by_minus_one), _number(b, 1), b)


def _shift(write: Write, fill: bool) -> Write:
    """A shift; by as many bits as there are, or more, nothing is left but copies of the sign where these `fill`."""

    def shift(build: ir.IRBuilder, a: Value, by: Value) -> Value:
        element = a.type.element if isinstance(a.type, ir.VectorType) else a.type
        last = _number(by, element.width - 1)
        beyond = build.icmp_unsigned(">", by, last)
        found = write(build, a, build.select(beyond, last, by))
        return found if fill else build.select(beyond, _number(a, 0), found)

    return shift


def _clamp(build: ir.IRBuilder, low: Value, a: Value, high: Value) -> Value:
    return FLOATS["min"](build, FLOATS["max"](build, low, a), high)


def _round(build: ir.IRBuilder, a: Value, method: lax.RoundingMethod) -> Value:
    return _intrinsic("roundeven" if method == lax.RoundingMethod.TO_NEAREST_EVEN else "round")(build, a)


def _sign(build: ir.IRBuilder, a: Value) -> Value:
    """1 or -1, and what is neither as it is: 0, NaN."""
    below = build.select(build.fcmp_ordered("<", a, _number(a, 0.0)), _number(a, -1.0), a)
    return build.select(build.fcmp_ordered(">", a, _number(a, 0.0)), _number(a, 1.0), below)


def _is_finite(build: ir.IRBuilder, a: Value) -> Value:
    return build.fcmp_ordered("<", _intrinsic("fabs")(build, a), _number(a, np.inf))


def _compare(sign: str) -> Write:
    """False where either is NaN, but "!="."""
    method = ir.IRBuilder.fcmp_unordered if sign == "!=" else ir.IRBuilder.fcmp_ordered
    return lambda build, a, b: method(build, sign, a, b)


def _compare_integers(sign: str) -> Write:
    return lambda build, a, b: build.icmp_signed(sign, a, b)


def _select(build: ir.IRBuilder, which: Value, no: Value, yes: Value) -> Value:
    return build.select(which, yes, no)


SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

FLOATS: dict[str, Write] = {
    "add": ir.IRBuilder.fadd,
    "sub": ir.IRBuilder.fsub,
    "mul": ir.IRBuilder.fmul,
    "div": ir.IRBuilder.fdiv,
    "rem": ir.IRBuilder.frem,
    "neg": ir.IRBuilder.fneg,
    "abs": _intrinsic("fabs"),
    "sqrt": _intrinsic("sqrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _round,
    "max": _first_if(">"),
    "min": _first_if("<"),
    "clamp": _clamp,
    "sign": _sign,
    "is_finite": _is_finite,
    **{name: _compare(sign) for name, sign in SIGNS.items()},
}
"""Of floating-point numbers."""

CONTRACTED = ("add", "sub", "mul")

BITS: dict[str, Write] = {
    "add": ir.IRBuilder.add,
    "sub": ir.IRBuilder.sub,
    "mul": ir.IRBuilder.mul,
    "and": ir.IRBuilder.and_,
    "or": ir.IRBuilder.or_,
    "xor": ir.IRBuilder.xor,
    "not": ir.IRBuilder.not_,
    "shift_left": _shift(ir.IRBuilder.shl, fill=False),
    "shift_right_logical": _shift(ir.IRBuilder.lshr, fill=False),
    **{name: _compare_integers(SIGNS[name]) for name in ("eq", "ne")},
}
"""Of integers whether they have a sign or not."""

INTEGERS: dict[str, Write] = {
    **BITS,
    "div": _quotient,
    "rem": _rest,
    "neg": ir.IRBuilder.neg,
    "shift_right_arithmetic": _shift(ir.IRBuilder.ashr, fill=True),
    "max": _first_integer_if(">"),
    "min": _first_integer_if("<"),
    **{name: _compare_integers(sign) for name, sign in SIGNS.items()},
}
"""Of signed integers."""

TRUTH: dict[str, Write] = {
    "and": ir.IRBuilder.and_,
    "or": ir.IRBuilder.or_,
    "xor": ir.IRBuilder.xor,
    "not": ir.IRBuilder.not_,
    "select_n": _select,
    **{name: _compare_integers(SIGNS[name]) for name in ("eq", "ne")},
}
"""Of truth values, or by one."""


def _table(kind: str) -> dict[str, Write]:
    """The primitives whose first argument is of dtype `kind`."""
    if kind == "bool":
        return TRUTH
    return FLOATS if kind.startswith("float") else BITS if kind.startswith("u") else INTEGERS
