"""The XLA back end: loops over time with a single output.

On a CPU, XLA computes each output of the body of a loop by itself, so every further output costs nearly another loop.
Here the forward loop writes the charged states h, and the backward loop the cotangents of the input. Both carry no more
than the values of one step, which stay in the cache while the gradients of the parameters are added up.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.cells import ChargeFireReset
from spikejax.jaxpr import reads
from spikejax.kernels.packed import Packed, pack_run
from spikejax.kernels.template import (
    Cotangents,
    Floats,
    Tree,
    add,
    at,
    back_through_time,
    charge_vjp,
    fire_reset,
    fire_reset_vjp,
    floats,
)
from spikejax.sequence import Sequence
from spikejax.typing import Array, State


def infer(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
    """The last state and the outputs `[T, N, *]`, for runs without a backward pass."""

    def body(t: int | Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        h, ys = carry
        h = cell.charged(fire_reset(cell, h)[0], xs.at(t))
        return h, _put(ys, t, cell.fire(h))

    h = cell.charged(state, xs.at(0))
    s = cell.fire(h)
    h, ys = lax.fori_loop(1, xs.steps, body, (h, _put(_empty(s, xs), 0, s)))
    return fire_reset(cell, h)[0], ys


def forward(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
    """The last state, the outputs and the charged states h `[T, N, *]`."""

    def body(t: int | Array, carry: tuple[State, State]) -> tuple[State, State]:
        h, hs = carry
        h = cell.charged(fire_reset(cell, h)[0], xs.at(t))
        return h, _put(hs, t, h)

    h = cell.charged(state, xs.at(0))
    h, hs = lax.fori_loop(1, xs.steps, body, (h, _put(_empty(h, xs), 0, h)))
    return fire_reset(cell, h)[0], jax.vmap(cell.fire)(hs), hs


def packed(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
    """The last state, the outputs, and the run as `pack_run` gives it."""
    last, ys, hs = forward(cell, state, xs)
    return last, ys, pack_run(hs, ys)


def backward(
    cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state and of the input; computes h again if it is None."""
    hs = forward(cell, state, xs)[2] if hs is None else hs

    def start_of(t: int | Array) -> State:
        return state if isinstance(t, int) and t == 0 else fire_reset(cell, at(hs, t - 1))[0]

    def fire_reset_vjp_at(t: int | Array, g_state: Floats) -> tuple[Floats, Floats]:
        g_cell, g_h = fire_reset_vjp(cell, at(hs, t), g_state, at(cotangents.ys, t))
        return g_cell, g_h if cotangents.hs is None else add(g_h, at(cotangents.hs, t))

    input_read = _input_read(cell, state, xs)

    def charge_vjp_at(t: int | Array, start: State, g_h: Floats) -> tuple[Floats, Floats, Floats]:
        return charge_vjp(cell, start, input_read(t), g_h)

    g_xs = jax.tree.map(jnp.zeros_like, floats(xs))
    return back_through_time(xs.steps, cotangents.last, start_of, fire_reset_vjp_at, charge_vjp_at, xs.add_at, g_xs)


def _input_read(cell: ChargeFireReset, state: State, xs: Sequence) -> Callable[[Any], Array]:
    """The input of a step, or 0 if `charge_vjp` does not read it, as XLA would else save the whole input."""
    x = jax.ShapeDtypeStruct(xs.shape, xs.dtype)
    read = reads(lambda x, *others: charge_vjp(cell, others[0], x, others[1]), x, state, floats(state))[0]
    return (lambda t: xs.at(t)) if read else lambda t: jnp.zeros(x.shape, x.dtype)


def _empty(step: Tree, xs: Sequence) -> Any:
    """Arrays `[T, *]` for the arrays `[*]` of a step."""
    return jax.tree.map(lambda a: jnp.broadcast_to(_zero(a), (xs.steps, *a.shape)), step)


def _zero(a: Array) -> Array:
    """A zero of the dtype of `a`, or `a` itself if it has none, as random keys."""
    return jnp.zeros((), a.dtype) if jnp.issubdtype(a.dtype, jnp.number) else a


def _put(sequence: Tree, t: int | Array, step: Tree) -> Any:
    return jax.tree.map(lambda b, a: lax.dynamic_update_index_in_dim(b, a, t, 0), sequence, step)
