"""Elementwise primitives of JAX as LLVM instructions on scalars and vectors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jax import lax
from llvmlite import ir
from numpy.typing import DTypeLike

from spikejax.kernels.llvm.loops import LLVMValue
from spikejax.kernels.llvm.values import TYPES, constant, lanes_of, type_of

Instruction = Callable[..., LLVMValue]
"""A function that writes instructions, from a builder and arguments to the value of the instructions."""


def missing_instruction(name: str, dtypes: Sequence[np.dtype], out: np.dtype) -> str | None:
    """The primitive and the dtype for which there are no instructions, or None if there are."""
    kinds = [np.dtype(dtype).name for dtype in dtypes]
    unknown = [kind for kind in (*kinds, np.dtype(out).name) if kind not in TYPES]
    if unknown:
        return f"`{name}` of {unknown[0]}"
    return None if name in CONVERSIONS or name in _table(_wide(kinds)[0]) else f"`{name}` of {kinds[0]}"


def emit(
    build: ir.IRBuilder,
    name: str,
    args: Sequence[LLVMValue],
    dtypes: Sequence[np.dtype],
    out: np.dtype,
    params: Mapping[str, Any],
    contract: bool = False,
) -> LLVMValue:
    """Writes the instructions of a primitive, and returns their value.

    Args:
        build: the builder to write them to.
        name: name of the primitive.
        args: its arguments, all scalars or all vectors.
        dtypes: the dtypes of the arguments.
        out: the dtype of the result.
        params: the parameters of the primitive.
        contract: True if a product and a sum may be one instruction, which rounds once.
    """
    kinds, end = [np.dtype(dtype).name for dtype in dtypes], np.dtype(out).name
    if name in CONVERSIONS:
        return CONVERSIONS[name](build, args[0], kinds[0], end)
    if "bfloat16" in kinds:
        args = [_widened(build, a) if kind == "bfloat16" else a for a, kind in zip(args, kinds, strict=True)]
        wide = emit(build, name, args, [np.dtype(kind) for kind in _wide(kinds)], np.dtype(np.float32), params)
        return _rounded(build, wide) if end == "bfloat16" else wide
    more = [params["rounding_method"]] if name == "round" else []
    flags = {"flags": ["contract"]} if contract and name in CONTRACTED and kinds[0].startswith("float") else {}
    return _table(kinds[0])[name](build, *args, *more, **flags)


def _wide(kinds: list[str]) -> list[str]:
    return ["float32" if kind == "bfloat16" else kind for kind in kinds]


def _like(value: LLVMValue, number: int, dtype: DTypeLike) -> ir.Constant:
    return constant(number, dtype, lanes_of(value))


def _number(value: LLVMValue, number: float) -> ir.Constant:
    """A constant of the type of `value`."""
    lanes = lanes_of(value)
    return ir.Constant(value.type, number if lanes is None else [number] * lanes)


# Conversions


def _converted(build: ir.IRBuilder, a: LLVMValue, start: str, end: str) -> LLVMValue:
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
    start_width, end_width = TYPES[start].width, TYPES[end].width
    if end_width <= start_width:
        return build.trunc(a, kind) if end_width < start_width else a
    return build.zext(a, kind) if unsigned else build.sext(a, kind)


def _widened(build: ir.IRBuilder, bits: LLVMValue) -> LLVMValue:
    """A bfloat16, by its bits, as a float32."""
    wide = build.zext(bits, type_of(np.int32, lanes_of(bits)))
    return build.bitcast(build.shl(wide, _like(bits, 16, np.int32)), type_of(np.float32, lanes_of(bits)))


def _rounded(build: ir.IRBuilder, a: LLVMValue) -> LLVMValue:
    """The bits of the bfloat16 nearest to a float32; the even one of two that are."""
    bits = build.bitcast(a, type_of(np.int32, lanes_of(a)))
    odd = build.and_(build.lshr(bits, _like(a, 16, np.int32)), _like(a, 1, np.int32))
    up = build.add(build.add(bits, _like(a, 0x7FFF, np.int32)), odd)
    quiet = build.or_(bits, _like(a, 0x400000, np.int32))
    whole = build.select(_is_nan(build, a), quiet, up)
    return build.trunc(build.lshr(whole, _like(a, 16, np.int32)), type_of(np.int16, lanes_of(a)))


def _to_integer(build: ir.IRBuilder, a: LLVMValue, kind: ir.Type, sign: str) -> LLVMValue:
    """The integer next to `a` towards 0, clipped to the range of the type; 0 for NaN."""
    return _call(build, f"llvm.fpto{sign}i.sat.{_suffix(kind)}.{_suffix(a.type)}", kind, [a])


CONVERSIONS: dict[str, Instruction] = {
    "convert_element_type": _converted,
    "bitcast_convert_type": lambda build, a, _, end: build.bitcast(a, type_of(end, lanes_of(a))),
}
"""Primitives that change the dtype: functions of a builder, an argument and the names of both dtypes."""


# Arithmetic


def _intrinsic(name: str) -> Instruction:
    """An operation that LLVM has by name, from arguments of one type to a result of the same."""

    def write(build: ir.IRBuilder, *args: LLVMValue) -> LLVMValue:
        kind = args[0].type
        return _call(build, f"llvm.{name}.{_suffix(kind)}", kind, args)

    return write


def _call(build: ir.IRBuilder, name: str, kind: ir.Type, args: Sequence[LLVMValue]) -> LLVMValue:
    function = build.module.globals.get(name)
    if function is None:
        function = ir.Function(build.module, ir.FunctionType(kind, [a.type for a in args]), name)
    return build.call(function, args)


def _suffix(kind: ir.Type) -> str:
    """The suffix for a type in the name of an intrinsic, such as v16f32."""
    return f"v{kind.count}{_suffix(kind.element)}" if isinstance(kind, ir.VectorType) else kind.intrinsic_name  # pyright: ignore[reportAttributeAccessIssue]


def _is_nan(build: ir.IRBuilder, a: LLVMValue) -> LLVMValue:
    return build.fcmp_unordered("uno", a, a)


def _first_if(sign: str) -> Instruction:
    """The argument that compares so with the other, or NaN if one of them is NaN."""

    def write(build: ir.IRBuilder, a: LLVMValue, b: LLVMValue) -> LLVMValue:
        if _is_number(a):
            return build.select(build.fcmp_ordered(sign, a, b), a, b)
        if _is_number(b):
            return build.select(build.fcmp_ordered(sign, b, a), b, a)
        return build.select(build.or_(build.fcmp_ordered(sign, a, b), _is_nan(build, a)), a, b)

    return write


def _is_number(value: LLVMValue) -> bool:
    """True for a constant that is not NaN."""
    if not isinstance(value, ir.Constant) or value.constant is ir.Undefined:
        return False
    elements = value.constant if isinstance(value.constant, list) else [value.constant]
    return all(element == element for element in elements)


def _first_integer_if(sign: str) -> Instruction:
    return lambda build, a, b: build.select(build.icmp_signed(sign, a, b), a, b)


def _quotient(build: ir.IRBuilder, a: LLVMValue, b: LLVMValue) -> LLVMValue:
    """A quotient; -1 for a divisor of 0, at which the processor would stop, as at the least number by -1."""
    by_zero, by_minus_one, divisor = _divisor(build, b)
    quotient = build.select(by_minus_one, build.neg(a), build.sdiv(a, divisor))
    return build.select(by_zero, _number(a, -1), quotient)


def _rest(build: ir.IRBuilder, a: LLVMValue, b: LLVMValue) -> LLVMValue:
    """A remainder; the dividend for a divisor of 0."""
    by_zero, by_minus_one, divisor = _divisor(build, b)
    return build.select(by_zero, a, build.select(by_minus_one, _number(a, 0), build.srem(a, divisor)))


def _divisor(build: ir.IRBuilder, b: LLVMValue) -> tuple[LLVMValue, LLVMValue, LLVMValue]:
    by_zero, by_minus_one = (build.icmp_signed("==", b, _number(b, number)) for number in (0, -1))
    return by_zero, by_minus_one, build.select(build.or_(by_zero, by_minus_one), _number(b, 1), b)


def _shift(instruction: Instruction, fill: bool) -> Instruction:
    """A shift. By as many bits as there are, or more, it gives 0, or copies of the sign if these `fill`."""

    def shift(build: ir.IRBuilder, a: LLVMValue, by: LLVMValue) -> LLVMValue:
        element = a.type.element if isinstance(a.type, ir.VectorType) else a.type
        last = _number(by, element.width - 1)
        beyond = build.icmp_unsigned(">", by, last)
        shifted = instruction(build, a, build.select(beyond, last, by))
        return shifted if fill else build.select(beyond, _number(a, 0), shifted)

    return shift


def _clamp(build: ir.IRBuilder, low: LLVMValue, a: LLVMValue, high: LLVMValue) -> LLVMValue:
    return FLOAT_INSTRUCTIONS["min"](build, FLOAT_INSTRUCTIONS["max"](build, low, a), high)


def _round(build: ir.IRBuilder, a: LLVMValue, method: lax.RoundingMethod) -> LLVMValue:
    return _intrinsic("roundeven" if method == lax.RoundingMethod.TO_NEAREST_EVEN else "round")(build, a)


def _sign(build: ir.IRBuilder, a: LLVMValue) -> LLVMValue:
    """1 or -1; 0 and NaN stay."""
    below = build.select(build.fcmp_ordered("<", a, _number(a, 0.0)), _number(a, -1.0), a)
    return build.select(build.fcmp_ordered(">", a, _number(a, 0.0)), _number(a, 1.0), below)


def _is_finite(build: ir.IRBuilder, a: LLVMValue) -> LLVMValue:
    return build.fcmp_ordered("<", _intrinsic("fabs")(build, a), _number(a, np.inf))


def _compare(sign: str) -> Instruction:
    """A comparison. With NaN all but "!=" are false."""
    method = ir.IRBuilder.fcmp_unordered if sign == "!=" else ir.IRBuilder.fcmp_ordered
    return lambda build, a, b: method(build, sign, a, b)


def _compare_integers(sign: str) -> Instruction:
    return lambda build, a, b: build.icmp_signed(sign, a, b)


def _select(build: ir.IRBuilder, condition: LLVMValue, no: LLVMValue, yes: LLVMValue) -> LLVMValue:
    return build.select(condition, yes, no)


COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

FLOAT_INSTRUCTIONS: dict[str, Instruction] = {
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
    **{name: _compare(sign) for name, sign in COMPARISONS.items()},
}
"""Primitives of floating-point numbers."""

CONTRACTED = ("add", "sub", "mul")

INTEGER_INSTRUCTIONS: dict[str, Instruction] = {
    "add": ir.IRBuilder.add,
    "sub": ir.IRBuilder.sub,
    "mul": ir.IRBuilder.mul,
    "and": ir.IRBuilder.and_,
    "or": ir.IRBuilder.or_,
    "xor": ir.IRBuilder.xor,
    "not": ir.IRBuilder.not_,
    "shift_left": _shift(ir.IRBuilder.shl, fill=False),
    "shift_right_logical": _shift(ir.IRBuilder.lshr, fill=False),
    **{name: _compare_integers(COMPARISONS[name]) for name in ("eq", "ne")},
}
"""Primitives of integers with or without a sign."""

SIGNED_INSTRUCTIONS: dict[str, Instruction] = {
    **INTEGER_INSTRUCTIONS,
    "div": _quotient,
    "rem": _rest,
    "neg": ir.IRBuilder.neg,
    "shift_right_arithmetic": _shift(ir.IRBuilder.ashr, fill=True),
    "max": _first_integer_if(">"),
    "min": _first_integer_if("<"),
    **{name: _compare_integers(sign) for name, sign in COMPARISONS.items()},
}
"""Primitives of signed integers."""

BOOLEAN_INSTRUCTIONS: dict[str, Instruction] = {
    "and": ir.IRBuilder.and_,
    "or": ir.IRBuilder.or_,
    "xor": ir.IRBuilder.xor,
    "not": ir.IRBuilder.not_,
    "select_n": _select,
    **{name: _compare_integers(COMPARISONS[name]) for name in ("eq", "ne")},
}
"""Primitives of truth values, or by a truth value."""


def _table(kind: str) -> dict[str, Instruction]:
    """The primitives for a first argument of dtype `kind`."""
    if kind == "bool":
        return BOOLEAN_INSTRUCTIONS
    return (
        FLOAT_INSTRUCTIONS
        if kind.startswith("float")
        else INTEGER_INSTRUCTIONS
        if kind.startswith("u")
        else SIGNED_INSTRUCTIONS
    )
