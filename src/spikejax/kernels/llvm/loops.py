"""Loops in LLVM."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from llvmlite import ir

INDEX = ir.IntType(64)


def index(value: int) -> ir.Constant:
    """A number of elements."""
    return ir.Constant(INDEX, value)


@contextmanager
def cycle(build: ir.IRBuilder, start: Any, go_on: Callable[[Any], Any], advance: Callable[[Any], Any]) -> Iterator[Any]:
    """What is built inside is repeated while `go_on` of the value that it gives, which `advance` then changes."""
    before, function = build.block, build.function
    test, body, after = (function.append_basic_block(name) for name in ("test", "body", "after"))
    build.branch(test)
    build.position_at_end(test)
    value = build.phi(INDEX)
    value.add_incoming(start, before)
    build.cbranch(go_on(value), body, after)
    build.position_at_end(body)
    yield value
    value.add_incoming(advance(value), build.block)
    build.branch(test)
    build.position_at_end(after)


def repeat(build: ir.IRBuilder, start: Any, stop: Any, step: int = 1) -> AbstractContextManager[Any]:
    """What is built inside is repeated while the index that it gives, which goes up by `step`, is below `stop`."""
    return cycle(build, start, lambda i: build.icmp_signed("<", i, stop), lambda i: build.add(i, index(step)))


def least(build: ir.IRBuilder, a: Any, b: Any) -> Any:
    """The smaller of two indices."""
    return build.select(build.icmp_signed("<", a, b), a, b)
