"""Traced programs: their parts, the programs that they call, and the lines of code that they come from."""

from collections.abc import Callable, Sequence
from typing import Any

from jax.core import ShapedArray
from jax.extend import source_info_util
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

__all__ = [
    "ClosedJaxpr",
    "Jaxpr",
    "JaxprEqn",
    "Literal",
    "Var",
    "aval_of",
    "bind_equation",
    "called_program",
    "line_of",
    "subprogram",
]

CALLS = frozenset(("closed_call", "custom_jvp_call", "custom_vjp_call", "jit", "remat2"))
"""Primitives that only call a program."""

KEYS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters that hold the program called."""


def called_program(equation: JaxprEqn) -> ClosedJaxpr | None:
    """The program that an equation calls and does nothing else with; None for every other equation."""
    if equation.primitive.name not in CALLS:
        return None
    program = next(equation.params[key] for key in KEYS if key in equation.params)
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, ())


def aval_of(atom: Var | Literal) -> ShapedArray:
    """Shape and dtype of a variable or literal."""
    return atom.aval  # pyright: ignore[reportReturnType]


def bind_equation(equation: JaxprEqn, inputs: Sequence[Any]) -> list[Any]:
    """The results of an equation that calls no program."""
    out = equation.primitive.bind(*inputs, **equation.params)
    return list(out) if equation.primitive.multiple_results else [out]


def line_of(equation: JaxprEqn) -> str:
    """The user's line of code that an equation comes from, as "file.py:12 (function)"; empty where unknown."""
    return source_info_util.summarize(equation.source_info)


def subprogram(
    jaxpr: Jaxpr, inputs: Sequence[Var], equations: Sequence[JaxprEqn], outputs: Sequence[Var | Literal]
) -> Callable[..., Sequence[Any]]:
    """Some equations of a program as a function from the values of `inputs` to those of `outputs`."""
    names = tuple(f"input{i}" for i in range(len(inputs))), tuple(f"output{i}" for i in range(len(outputs)))
    info = jaxpr.debug_info._replace(arg_names=names[0], result_paths=names[1])
    part = jaxpr.replace(
        constvars=[], invars=list(inputs), eqns=list(equations), outvars=list(outputs), debug_info=info
    )
    return jaxpr_as_fun(ClosedJaxpr(part, []))
