"""The three equations of a cell as the kernels use them, and their vector-Jacobian products.

The floating-point leaves of a tree have gradients, and stand in lists of arrays; random keys and counters have none.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.dtypes import float0

from spikejax.cells import ChargeFireReset
from spikejax.typing import Array, Cell, State

Tree: TypeAlias = Any
"""A pytree of arrays."""

Floats: TypeAlias = list[Array]
"""The floating-point leaves of a tree, or their cotangents."""


def why_not_fused(cell: Cell) -> str | None:
    """The reason for which `cell` has no fused kernel, or None if it has one."""
    name = type(cell).__name__
    if not isinstance(cell, ChargeFireReset):
        return f"{name} is not written as charge, fire and reset"
    if type(cell).step is not ChargeFireReset.step:
        return f"{name} has a `step` of its own"
    return None


def fire_reset(cell: ChargeFireReset, h: State) -> tuple[State, Array]:
    """The state after the charged state `h`, and the output."""
    s = cell.fire(h)
    return cell.reset(h, s), s


def fire_reset_vjp(cell: ChargeFireReset, h: State, g_state: Floats, g_s: Array) -> tuple[Floats, Floats]:
    """The cotangents of the cell and of `h` from those of the results of `fire_reset`."""

    def forward(of_cell: Floats, of_h: Floats) -> tuple[Floats, Array]:
        state, s = fire_reset(with_floats(cell, of_cell), with_floats(h, of_h))
        return floats(state), s

    (_, s), vjp = jax.vjp(forward, floats(cell), floats(h))
    return vjp((g_state, g_s.astype(s.dtype)))


def charge_vjp(cell: ChargeFireReset, state: State, x: Array, g_h: Floats) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state before and of the input from those of the charged state."""

    def forward(of_cell: Floats, of_state: Floats, of_x: Floats) -> Floats:
        return floats(with_floats(cell, of_cell).charged(with_floats(state, of_state), with_floats(x, of_x)))

    return jax.vjp(forward, floats(cell), floats(state), floats(x))[1](g_h)


class Cotangents(NamedTuple):
    """The cotangents of a run: of the last state, of the outputs, and of all h if the run returned them."""

    last: Floats
    ys: Array
    hs: Floats | None


def back_through_time(
    steps: int,
    g_last: Floats,
    start_of: Callable[[Any], Any],
    fire_reset_vjp_at: Callable[[Any, Floats], tuple[Floats, Floats]],
    charge_vjp_at: Callable[[Any, Any, Floats], tuple[Floats, Floats, Floats]],
    gather: Callable[[Any, Any, Floats], Any],
    g_xs: Tree,
    loop: Callable[..., Any] = lax.fori_loop,
) -> tuple[Floats, Floats, Tree]:
    """The cotangents of the parameters, of the first state and of the input, from the last step to the first.

    dL/dh[t]     = d(state[t], s[t])/dh[t] (dL/dstate[t], dL/ds[t])
    dL/dstate[t] = dh[t+1]/dstate[t] dL/dh[t+1],   dL/dx[t] = dh[t]/dx[t] dL/dh[t]

    Args:
        steps: number of steps T.
        g_last: cotangents of the last state.
        start_of: a function of t to the state before step t.
        fire_reset_vjp_at: a function of `(t, g_state)` to the cotangents of the parameters and of h[t].
        charge_vjp_at: a function of `(t, start, g_h)` to those of the parameters, of the state before and of the input.
        gather: a function of `(g_xs, t, g_x)` to `g_xs` with the cotangent of the input of step t.
        g_xs: the cotangent of the input, before the first step is gathered.
        loop: `lax.fori_loop` or its like; t is an int in a loop of Python.
    """

    def body(i: Any, carry: Tree) -> Tree:
        t = steps - 1 - i
        g_params, g_h, g_xs = carry
        of_charge, g_state, g_x = charge_vjp_at(t, start_of(t), g_h)
        of_fire_reset, g_h = fire_reset_vjp_at(t - 1, g_state)
        return add(g_params, of_charge, of_fire_reset), g_h, gather(g_xs, t, g_x)

    carry = *fire_reset_vjp_at(steps - 1, g_last), g_xs
    g_params, g_h, g_xs = loop(0, steps - 1, body, carry)
    of_charge, g_state, g_x = charge_vjp_at(0, start_of(0), g_h)
    return add(g_params, of_charge), g_state, gather(g_xs, 0, g_x)


def add(*trees: Floats) -> Floats:
    """The sum, leaf by leaf."""
    return [reduce(jnp.add, leaves) for leaves in zip(*trees, strict=True)]


def at(tree: Tree, t: Array | int) -> Any:
    """Step `t` of arrays `[T, *]`."""
    return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, t, keepdims=False), tree)


def floats(tree: Tree) -> Floats:
    """The leaves that have gradients."""
    return [leaf for leaf in jax.tree.leaves(tree) if has_gradient(leaf)]


def with_floats(tree: Tree, values: Floats) -> Any:
    """The tree with other floating-point leaves."""
    new = iter(values)
    return jax.tree.map(lambda leaf: next(new) if has_gradient(leaf) else leaf, tree)


def as_cotangent(tree: Tree, values: Floats | None = None) -> Any:
    """The cotangent, or tangent, of `tree` from those of its floating-point leaves; zero by default."""
    parts = iter([jnp.zeros_like(leaf) for leaf in floats(tree)] if values is None else values)
    return jax.tree.map(lambda leaf: next(parts) if has_gradient(leaf) else np.zeros(leaf.shape, float0), tree)


def has_gradient(leaf: Array) -> bool:
    """True for a floating-point leaf."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
