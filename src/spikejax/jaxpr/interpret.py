"""Programs computed with other values, or other operations, than JAX's."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from spikejax.internals import ClosedJaxpr, JaxprEqn, Literal, called_program

EquationRule = Callable[[JaxprEqn, list[Any]], Sequence[Any]]
"""`(equation, inputs)` to the results; literals and constants of the program are inputs as they are."""


def interpret(program: ClosedJaxpr, args: Sequence[Any], rule: EquationRule) -> list[Any]:
    """The results of a program, of which `rule` computes every equation."""
    jaxpr = program.jaxpr
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*program.consts, *args), strict=True))

    def read(a: Any) -> Any:
        return a.val if isinstance(a, Literal) else values[a]

    for equation in jaxpr.eqns:
        outs = rule(equation, [read(a) for a in equation.invars])
        values.update(zip(equation.outvars, outs, strict=True))
    return [read(a) for a in jaxpr.outvars]


def inlined(rule: EquationRule) -> EquationRule:
    """A rule for every equation from one for operations: programs that an equation only calls are entered."""

    def apply(equation: JaxprEqn, inputs: list[Any]) -> Sequence[Any]:
        program = called_program(equation)
        return rule(equation, inputs) if program is None else interpret(program, inputs, apply)

    return apply


def operations(program: ClosedJaxpr) -> Iterator[JaxprEqn]:
    """The equations of a program, and in place of calls those of the programs called."""
    for equation in program.jaxpr.eqns:
        called = called_program(equation)
        yield from [equation] if called is None else operations(called)
