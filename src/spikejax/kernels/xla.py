"""The XLA back end: loops over time that write no more than what is kept.

XLA on CPU computes each output of a loop body on its own, so every further output costs nearly a further loop. Here
the forward loop puts out the charged states h, the backward loop the cotangents of the input; both carry no more than
what belongs to one step, in which parameters gather their gradients while it is in the cache.
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
    add,
    at,
    back_through_time,
    charge_back,
    emit,
    emit_back,
    floats,
)
from spikejax.sequence import Sequence
from spikejax.typing import Array, State


def infer(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
    """The last state and the outputs `[T, N, *]`, with nothing kept for a backward pass."""

    def body(t: int | Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        h, ys = carry
        h = cell.charged(emit(cell, h)[0], xs.at(t))
        return h, _put(ys, t, cell.fire(h))

    h = cell.charged(state, xs.at(0))
    s = cell.fire(h)
    h, ys = lax.fori_loop(1, xs.steps, body, (h, _put(_room(s, xs), 0, s)))
    return emit(cell, h)[0], ys


def forward(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
    """The last state, the outputs and the charged states h `[T, N, *]`."""

    def body(t: int | Array, carry: tuple[State, State]) -> tuple[State, State]:
        h, hs = carry
        h = cell.charged(emit(cell, h)[0], xs.at(t))
        return h, _put(hs, t, h)

    h = cell.charged(state, xs.at(0))
    h, hs = lax.fori_loop(1, xs.steps, body, (h, _put(_room(h, xs), 0, h)))
    return emit(cell, h)[0], jax.vmap(cell.fire)(hs), hs


def packed(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
    """The last state, the outputs, and what is kept of the run in half the memory."""
    last, ys, hs = forward(cell, state, xs)
    return last, ys, pack_run(hs, ys)


def backward(
    cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state and of the input; computes h again where it was not kept."""
    hs = forward(cell, state, xs)[2] if hs is None else hs

    def start_of(t: int | Array) -> State:
        return state if isinstance(t, int) and t == 0 else emit(cell, at(hs, t - 1))[0]

    def through_emit(t: int | Array, g_state: Floats) -> tuple[Floats, Floats]:
        g_cell, g_h = emit_back(cell, at(hs, t), g_state, at(cotangents.ys, t))
        return g_cell, g_h if cotangents.hs is None else add(g_h, at(cotangents.hs, t))

    shown = _shown(cell, state, xs)

    def through_charge(t: int | Array, start: State, g_h: Floats) -> tuple[Floats, Floats, Floats]:
        return charge_back(cell, start, shown(t), g_h)

    room = jax.tree.map(jnp.zeros_like, floats(xs))
    return back_through_time(xs.steps, cotangents.last, start_of, through_emit, through_charge, xs.add_at, room)


def _shown(cell: ChargeFireReset, state: State, xs: Sequence) -> Callable[[Any], Array]:
    """The input of a step, or 0 where the way back through the charge does not read it.

    XLA would otherwise keep the whole input until then.
    """
    x = jax.ShapeDtypeStruct(xs.shape, xs.dtype)
    read = reads(lambda x, *others: charge_back(cell, others[0], x, others[1]), x, state, floats(state))[0]
    return (lambda t: xs.at(t)) if read else lambda t: jnp.zeros(x.shape, x.dtype)


def _room(step: Any, xs: Sequence) -> Any:
    """Arrays `[T, *]` for what is `[*]` in one step."""
    return jax.tree.map(lambda a: jnp.broadcast_to(_zero(a), (xs.steps, *a.shape)), step)


def _zero(a: Array) -> Array:
    """Anything of the kind of `a`: random keys have no zero."""
    return jnp.zeros((), a.dtype) if jnp.issubdtype(a.dtype, jnp.number) else a


def _put(sequence: Any, t: int | Array, step: Any) -> Any:
    return jax.tree.map(lambda b, a: lax.dynamic_update_index_in_dim(b, a, t, 0), sequence, step)
