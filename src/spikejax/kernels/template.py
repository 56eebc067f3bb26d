"""What the kernels know of a cell: its three equations, and how to differentiate what is floating point in them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.cells import ChargeFireReset
from spikejax.typing import Array, Cell, Sequence, State, Static


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


def steps_of(xs: Sequence) -> int:
    """The number of time steps T."""
    return xs.steps if isinstance(xs, Static) else xs.shape[0]


def input_at(xs: Sequence, t: Array | int) -> Array:
    """The input of step `t`, or of the nearest."""
    return xs.value if isinstance(xs, Static) else lax.dynamic_index_in_dim(xs, t, keepdims=False)


def charge_all(cell: ChargeFireReset, starts: State, xs: Sequence) -> State:
    """The charged states `[T, N, *]` from the states before them, all steps at once."""
    if isinstance(xs, Static):
        return jax.vmap(lambda state: cell.charged(state, xs.value))(starts)
    return jax.vmap(cell.charged)(starts, xs)


def floats(tree: Any) -> list[Array]:
    """The floating-point leaves: those that have gradients."""
    return [leaf for leaf in jax.tree.leaves(tree) if has_gradient(leaf)]


def with_floats(tree: Any, values: list[Array]) -> Any:
    """`tree` with other floating-point leaves."""
    rest = iter(values)
    return jax.tree.map(lambda leaf: next(rest) if has_gradient(leaf) else leaf, tree)


def has_gradient(leaf: Array) -> bool:
    """Whether a leaf is floating point."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
