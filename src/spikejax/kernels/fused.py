"""The one op: charge, fire and reset over time, with a derivative of its own."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.dtypes import float0

from spikejax.cells import ChargeFireReset
from spikejax.kernels import xla
from spikejax.kernels.linear import linear_call
from spikejax.kernels.template import emit, floats, has_gradient, input_at, steps_of, why_not_fused
from spikejax.typing import Array, Cell, Sequence, State


class Fused(NamedTuple):
    """What a fused run gives.

    Attributes:
        state: the last state.
        ys: outputs `[T, N, *]`.
        hs: the charged states `[T, N, *]`, where asked for.
    """

    state: State
    ys: Array
    hs: State | None


@dataclass(frozen=True)
class How:
    """The static side of a fused run."""

    structure: Any
    keep: bool


def fused_scan(cell: Cell, state: State, xs: Sequence) -> tuple[State, Array]:
    """A cell over time as one op, whose backward pass keeps the charged states h and nothing else.

    Raises:
        ValueError: `cell` is not in charge, fire and reset, or the input and the state differ in shape.
    """
    return fused(cell, state, xs, keep=False)[:2]


def fused(cell: Cell, state: State, xs: Sequence, *, keep: bool) -> Fused:
    """`fused_scan` that may keep the charged states: `hs`, `[T, N, *]`, where `keep`."""
    reason = why_not_fused(cell)
    if reason:
        raise ValueError(f"`cell` has no fused kernel, because {reason}: use method='scan'")
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    _, y = jax.eval_shape(cell.step, state, input_at(xs, 0))  # refuses what a step refuses
    leaves, structure = jax.tree.flatten((cell, state, xs))
    out = _fused(How(structure, keep), leaves)
    return out._replace(ys=out.ys.astype(y.dtype))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _fused(how: How, leaves: list[Array]) -> Fused:
    problem = how.structure.unflatten(leaves)
    return _outputs(how, problem, xla.forward(*problem))


def _outputs(how: How, problem: Any, hs: State) -> Fused:
    cell, _, _ = problem
    ys = jax.vmap(cell.fire)(hs)
    last, _ = emit(cell, jax.tree.map(lambda a: a[-1], hs))
    return Fused(last, ys, hs if how.keep else None)


def _fused_jvp(how: How, primals: Any, tangents: Any) -> tuple[Fused, Fused]:
    (leaves,), (tangents,) = primals, tangents
    active = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, SymbolicZero)]
    problem = how.structure.unflatten(leaves)
    hs = xla.forward(*problem)
    out = _outputs(how, problem, hs)

    def push(residuals: Any, tangents: list[Array]) -> list[Array]:
        leaves, _ = residuals

        def step_by_step(values: list[Array]) -> list[Array]:
            changed = dict(zip(active, values, strict=True))
            given = [changed.get(i, leaf) for i, leaf in enumerate(leaves)]
            return floats(_step_by_step(how, *how.structure.unflatten(given)))

        return jax.jvp(step_by_step, ([leaves[i] for i in active],), (tangents,))[1]

    def pull(residuals: Any, cotangents: list[Array]) -> list[Array]:
        leaves, hs = residuals
        cell, state, xs = how.structure.unflatten(leaves)
        count = len(floats(state))
        given = xla.Cotangents(cotangents[:count], cotangents[count], cotangents[count + 1 :] if how.keep else None)
        d_hs = xla.adjoint(cell, xs, hs, given)
        found = jax.tree.leaves(xla.gather(cell, state, xs, hs, given, d_hs))
        return [found[i] for i in active]

    tangent = iter(linear_call(push, pull, (leaves, hs), [tangents[i] for i in active]))
    return out, jax.tree.map(lambda a: next(tangent) if has_gradient(a) else np.zeros(a.shape, float0), out)


_fused.defjvp(_fused_jvp, symbolic_zeros=True)


def _step_by_step(how: How, cell: ChargeFireReset, state: State, xs: Sequence) -> Fused:
    """The same in one plain scan, which JAX differentiates in every mode."""

    def step(state: State, t: Array) -> tuple[State, Any]:
        h = cell.charged(state, input_at(xs, t))
        state, s = emit(cell, h)
        return state, (s, h if how.keep else None)

    state, (ys, hs) = lax.scan(step, state, jnp.arange(steps_of(xs)))
    return Fused(state, ys, hs)
