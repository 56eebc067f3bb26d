"""What the kernels know of a cell: its three equations, and how to go back through them.

A tree's floating-point leaves have gradients and stand in lists of arrays; random keys and counters have none.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.dtypes import float0

from spikejax.cells import ChargeFireReset
from spikejax.typing import Array, Cell, State

Floats = list[Array]
"""The floating-point leaves of a tree, or their cotangents."""


def why_not_fused(cell: Cell) -> str | None:
    """Why `cell` has no fused kernel, or None where it has one."""
    name = type(cell).__name__
    if not isinstance(cell, ChargeFireReset):
        return f"{name} is not written as charge, fire and reset"
    if type(cell).step is not ChargeFireReset.step:
        return f"{name} has a `step` of its own"
    return None


def emit(cell: ChargeFireReset, h: State) -> tuple[State, Array]:
    """The state after the charged state `h`, and the output."""
    s = cell.fire(h)
    return cell.reset(h, s), s


def emit_back(cell: ChargeFireReset, h: State, g_state: Floats, g_s: Array) -> tuple[Floats, Floats]:
    """The cotangents of the cell and of `h` from those of what `emit` gives."""

    def forward(of_cell: Floats, of_h: Floats) -> tuple[Floats, Array]:
        state, s = emit(with_floats(cell, of_cell), with_floats(h, of_h))
        return floats(state), s

    (_, s), pull = jax.vjp(forward, floats(cell), floats(h))
    return pull((g_state, g_s.astype(s.dtype)))


def charge_back(cell: ChargeFireReset, state: State, x: Array, g_h: Floats) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state before and of the input from those of the charged state."""

    def forward(of_cell: Floats, of_state: Floats, of_x: Floats) -> Floats:
        return floats(with_floats(cell, of_cell).charged(with_floats(state, of_state), with_floats(x, of_x)))

    return jax.vjp(forward, floats(cell), floats(state), floats(x))[1](g_h)


class Cotangents(NamedTuple):
    """Of what a run gives: of the last state, of the outputs, and of all h where they were kept."""

    last: Floats
    ys: Array
    hs: Floats | None


def back_through_time(
    steps: int,
    g_last: Floats,
    start_of: Callable[[Any], Any],
    through_emit: Callable[[Any, Floats], tuple[Floats, Floats]],
    through_charge: Callable[[Any, Any, Floats], tuple[Floats, Floats, Floats]],
    gather: Callable[[Any, Any, Floats], Any],
    g_xs: Any,
    loop: Callable[..., Any] = lax.fori_loop,
) -> tuple[Floats, Floats, Any]:
    """The cotangents of parameters, first state and input, from the last step to the first.

    dL/dh[t]     = d(state[t], s[t])/dh[t] (dL/dstate[t], dL/ds[t])
    dL/dstate[t] = dh[t+1]/dstate[t] dL/dh[t+1],   dL/dx[t] = dh[t]/dx[t] dL/dh[t]

    Args:
        steps: number of steps T.
        g_last: cotangents of the last state.
        start_of: the state before step t, from t.
        through_emit: `(t, g_state)` to the cotangents of the parameters and of h[t].
        through_charge: `(t, start, g_h)` to those of the parameters, of the state before and of the input.
        gather: `(g_xs, t, g_x)` to `g_xs` with those of the input of step t.
        g_xs: what it starts from.
        loop: what repeats a step; t is an int where it is a loop in Python.
    """

    def body(i: Any, carry: Any) -> Any:
        t = steps - 1 - i
        g_params, g_h, g_xs = carry
        of_charge, g_state, g_x = through_charge(t, start_of(t), g_h)
        of_emit, g_h = through_emit(t - 1, g_state)
        return add(g_params, of_charge, of_emit), g_h, gather(g_xs, t, g_x)

    carry = *through_emit(steps - 1, g_last), g_xs
    g_params, g_h, g_xs = loop(0, steps - 1, body, carry)
    of_charge, g_state, g_x = through_charge(0, start_of(0), g_h)
    return add(g_params, of_charge), g_state, gather(g_xs, 0, g_x)


def add(*trees: Floats) -> Floats:
    """The sum, leaf by leaf."""
    return [reduce(jnp.add, leaves) for leaves in zip(*trees, strict=True)]


def at(tree: Any, t: Array | int) -> Any:
    """Step `t` of arrays `[T, *]`."""
    return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), tree)


def floats(tree: Any) -> Floats:
    """The leaves that have gradients."""
    return [leaf for leaf in jax.tree.leaves(tree) if has_gradient(leaf)]


def with_floats(tree: Any, values: Floats) -> Any:
    """`tree` with other floating-point leaves."""
    rest = iter(values)
    return jax.tree.map(lambda leaf: next(rest) if has_gradient(leaf) else leaf, tree)


def as_cotangent(tree: Any, values: Floats | None = None) -> Any:
    """The cotangent, or tangent, of `tree` from those of its floating-point leaves; without these, zero."""
    rest = iter([jnp.zeros_like(leaf) for leaf in floats(tree)] if values is None else values)
    return jax.tree.map(lambda leaf: next(rest) if has_gradient(leaf) else np.zeros(leaf.shape, float0), tree)


def has_gradient(leaf: Array) -> bool:
    """Whether a leaf is floating point."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
