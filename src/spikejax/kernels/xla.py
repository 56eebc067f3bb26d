"""The XLA back end: loops whose carry is their only output, all else over the whole sequence at once.

XLA on CPU computes every further output of a loop body anew, so the forward loop puts out the charged states h alone,
the backward loop their cotangents alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import charge_all, emit, floats, input_at, steps_of, with_floats
from spikejax.typing import Array, Sequence, State


class Cotangents(NamedTuple):
    """Of what a run gives: of the floating-point leaves of the last state and of all h, and of the outputs."""

    last: list[Array]
    ys: Array
    hs: list[Array] | None


def forward(cell: ChargeFireReset, state: State, xs: Sequence) -> State:
    """The charged states h of all steps, `[T, N, *]`."""

    def body(h: State, t: Array) -> tuple[State, State]:
        start = _first_or(t == 0, state, emit(cell, h)[0])
        h = cell.charged(start, input_at(xs, t))
        return h, h

    return lax.scan(body, state, jnp.arange(steps_of(xs)))[1]


def adjoint(cell: ChargeFireReset, xs: Sequence, hs: State, cotangents: Cotangents) -> list[Array]:
    """The cotangents of the floating-point leaves of every h, from the last step to the first.

    dL/dh[t] = d(state[t], s[t])/dh[t] (dL/dstate[t], dL/ds[t]),
    dL/dstate[t] = dh[t+1]/dstate[t] dL/dh[t+1]
    """
    last = steps_of(xs) - 1

    def body(later: list[Array], inputs: Any) -> tuple[list[Array], list[Array]]:
        t, h, g_y, g_h = inputs
        pull_emit, start, s = _linearized_emit(cell, h)
        x = input_at(xs, jnp.minimum(t + 1, last))
        pull_charge = jax.vjp(lambda values: floats(cell.charged(with_floats(start, values), x)), floats(start))[1]
        g_start = _first_or(t == last, cotangents.last, pull_charge(later)[0])
        (g,) = pull_emit((g_start, g_y.astype(s.dtype)))
        g = g if g_h is None else jax.tree.map(jnp.add, g, g_h)
        return g, g

    inputs = jnp.arange(last + 1), hs, cotangents.ys, cotangents.hs
    return lax.scan(body, cotangents.last, inputs, reverse=True)[1]


def _linearized_emit(cell: ChargeFireReset, h: State) -> tuple[Any, State, Array]:
    """The transpose of `emit` at `h`, with the state and the output there."""

    def of_floats(values: list[Array]) -> Any:
        state, s = emit(cell, with_floats(h, values))
        return (floats(state), s), (state, s)

    _, pull, (state, s) = jax.vjp(of_floats, floats(h), has_aux=True)
    return pull, state, s


def gather(
    cell: ChargeFireReset, state: State, xs: Sequence, hs: State, cotangents: Cotangents, d_hs: list[Array]
) -> tuple[Any, State, Sequence]:
    """The cotangents of cell, state and input, from those of every h: over the whole sequence at once."""

    def whole(cell: ChargeFireReset, xs: Sequence) -> Any:
        after, ys = jax.vmap(lambda h: emit(cell, h))(hs)
        starts = jax.tree.map(_delayed, state, after)
        return floats(charge_all(cell, starts, xs)), floats(jax.tree.map(lambda a: a[-1], after)), ys

    ys_dtype = jax.eval_shape(whole, cell, xs)[2].dtype
    g_cell, g_xs = jax.vjp(whole, cell, xs)[1]((d_hs, cotangents.last, cotangents.ys.astype(ys_dtype)))
    pull_first = jax.vjp(lambda state: floats(cell.charged(state, input_at(xs, 0))), state)[1]
    (g_state,) = pull_first([a[0] for a in d_hs])
    return g_cell, g_state, g_xs


def _first_or(first: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), a, b)


def _delayed(initial: Array, after: Array) -> Array:
    """The states before each step, `[T, N, *]`, from those after it and the very first."""
    if not jnp.issubdtype(after.dtype, jnp.number):  # random keys cannot be padded
        return jnp.concatenate((initial[None], after[:-1]))
    before = lax.pad(after, jnp.zeros((), after.dtype), [(1, -1, 0)] + [(0, 0, 0)] * initial.ndim)
    first = jnp.arange(after.shape[0]).reshape(-1, *(1,) * initial.ndim) == 0
    return jnp.where(first, initial, before)
