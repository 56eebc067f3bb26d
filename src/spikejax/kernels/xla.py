"""The XLA back end: loops over time that write no more than what is kept.

XLA on CPU computes each output of a loop body on its own, so every further output costs nearly a further loop. Here
the forward loop puts out the charged states h, the backward loop the cotangents of the input; both carry no more than
what belongs to one step, in which parameters gather their gradients while it is in the cache.
"""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import Floats, at, charge_back, emit, emit_back, floats, input_at, steps_of
from spikejax.typing import Array, Sequence, State, Static


class Cotangents(NamedTuple):
    """Of what a run gives: of the last state, of the outputs, and of all h where they were kept."""

    last: Floats
    ys: Array
    hs: Floats | None


def infer(cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
    """The last state and the outputs `[T, N, *]`, with nothing kept for a backward pass."""

    def body(t: int | Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        h, ys = carry
        h = cell.charged(emit(cell, h)[0], input_at(xs, t))
        return h, _put(ys, t, cell.fire(h))

    h = cell.charged(state, input_at(xs, 0))
    s = cell.fire(h)
    h, ys = lax.fori_loop(1, steps_of(xs), body, (h, _put(_room(s, xs), 0, s)))
    return emit(cell, h)[0], ys


def forward(cell: ChargeFireReset, state: State, xs: Sequence) -> State:
    """The charged states h of all steps, `[T, N, *]`."""

    def body(t: int | Array, carry: tuple[State, State]) -> tuple[State, State]:
        h, hs = carry
        h = cell.charged(emit(cell, h)[0], input_at(xs, t))
        return h, _put(hs, t, h)

    h = cell.charged(state, input_at(xs, 0))
    return lax.fori_loop(1, steps_of(xs), body, (h, _put(_room(h, xs), 0, h)))[1]


def outputs(cell: ChargeFireReset, hs: State) -> tuple[State, Array]:
    """The last state and the outputs `[T, N, *]`, from the charged states."""
    return emit(cell, jax.tree.map(lambda a: a[-1], hs))[0], jax.vmap(cell.fire)(hs)


def backward(
    cell: ChargeFireReset, state: State, xs: Sequence, hs: State, cotangents: Cotangents
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state and of the input, from the last step to the first.

    dL/dh[t]     = d(state[t], s[t])/dh[t] (dL/dstate[t], dL/ds[t])
    dL/dstate[t] = dh[t+1]/dstate[t] dL/dh[t+1],   dL/dx[t] = dh[t]/dx[t] dL/dh[t]

    What parameters get, from every step, is summed in the loop.
    """
    last = steps_of(xs) - 1

    def through_emit(t: int | Array, g_state: Floats) -> tuple[Floats, Floats]:
        g_cell, g_h = emit_back(cell, at(hs, t), g_state, at(cotangents.ys, t))
        return g_cell, g_h if cotangents.hs is None else _add(g_h, at(cotangents.hs, t))

    def body(i: Array, carry: Any) -> Any:
        t = last - i
        g_cell, g_h, g_xs = carry
        start, _ = emit(cell, at(hs, t - 1))
        from_charge, g_state, g_x = charge_back(cell, start, input_at(xs, t), g_h)
        from_emit, g_h = through_emit(t - 1, g_state)
        return _add(g_cell, from_charge, from_emit), g_h, gather(g_xs, t, g_x)

    gather = _sum if isinstance(xs, Static) else _put
    carry = *through_emit(last, cotangents.last), jax.tree.map(jnp.zeros_like, floats(xs))
    g_cell, g_h, g_xs = lax.fori_loop(0, last, body, carry)
    from_charge, g_state, g_x = charge_back(cell, state, input_at(xs, 0), g_h)
    return _add(g_cell, from_charge), g_state, gather(g_xs, 0, g_x)


def _room(step: Any, xs: Sequence) -> Any:
    """Arrays `[T, *]` for what is `[*]` in one step."""
    return jax.tree.map(lambda a: jnp.broadcast_to(_zero(a), (steps_of(xs), *a.shape)), step)


def _zero(a: Array) -> Array:
    """Anything of the kind of `a`: random keys have no zero."""
    return jnp.zeros((), a.dtype) if jnp.issubdtype(a.dtype, jnp.number) else a


def _put(sequence: Any, t: int | Array, step: Any) -> Any:
    return jax.tree.map(lambda b, a: lax.dynamic_update_index_in_dim(b, a, t, 0), sequence, step)


def _sum(total: Any, t: int | Array, step: Any) -> Any:
    return _add(total, step)


def _add(*trees: Floats) -> Floats:
    return [reduce(jnp.add, leaves) for leaves in zip(*trees, strict=True)]
