"""What the kernels know of a cell: its three equations, and how to go back through them.

A tree's floating-point leaves have gradients and stand in lists of arrays; random keys and counters have none.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.cells import ChargeFireReset
from spikejax.typing import Array, Cell, Sequence, State, Static

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


def steps_of(xs: Sequence) -> int:
    """The number of time steps T."""
    return xs.steps if isinstance(xs, Static) else xs.shape[0]


def input_at(xs: Sequence, t: Array | int) -> Array:
    """The input of step `t`."""
    return xs.value if isinstance(xs, Static) else at(xs, t)


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


def has_gradient(leaf: Array) -> bool:
    """Whether a leaf is floating point."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
