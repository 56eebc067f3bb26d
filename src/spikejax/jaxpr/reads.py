"""Inputs on which a function depends."""

from collections.abc import Callable
from typing import Any

import jax

from spikejax.internals import JaxprEqn
from spikejax.jaxpr.interpret import inlined, interpret

Sources = frozenset[int]
"""Numbers of the inputs from which a value follows."""


def reads(function: Callable[..., Any], *args: Any) -> list[bool]:
    """For each leaf of the arguments, True if the value of `function` depends on it."""
    program = jax.make_jaxpr(function)(*args)
    count = len(program.in_avals)
    outs = interpret(program, [frozenset((i,)) for i in range(count)], inlined(_join))
    sources = _union(outs)
    return [i in sources for i in range(count)]


def _join(equation: JaxprEqn, inputs: list[Any]) -> list[Sources]:
    return [_union(inputs)] * len(equation.outvars)


def _union(values: list[Any]) -> Sources:
    """All sources of some values; literals and constants have none."""
    return frozenset().union(*(value for value in values if isinstance(value, frozenset)))
