"""The one op: charge, fire and reset over time, with a derivative of its own."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from spikejax.cells import ChargeFireReset
from spikejax.kernels.choice import BACKENDS, which
from spikejax.kernels.linear import linear_call
from spikejax.kernels.template import (
    Cotangents,
    Floats,
    as_cotangent,
    emit,
    floats,
    has_gradient,
    input_at,
    steps_of,
    why_not_fused,
    with_floats,
)
from spikejax.typing import Array, Cell, Sequence, State


class Fused(NamedTuple):
    """What a fused run gives.

    Attributes:
        state: the last state.
        ys: outputs `[T, N, *]`.
        states: the states after each step `[T, N, *]`, where they were to be kept.
    """

    state: State
    ys: Array
    states: State | None


Outs = tuple[State, Array, State | None]
"""The last state, the outputs, and the charged states where these are kept."""


@dataclass(frozen=True)
class How:
    """What is fixed when a fused run is traced.

    Attributes:
        structure: of `(cell, state, xs)`.
        keep: whether the states after each step are put out.
        backend: name of the back end.
    """

    structure: Any
    keep: bool
    backend: str


def fused_scan(cell: Cell, state: State, xs: Sequence, *, backend: str | None = None) -> tuple[State, Array]:
    """Runs a cell of the form charge, fire, reset over time as one op.

        h[t] = charge(state[t-1], x[t])      s[t] = fire(h[t])      state[t] = reset(h[t], s[t])

    For the backward pass it keeps the charged states h alone, from which all else follows; without a gradient it keeps
    nothing. The values and gradients are those of a `lax.scan` over `cell.step`. Forward mode and `vmap` work too.

    Args:
        cell: the cell; its array fields, the state and the input have gradients.
        state: as `cell.init_state` gives it.
        xs: input `[T, N, *]`, or static.
        backend: "xla", or "triton" on a GPU; None chooses, see `which`.

    Returns:
        The last state, and the outputs `[T, N, *]`.

    Raises:
        ValueError: `cell` is not of that form, the input and the state differ in shape, or `backend` is unknown.
    """
    return fused(cell, state, xs, keep=False, backend=backend)[:2]


def fused(cell: Cell, state: State, xs: Sequence, *, keep: bool, backend: str | None = None) -> Fused:
    """`fused_scan`, with the states after each step where `keep`."""
    if backend not in (None, *BACKENDS):
        raise ValueError(f"`backend` must be one of {', '.join(map(repr, BACKENDS))}, or None, got {backend!r}")
    reason = why_not_fused(cell)
    if reason or not isinstance(cell, ChargeFireReset):
        raise ValueError(f"`cell` has no fused kernel, because {reason}: use method='scan'")
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    _, y = jax.eval_shape(lambda cell, state, xs: cell.step(state, input_at(xs, 0)), cell, state, xs)
    backend = backend or which(cell, y.shape).backend or "xla"
    leaves, structure = jax.tree.flatten((cell, state, xs))
    last, ys, hs = _fused(How(structure, keep, backend), leaves)
    return Fused(last, ys.astype(y.dtype), jax.vmap(lambda h: emit(cell, h)[0])(hs) if keep else None)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _fused(how: How, leaves: list[Array]) -> Outs:
    problem, backend = how.structure.unflatten(leaves), BACKENDS[how.backend]
    return backend.forward(*problem) if how.keep else (*backend.infer(*problem), None)


def _fused_jvp(how: How, primals: Any, tangents: Any) -> tuple[Outs, Outs]:
    (leaves,), (tangents,) = primals, tangents
    tangents = [t for leaf, t in zip(leaves, tangents, strict=True) if has_gradient(leaf)]
    active = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]
    backend = BACKENDS[how.backend]
    last, ys, hs = backend.forward(*how.structure.unflatten(leaves))
    out = last, ys, hs if how.keep else None

    def push(residuals: Any, tangents: Floats) -> Floats:
        leaves, _ = residuals
        values = floats(leaves)

        def from_active(changed: Floats) -> Floats:
            new = dict(zip(active, changed, strict=True))
            given = with_floats(leaves, [new.get(i, value) for i, value in enumerate(values)])
            return floats(_step_by_step(how, *how.structure.unflatten(given)))

        return jax.jvp(from_active, ([values[i] for i in active],), (tangents,))[1]

    def pull(residuals: Any, cotangents: Floats) -> Floats:
        leaves, hs = residuals
        cell, state, xs = how.structure.unflatten(leaves)
        count = len(floats(state))
        last, ys, of_hs = cotangents[:count], cotangents[count], cotangents[count + 1 :]
        parts = backend.backward(cell, state, xs, hs, Cotangents(last, ys, of_hs if how.keep else None))
        found = [g for part in parts for g in part]
        return [found[i] for i in active]

    tangent = linear_call(push, pull, (leaves, hs), [tangents[i] for i in active])
    return out, as_cotangent(out, tangent)


_fused.defjvp(_fused_jvp, symbolic_zeros=True)


def _step_by_step(how: How, cell: ChargeFireReset, state: State, xs: Sequence) -> Outs:
    """The op as one plain scan, which JAX differentiates forward."""

    def step(state: State, t: Array) -> tuple[State, Any]:
        h = cell.charged(state, input_at(xs, t))
        state, s = emit(cell, h)
        return state, (s, h if how.keep else None)

    state, (ys, hs) = lax.scan(step, state, jnp.arange(steps_of(xs)))
    return state, ys, hs
