"""Checks of the labels and lengths that losses take with outputs over time."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.typing import Array


def as_float(outs: Array) -> Array:
    """Outputs in float32 at least."""
    outs = jnp.asarray(outs)
    return outs.astype(jnp.promote_types(outs.dtype, jnp.float32))


def valid_steps(outs: Array, lengths: ArrayLike) -> tuple[Array, Array]:
    """The mask of valid steps of `outs` `[T, N, *]`, `[T, N, 1, ...]`, and their number, `[N, 1, ...]`."""
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        lengths = jnp.asarray(lengths)
    if lengths.shape != outs.shape[1:2] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"`lengths` must be integers of shape {outs.shape[1:2]}, one a sample of `outs` {outs.shape}, "
            f"got {lengths.dtype} of shape {lengths.shape}"
        )
    steps = outs.shape[0]
    check_number("lengths", lengths, ge=1, le=steps, remedy=f"there are {steps} time steps")
    after = (1,) * (outs.ndim - 2)
    valid = jnp.arange(steps).reshape(-1, 1, *after) < lengths.reshape(1, -1, *after)
    return valid, lengths.reshape(-1, *after)


def mean_over_time(values: Array, lengths: ArrayLike | None) -> Array:
    """The mean of `[T, N, *]` over the valid steps, `[N, *]`."""
    if lengths is None:
        return values.mean(0)
    valid, count = valid_steps(values, lengths)
    return jnp.where(valid, values, 0).sum(0) / count


def check_time_first(outs: Array, axes: str) -> None:
    """Raises ValueError unless `outs` has the three axes."""
    if jnp.ndim(outs) != 3:
        raise ValueError(f"`outs` must be {axes}, time first, got shape {jnp.shape(outs)}")


def as_classes(outs: Array, labels: ArrayLike) -> Array:
    """The labels `[N]` of outputs `[T, N, C]`, checked."""
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        classes = jnp.asarray(labels)
    check_time_first(outs, "[T, N, C]")
    if classes.shape != outs.shape[1:2] or not jnp.issubdtype(classes.dtype, jnp.integer):
        raise ValueError(
            f"`labels` must be integers of shape {outs.shape[1:2]}, one a sample of `outs` {outs.shape}, "
            f"got {classes.dtype} of shape {classes.shape}"
        )
    check_number("labels", classes, ge=0, le=outs.shape[-1] - 1, remedy="there is one output a class")
    return classes


def cross_entropy(logits: Array, classes: Array, label_smoothing: float) -> Array:
    """Cross-entropy of logits `[*, C]` with the classes, of which a share is spread over all."""
    check_number("label_smoothing", label_smoothing, ge=0, le=1)
    one_hot = jax.nn.one_hot(classes, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(one_hot, label_smoothing))
