"""Runs of a cell and their gradients, for cells of any number of state variables."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tests.cells.cases import Row
from tests.cells.equations import KEY
from tests.cells.reference import Inputs, inputs
from tests.cells.variants import Variant

import spikejax as sx

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Compiler options: most of the time would go into optimising programs that run once."""


class Problem(NamedTuple):
    """What a run and its loss need besides the cell.

    Attributes:
        xs: input `[T, N, *]`.
        variables: first values of the state's variables, by name.
        weights: of the outputs, and of the last state's variables.
        others: what the state holds besides: keys and counters.
    """

    xs: jax.Array
    variables: dict[str, jax.Array]
    weights: tuple[jax.Array, dict[str, jax.Array]]
    others: dict[str, jax.Array]


def is_variable(leaf: jax.Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))


def problem(cell: Any, at: Inputs, dtype: Any = jnp.float32) -> Problem:
    """The problem for `cell` with these inputs; variables beyond those given start from 0."""
    state = cell.init_state(at.xs.shape[1:], dtype, key=jax.random.key(KEY))._asdict()
    names = [name for name, leaf in state.items() if is_variable(leaf)]
    zeros = (np.zeros_like(at.xs[0]),) * len(names)
    values, weights = ((*given, *zeros)[: len(names)] for given in (at.states, at.w2))
    return Problem(
        jnp.asarray(at.xs, dtype),
        {name: jnp.asarray(value, dtype) for name, value in zip(names, values, strict=True)},
        (
            jnp.asarray(at.w1, dtype),
            {name: jnp.asarray(weight, dtype) for name, weight in zip(names, weights, strict=True)},
        ),
        {name: leaf for name, leaf in state.items() if name not in names},
    )


def state_of(cell: Any, variables: dict[str, Any], others: dict[str, Any]) -> Any:
    """The cell's state with these values."""
    shape = next(iter(variables.values())).shape
    like = jax.eval_shape(lambda: cell.init_state(shape, key=jax.random.key(0)))
    return type(like)(**variables, **others)


def loop(cell: Any, xs: jax.Array, state: Any) -> tuple[Any, jax.Array]:
    """The plain way: one step after another, in Python."""
    ys = []
    for x in xs:
        state, y = cell.step(state, x)
        ys.append(y)
    return state, jnp.stack(ys)


def objective(cell: Any, xs: Any, variables: Any, weights: Any, others: Any, run: Any = sx.run, **how: Any):
    """A loss on every output and every variable of the last state; also outputs and last variables."""
    state, ys = run(cell, xs, state_of(cell, variables, others), **how)
    last = {name: getattr(state, name) for name in variables}
    loss = jnp.sum(weights[0] * ys) + sum(jnp.sum(weights[1][name] * last[name]) for name in variables)
    return loss, (ys, last)


def run_and_grad(cell: Any, at: Problem, **how: Any):
    """Outputs and last variables; gradients of the loss in the cell's arrays, the input, the first variables."""

    def loss(*args: Any):
        return objective(*args, at.weights, at.others, **how)

    grads, outs = jax.grad(loss, (0, 1, 2), has_aux=True)(cell, at.xs, at.variables)
    return outs, grads


def setup(row: Row, variant: Variant, dtype: Any = jnp.float32) -> tuple[Any, Problem]:
    """The row's cell and its problem."""
    cell = row.build(variant)
    return cell, problem(cell, inputs(row), dtype)


def close(got: Any, want: Any, tolerance: float = 2e-6) -> None:
    """Asserts equal trees, each value to `tolerance` relative to max(1, |value|)."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape
        np.testing.assert_array_less(abs(a - b) / np.maximum(1, abs(b)), tolerance)
