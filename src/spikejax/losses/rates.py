"""Losses and scores of firing rates."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.losses.checks import as_classes, as_float, cross_entropy, mean_over_time
from spikejax.typing import Array


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
    return mean_over_time(as_float(outs), lengths)


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
    classes = as_classes(outs, labels)
    rate = firing_rate(outs, lengths)
    return jnp.mean((rate - jax.nn.one_hot(classes, outs.shape[-1], dtype=rate.dtype)) ** 2)


def cross_entropy_rate(
    outs: Array, labels: ArrayLike, lengths: ArrayLike | None = None, *, label_smoothing: float = 0.0
) -> Array:
    """Cross-entropy with the firing rates as logits.

        loss = mean over n of -sum over c of p[n, c] log softmax(rate[n])[c]
        p[n, c] = (1 - label_smoothing) [c = labels[n]] + label_smoothing / C

    Args:
        outs: output spikes, or membranes, `[T, N, C]`.
        labels: classes `[N]`, integers from 0 to C - 1.
        lengths: valid steps of each sequence `[N]`; None counts all T.
        label_smoothing: share of the label that is spread over all classes, within [0, 1].

    Raises:
        ValueError: `labels` or `lengths` does not fit `outs`, or a value leaves its range.
    """
    classes = as_classes(outs, labels)
    return cross_entropy(firing_rate(outs, lengths), classes, label_smoothing).mean()


def accuracy(outs: Array, labels: ArrayLike, lengths: ArrayLike | None = None) -> Array:
    """Share of samples whose most active output is the right class; of equals, the first counts.

    Args:
        outs: outputs `[T, N, C]`.
        labels: classes `[N]`, integers from 0 to C - 1.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Raises:
        ValueError: `labels` or `lengths` does not fit `outs`, or leaves the range.
    """
    return jnp.mean(firing_rate(outs, lengths).argmax(-1) == as_classes(outs, labels))
