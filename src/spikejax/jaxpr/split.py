"""Programs cut in two: what follows from some inputs alone, and the rest."""

from collections.abc import Callable, Iterable
from typing import Any

import jax

from spikejax.internals import JaxprEqn, Literal, Var, subprogram
from spikejax.typing import Array


def split_program(
    function: Callable[[Any, Any], Any], known: Any, varying: Any
) -> tuple[Callable[[Any], list[Array]], Callable[[list[Array], Any], Any]]:
    """`function(known, varying)` in two: what follows from `known` alone, and the rest.

    Args:
        function: what is split.
        known: arrays, or their shapes and dtypes.
        varying: likewise.

    Returns:
        `before(known)`, a list of arrays, and `rest(arrays, varying)`, which gives what `function` gives.
    """
    closed, out = jax.make_jaxpr(function, return_shape=True)(known, varying)
    jaxpr, count = closed.jaxpr, len(jax.tree.leaves(known))
    of_known, of_varying = jaxpr.invars[:count], jaxpr.invars[count:]
    first, second, fixed = _sort(jaxpr.eqns, {*jaxpr.constvars, *of_known})
    between = [a for equation in second for a in _variables(equation.invars)] + _variables(jaxpr.outvars)
    between = list(dict.fromkeys(a for a in between if a in fixed))
    program_before = subprogram(jaxpr, [*jaxpr.constvars, *of_known], first, between)
    program_rest = subprogram(jaxpr, [*between, *of_varying], second, jaxpr.outvars)

    def before(known: Any) -> list[Array]:
        return list(program_before(*closed.consts, *jax.tree.leaves(known)))

    def rest(arrays: list[Array], varying: Any) -> Any:
        return jax.tree.unflatten(jax.tree.structure(out), program_rest(*arrays, *jax.tree.leaves(varying)))

    return before, rest


def _sort(equations: Iterable[JaxprEqn], known: set[Var]) -> tuple[list[JaxprEqn], list[JaxprEqn], set[Var]]:
    """The equations that follow from `known` alone, all others, and the variables that the first ones fix.

    Constants, which follow from nothing, are cheap: both have their equations, and no variable of them is fixed.
    """
    first, second = [], []
    fixed, constant = set(known), set[Var]()
    for equation in equations:
        inputs = {*_variables(equation.invars)}
        if inputs <= constant:
            first.append(equation)
            second.append(equation)
            constant.update(equation.outvars)
        elif inputs <= fixed | constant:
            first.append(equation)
            fixed.update(equation.outvars)
        else:
            second.append(equation)
    return first, second, fixed


def _variables(atoms: Iterable[Any]) -> list[Any]:
    return [a for a in atoms if not isinstance(a, Literal)]
