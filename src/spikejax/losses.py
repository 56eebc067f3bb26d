"""Losses and scores on the output spikes `[T, N, C]` of a classifier, time first."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from spikejax.pytree import check
from spikejax.typing import Array

__all__ = ["accuracy", "cross_entropy_rate", "firing_rate", "mse_rate"]


def firing_rate(outs: Array, lengths: ArrayLike | None = None) -> Array:
    """Mean output over time.

        rate = 1 / T sum over t of outs[t]

    Args:
        outs: outputs `[T, N, *]`; spikes give a rate in [0, 1] spikes per step.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Returns:
        Rates `[N, *]`, in float32 at least.

    Raises:
        ValueError: `lengths` does not fit `outs`, or leaves the range from 1 to T.
    """
    outs = outs.astype(jnp.promote_types(outs.dtype, jnp.float32))
    if lengths is None:
        return outs.mean(0)
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        lengths = jnp.asarray(lengths)
    if lengths.shape != outs.shape[1:2] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"`lengths` must be integers of shape {outs.shape[1:2]}, one a sample of `outs` {outs.shape}, "
            f"got {lengths.dtype} of shape {lengths.shape}"
        )
    steps = outs.shape[0]
    check("lengths", lengths, lambda n: (n >= 1) & (n <= steps), f"from 1 to the {steps} time steps")
    after = (1,) * (outs.ndim - 2)
    valid = jnp.arange(steps).reshape(-1, 1, *after) < lengths.reshape(1, -1, *after)
    return jnp.where(valid, outs, 0).sum(0) / lengths.reshape(-1, *after)


def mse_rate(outs: Array, labels: ArrayLike, lengths: ArrayLike | None = None) -> Array:
    """Mean squared error between the firing rates and the one-hot labels.

        loss = mean over n, c of (rate[n, c] - [c = labels[n]])^2

    It asks the neuron of the right class to fire at every step and the others never.

    Args:
        outs: output spikes `[T, N, C]`.
        labels: classes `[N]`, integers from 0 to C - 1.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Raises:
        ValueError: `labels` or `lengths` does not fit `outs`, or leaves the range.

    Source: the loss of SpikingJelly's MNIST tutorial; Fang et al., 2021.
    """
    classes = _labels(outs, labels)
    rate = firing_rate(outs, lengths)
    return jnp.mean((rate - jax.nn.one_hot(classes, outs.shape[-1], dtype=rate.dtype)) ** 2)


def cross_entropy_rate(outs: Array, labels: ArrayLike, lengths: ArrayLike | None = None) -> Array:
    """Cross-entropy with the firing rates as logits.

        loss = mean over n of -log softmax(rate[n])[labels[n]]

    Args:
        outs: output spikes, or membranes, `[T, N, C]`.
        labels: classes `[N]`, integers from 0 to C - 1.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Raises:
        ValueError: `labels` or `lengths` does not fit `outs`, or leaves the range.
    """
    classes = _labels(outs, labels)
    return optax.softmax_cross_entropy_with_integer_labels(firing_rate(outs, lengths), classes).mean()


def accuracy(outs: Array, labels: ArrayLike, lengths: ArrayLike | None = None) -> Array:
    """Share of samples whose most active output is the right class; of equals, the first counts.

    Args:
        outs: outputs `[T, N, C]`.
        labels: classes `[N]`, integers from 0 to C - 1.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Raises:
        ValueError: `labels` or `lengths` does not fit `outs`, or leaves the range.
    """
    return jnp.mean(firing_rate(outs, lengths).argmax(-1) == _labels(outs, labels))


def _labels(outs: Array, labels: ArrayLike) -> Array:
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        classes = jnp.asarray(labels)
    if outs.ndim != 3:
        raise ValueError(f"`outs` must be [T, N, C], time first, got shape {outs.shape}")
    if classes.shape != outs.shape[1:2] or not jnp.issubdtype(classes.dtype, jnp.integer):
        raise ValueError(
            f"`labels` must be integers of shape {outs.shape[1:2]}, one a sample of `outs` {outs.shape}, "
            f"got {classes.dtype} of shape {classes.shape}"
        )
    check("labels", classes, lambda c: (c >= 0) & (c < outs.shape[-1]), f"from 0 to {outs.shape[-1] - 1}")
    return classes
