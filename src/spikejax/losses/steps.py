"""Losses that judge every time step."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.losses.checks import as_classes, as_float, cross_entropy, mean_over_time
from spikejax.typing import Array


def temporal_efficient_training(
    outs: Array,
    labels: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    label_smoothing: float = 0.0,
    regularization: float = 0.0,
    target: float = 1.0,
) -> Array:
    """Cross-entropy of every step's output, instead of that of their mean.

        loss = mean over t, n of (1 - lambda) CE(outs[t, n], labels[n]) + lambda MSE(outs[t, n], target)

    Each step has to be right for itself, so that the network is as good after few steps as after many. The steps of a
    sequence share its weight, so that long ones count no more than short ones.

    Args:
        outs: outputs `[T, N, C]`, best currents or membranes that do not fire: spikes are poor logits.
        labels: classes `[N]`, integers from 0 to C - 1.
        lengths: valid steps of each sequence `[N]`; None counts all T.
        label_smoothing: share of the label that is spread over all classes, within [0, 1].
        regularization: lambda, the weight of the second term, within [0, 1]; the paper takes up to 0.05.
        target: what the second term draws every output to, in the paper the threshold of the neurons.

    Raises:
        ValueError: `labels` or `lengths` does not fit `outs`, or a value leaves its range.

    Source: Deng, Li, Zhang and Gu, "Temporal Efficient Training of Spiking Neural Network via Gradient Re-weighting",
    2022.

    SpikingJelly: `temporal_efficient_training_cross_entropy`, which has the first term alone.
    """
    classes = as_classes(outs, labels)
    check_number("regularization", regularization, ge=0, le=1)
    logits = as_float(outs)
    loss = cross_entropy(logits, jnp.broadcast_to(classes, logits.shape[:2]), label_smoothing)
    if not (isinstance(regularization, int | float) and regularization == 0):
        loss = (1 - regularization) * loss + regularization * ((logits - target) ** 2).mean(-1)
    return mean_over_time(loss, lengths).mean()
