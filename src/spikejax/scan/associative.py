"""A linear recurrence over time without a loop: all states from one associative scan."""

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.typing import Array, Cell, LinearCell, Sequence, State, Static


def scan_linear(cell: LinearCell, state: State, xs: Sequence, alive: Array | None = None) -> tuple[State, State, Array]:
    """Takes a linear cell through time in about log2(T) stages.

        (a2, b2) after (a1, b1) = (a2 a1, a2 b1 + b2)

    Args:
        cell: the cell.
        state: the state to start from.
        xs: input `[T, N, *]`, or static.
        alive: where a sequence has not ended, `[T, N]`; elsewhere the state stays as it is.

    Returns:
        The last state, the states after each step `[T, N, *]`, and the outputs `[T, N, *]`.

    Raises:
        ValueError: the input and the state differ in shape.
    """
    static = isinstance(xs, Static)
    x = jnp.asarray(xs.value if static else xs)
    steps = xs.steps if static else x.shape[0]
    state = jax.tree.map(jnp.asarray, state)
    _, y = jax.eval_shape(cell.step, state, x if static else x[0])  # refuses what a step refuses
    # As in a step, the arithmetic is the state's, here at least float32: errors would pile up in products of many a.
    wide = jnp.promote_types(jax.tree.leaves(state)[0].dtype, jnp.float32)
    coefficients = cell.coefficients if static else jax.vmap(cell.coefficients)
    a, b = coefficients(x.astype(wide))

    def over_time(leaf: Array, old: Array) -> Array:
        """A coefficient over time, with as many axes as the states `[T, N, *]`."""
        own = leaf.shape if static else leaf.shape[1:]
        aligned = leaf.reshape(1 if static else steps, *(1,) * (old.ndim - len(own)), *own)
        return jnp.broadcast_to(aligned, (steps, *aligned.shape[1:]))

    a, b = (jax.tree.map(over_time, coefficient, state) for coefficient in (a, b))
    if alive is not None:
        a, b = _while_alive(alive, a, 1), _while_alive(alive, b, 0)
    products, sums = lax.associative_scan(_after, (a, b))
    states = jax.tree.map(lambda p, s, old: (p * old + s).astype(old.dtype), products, sums, state)
    ys = jax.vmap(cell.fire)(states).astype(y.dtype)
    return jax.tree.map(lambda a: a[-1], states), states, ys


def check_linear(cell: Cell, path: tuple[int, ...]) -> LinearCell:
    """`cell`, where it is linear; else raises `ValueError`."""
    if isinstance(cell, LinearCell):
        return cell
    raise ValueError(
        f"`method` 'associative' needs cells whose state is linear in the one before, and {name_of(cell, path)} "
        f"declares no `coefficients`, as a neuron that resets after a spike cannot: use method='scan', or a neuron "
        f"without reset such as LinearLIF"
    )


def name_of(cell: Cell, path: tuple[int, ...]) -> str:
    """What an error calls a cell."""
    kind = type(cell).__name__
    return f"layer {'.'.join(map(str, path))} ({kind})" if path else kind


def _after(first: tuple[State, State], second: tuple[State, State]) -> tuple[State, State]:
    """Two stretches of time as one."""
    (a1, b1), (a2, b2) = first, second
    return jax.tree.map(jnp.multiply, a2, a1), jax.tree.map(lambda a, b, c: a * b + c, a2, b1, b2)


def _while_alive(alive: Array, coefficient: State, rest: float) -> State:
    """A coefficient `[T, N, *]` while a sequence is `alive` `[T, N]`, `rest` after it."""

    def choose(c: Array) -> Array:
        return jnp.where(alive.reshape(alive.shape + (1,) * (c.ndim - alive.ndim)), c, rest)

    return jax.tree.map(choose, coefficient)
