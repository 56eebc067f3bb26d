"""A linear recurrence over time without a loop: all states from one associative scan."""

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.sequence import Sequence
from spikejax.typing import Array, Cell, LinearCell, Path, State


def scan_linear(cell: LinearCell, state: State, xs: Sequence, alive: Array | None = None) -> tuple[State, State, Array]:
    """Takes a linear cell through time in about log2(T) stages.

        (a2, b2) after (a1, b1) = (a2 a1, a2 b1 + b2)

    Args:
        cell: the cell.
        state: the state to start from.
        xs: input.
        alive: where a sequence has not ended, `[T, N]`; elsewhere the state stays as it is.

    Returns:
        The last state, the states after each step `[T, N, *]`, and the outputs `[T, N, *]`.

    Raises:
        ValueError: the input and the state differ in shape.
    """
    state = jax.tree.map(jnp.asarray, state)
    _, y = jax.eval_shape(lambda xs: cell.step(state, xs.at(0)), xs)  # refuses what a step refuses
    # As in a step, the arithmetic is the state's, here at least float32: errors would pile up in products of many a.
    wide = jnp.promote_types(jax.tree.leaves(state)[0].dtype, jnp.float32)
    varying = xs.time_axis is not None
    coefficients = jax.vmap(cell.coefficients) if varying else cell.coefficients
    a, b = coefficients(xs.data.astype(wide))

    def over_time(leaf: Array, old: Array) -> Array:
        """A coefficient over time, with as many axes as the states `[T, N, *]`."""
        shape = leaf.shape[1:] if varying else leaf.shape
        aligned = leaf.reshape(xs.steps if varying else 1, *(1,) * (old.ndim - len(shape)), *shape)
        return jnp.broadcast_to(aligned, (xs.steps, *aligned.shape[1:]))

    a, b = (jax.tree.map(over_time, coefficient, state) for coefficient in (a, b))
    if alive is not None:
        a, b = _while_alive(alive, a, 1), _while_alive(alive, b, 0)
    products, sums = lax.associative_scan(_after, (a, b))
    states = jax.tree.map(lambda p, s, old: (p * old + s).astype(old.dtype), products, sums, state)
    ys = jax.vmap(cell.fire)(states).astype(y.dtype)
    return jax.tree.map(lambda a: a[-1], states), states, ys


def check_linear(cell: Cell, path: Path) -> LinearCell:
    """`cell`, where it is linear; else raises `ValueError`."""
    if isinstance(cell, LinearCell):
        return cell
    raise ValueError(
        f"`method` 'associative' needs cells whose state is linear in the one before, and {name_of(cell, path)} "
        f"declares no `coefficients`, as a neuron that resets after a spike cannot: use method='scan', or a neuron "
        f"without reset such as LinearLIF"
    )


def name_of(cell: Cell, path: Path) -> str:
    """The name of a cell in errors."""
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
