"""Loops in LLVM."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

INDEX = ir.IntType(64)


def index(value: int) -> ir.Constant:
    """A number of elements."""
    return ir.Constant(INDEX, value)


@contextmanager
def repeat(build: ir.IRBuilder, start: Any, stop: Any, step: int = 1) -> Iterator[Any]:
    """What is built inside is repeated while the index that it gives, which goes up by `step`, is below `stop`."""
    before, function = build.block, build.function
    test, body, after = (function.append_basic_block(name) for name in ("test", "body", "after"))
    build.branch(test)
    build.position_at_end(test)
    i = build.phi(INDEX)
    i.add_incoming(start, before)
    build.cbranch(build.icmp_signed("<", i, stop), body, after)
    build.position_at_end(body)
    yield i
    i.add_incoming(build.add(i, index(step)), build.block)
    build.branch(test)
    build.position_at_end(after)


def least(build: ir.IRBuilder, a: Any, b: Any) -> Any:
    """The smaller of two indices."""
    return build.select(build.icmp_signed("<", a, b), a, b)
