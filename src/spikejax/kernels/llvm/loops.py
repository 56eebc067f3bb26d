"""Loops in the language of LLVM."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from llvmlite import ir

LLVMValue = Any
"""A value of a program of LLVM: an instruction or a constant, a scalar or a vector. llvmlite has no type for all."""

INDEX, FLOAT = ir.IntType(64), ir.FloatType()


def index(value: int) -> ir.Constant:
    """The constant index `value`."""
    return ir.Constant(INDEX, value)


@contextmanager
def while_loop(
    build: ir.IRBuilder,
    start: LLVMValue,
    condition: Callable[[LLVMValue], LLVMValue],
    advance: Callable[[LLVMValue], LLVMValue],
) -> Iterator[LLVMValue]:
    """A loop over the instructions built inside, as long as `condition` of its value is true; `advance` changes it."""
    before, function = build.block, build.function
    test, body, after = (function.append_basic_block(name) for name in ("test", "body", "after"))
    build.branch(test)
    build.position_at_end(test)
    value = build.phi(INDEX)
    value.add_incoming(start, before)
    build.cbranch(condition(value), body, after)
    build.position_at_end(body)
    yield value
    value.add_incoming(advance(value), build.block)
    build.branch(test)
    build.position_at_end(after)


def for_loop(
    build: ir.IRBuilder, start: LLVMValue, stop: LLVMValue, step: int = 1
) -> AbstractContextManager[LLVMValue]:
    """A loop over the instructions built inside, for an index that goes up by `step` while it is below `stop`."""
    return while_loop(build, start, lambda i: build.icmp_signed("<", i, stop), lambda i: build.add(i, index(step)))


def smaller_index(build: ir.IRBuilder, a: LLVMValue, b: LLVMValue) -> LLVMValue:
    """The smaller of two indices."""
    return build.select(build.icmp_signed("<", a, b), a, b)
