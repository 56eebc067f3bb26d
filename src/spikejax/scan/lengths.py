"""Sequences of unequal length in one batch: their state and output stay as they were at their last valid step."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Cell, Shape, State, batched


def check_lengths(lengths: ArrayLike, batch: int, steps: int) -> Array:
    """The valid steps of each sequence `[N]`.

    Raises:
        ValueError: they are not one integer from 1 to `steps` a sequence.
    """
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        valid = jnp.asarray(lengths)
    if valid.shape != (batch,) or not jnp.issubdtype(valid.dtype, jnp.integer):
        raise ValueError(
            f"`lengths` must be one integer a sequence, shape ({batch},), got {valid.dtype} of shape {valid.shape}"
        )
    check_number("lengths", valid, ge=1, le=steps, remedy=f"there are {steps} time steps")
    return valid


def check_batch_axis(cell: Cell, state: State, shape: Shape) -> None:
    """Raises ValueError unless the leaves of `state` that are not declared as shared, and only these, are `[N, *]`.

    The states for one sample more tell a batch axis from another axis that happens to be as long.
    """
    more = (shape[0] + 1, *shape[1:])
    try:
        larger = jax.eval_shape(lambda: cell.init_state(more, key=jax.random.key(0)))
    except ValueError:  # parameters of the cell, one a sample, fit this number of samples alone
        return
    leaves = zip(
        jax.tree_util.tree_leaves_with_path(state),
        jax.tree.leaves(batched(state)),
        jax.tree.leaves(larger),
        strict=True,
    )
    for (path, leaf), declared, other in leaves:
        if (jnp.shape(leaf)[:1] == shape[:1] and other.shape[:1] == more[:1]) == declared:
            continue
        name = jax.tree_util.keystr(path)
        remedy = (
            "or make it a field of a NamedTuple that lists it in `shared`, if all samples share it"
            if declared
            else "or take it out of `shared` of the state's class"
        )
        raise ValueError(
            f"the state{name} of {type(cell).__name__} has shape {jnp.shape(leaf)} for inputs {tuple(shape)} and "
            f"{other.shape} for {more}, but is declared as {'batched' if declared else 'shared'}: let its first "
            f"axis be the batch, {remedy}"
        )


def is_shared(state: State) -> bool:
    """True if no leaf of the state belongs to one sample, so that nothing has to stop where a sequence ends."""
    return not any(jax.tree.leaves(batched(state)))


def freeze(alive: Array, new: State, old: State) -> State:
    """`new` for the samples that are `alive` `[N]`, `old` for those that have ended; shared leaves go on."""

    def choose(is_batched: bool, new: Array, old: Array) -> Array:
        return jnp.where(_aligned(alive, new.ndim), new, old) if is_batched else new

    return jax.tree.map(choose, batched(new), new, old)


def silence(xs: Sequence, alive: Array) -> Sequence:
    """Inputs that are 0 where a sequence is not `alive` `[T, N]`."""
    return Steps(jnp.where(_aligned(alive, 1 + len(xs.shape)), xs.all(), 0))


def last_alive(left: Array, first: State, states: State, last: State) -> State:
    """The state of each sample after the last of the `left` `[N]` steps that its sequence has still to go.

    `states` `[T, N, *]` are those after each step; shared leaves are those of `last`.
    """

    def choose(is_batched: bool, first: Array, states: Array, last: Array) -> Array:
        if not is_batched:
            return last
        index = jnp.clip(left, 1, states.shape[0]) - 1
        return jnp.where(_aligned(left > 0, last.ndim), states[index, jnp.arange(left.shape[0])], first)

    return jax.tree.map(choose, batched(last), first, states, last)


def hold(ys: Array, lengths: Array) -> Array:
    """Outputs `[T, N, *]` that stay as they were at each sequence's last valid step."""
    times = jnp.minimum(jnp.arange(ys.shape[0])[:, None], lengths[None] - 1)
    return ys[times, jnp.arange(lengths.shape[0])[None]]


def reverse(xs: Sequence, lengths: Array | None) -> Sequence:
    """The last valid step of each sequence first; the steps after its end stay where they are."""
    if xs.time_axis is None:
        return xs
    if lengths is None:
        return Steps(xs.data[::-1])
    times, ends = jnp.arange(xs.steps)[:, None], lengths[None]
    times = jnp.where(times < ends, ends - 1 - times, times)
    return Steps(xs.data[times, jnp.arange(ends.shape[1])[None]])


def _aligned(mask: Array, ndim: int) -> Array:
    """A mask `[N]` or `[T, N]` with as many axes as an array that it selects from."""
    return mask.reshape(mask.shape + (1,) * (ndim - mask.ndim))
