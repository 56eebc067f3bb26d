"""The backward pass without a loop: once the charged states are known, their cotangents are linear in each other."""

from collections.abc import Iterable
from functools import reduce

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import (
    Cotangents,
    Floats,
    add,
    charge_vjp,
    fire_reset,
    fire_reset_vjp,
    floats,
)
from spikejax.kernels.xla import forward
from spikejax.sequence import Sequence
from spikejax.typing import Array, State

Matrix = list[list[Array]]
"""Rows of arrays `[T, N, *]`: for every neuron and step a small matrix."""


def associative_backward(
    cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state and of the input, in about log2(T) stages.

        a[t] = b[t] + J[t] a[t+1]      a = dL/dh, J[t] = dh[t+1]/dh[t] transposed, b[t] from the outputs of step t

    The cell must have elementwise equations, for which J is a small matrix for every neuron.
    """
    hs = forward(cell, state, xs)[2] if hs is None else hs
    after = jax.vmap(lambda h: fire_reset(cell, h)[0])(hs)
    g_states = _last_of_all(cotangents.last, xs.steps)
    b = jax.vmap(lambda h, g_state, g_s: fire_reset_vjp(cell, h, g_state, g_s)[1])(hs, g_states, cotangents.ys)
    b = b if cotangents.hs is None else add(b, cotangents.hs)
    d_hs = _solve(_jacobians(cell, xs, hs, after, cotangents.ys), b)
    return _gather(cell, state, xs, hs, after, cotangents, d_hs)


def _jacobians(cell: ChargeFireReset, xs: Sequence, hs: State, after: State, g_ys: Array) -> Matrix:
    """J: from each variable of h[t+1] (second index) to each of h[t] (first); 0 at the last step."""

    def vjp_of_step(h: State, start: State, x: Array, g_y: Array, g: Floats) -> Floats:
        return fire_reset_vjp(cell, h, charge_vjp(cell, start, x, g)[1], jnp.zeros_like(g_y))[1]

    now, later = jax.tree.map(lambda a: a[:-1], (hs, after, g_ys)), xs.after(1)
    zeros = [jnp.zeros_like(a[0]) for a in floats(hs)]
    columns = []
    for i, zero in enumerate(zeros):
        basis = [*zeros[:i], jnp.ones_like(zero), *zeros[i + 1 :]]
        over_time = (0, 0, later.time_axis, 0, None)
        column = jax.vmap(vjp_of_step, in_axes=over_time)(now[0], now[1], later.data, now[2], basis)
        columns.append([jnp.concatenate((a, jnp.zeros_like(a[:1]))) if a.shape[0] else a for a in column])
    return [list(row) for row in zip(*columns, strict=True)]


def _solve(jacobians: Matrix, b: Floats) -> Floats:
    """The cotangents a of all steps, by a scan over pairs (J, b), each of which composes several steps."""

    def compose(later: tuple[Matrix, Floats], sooner: tuple[Matrix, Floats]) -> tuple[Matrix, Floats]:
        (m2, b2), (m1, b1) = later, sooner
        product = [[_dot(row, column) for column in zip(*m2, strict=True)] for row in m1]
        return product, [_dot(row, b2) + c for row, c in zip(m1, b1, strict=True)]

    return lax.associative_scan(compose, (jacobians, b), reverse=True)[1]


def _gather(
    cell: ChargeFireReset, state: State, xs: Sequence, hs: State, after: State, cotangents: Cotangents, d_hs: Floats
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of cell, state and input, from those of all h."""
    over_time = (0, xs.time_axis, 0)
    starts = jax.tree.map(lambda first, a: jnp.concatenate((first[None], a[:-1])), state, after)
    of_charge, g_starts, g_xs = jax.vmap(lambda *at: charge_vjp(cell, *at), in_axes=over_time)(starts, xs.data, d_hs)
    g_states = [jnp.concatenate((a[1:], last[None])) for a, last in zip(g_starts, cotangents.last, strict=True)]
    of_fire_reset = jax.vmap(lambda *at: fire_reset_vjp(cell, *at)[0])(hs, g_states, cotangents.ys)
    return (
        [a.sum(0) for a in add(of_charge, of_fire_reset)],
        [a[0] for a in g_starts],
        [xs.transpose_all(a) for a in g_xs],
    )


def _last_of_all(g_last: Floats, steps: int) -> Floats:
    """Arrays `[T, *]` of zeros with `g_last` at the last step."""
    return [jnp.concatenate((jnp.zeros((steps - 1, *a.shape), a.dtype), a[None])) for a in g_last]


def _dot(a: Iterable[Array], b: Iterable[Array]) -> Array:
    return reduce(jnp.add, (x * y for x, y in zip(a, b, strict=True)))
