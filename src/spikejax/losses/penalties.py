"""Terms that keep activity in bounds, to be added to a loss."""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from spikejax.checks import check_elements, check_number
from spikejax.losses.checks import as_float, mean_over_time
from spikejax.typing import Array


def firing_rate_penalty(
    spikes: Array, lower: float = 0.0, upper: float = 1.0, lengths: ArrayLike | None = None
) -> Array:
    """Penalty of neurons that fire too rarely or too often, in the mean over the batch.

        r[j] = mean over n of rate[n, j]
        loss = mean over j of max(lower - r[j], 0)^2 + max(r[j] - upper, 0)^2

    Any neuron within the bounds costs nothing. `lower` revives silent neurons; `upper` saves spikes.

    Args:
        spikes: spikes of a layer `[T, N, *]`, as `run(record=("spikes",))` gives them.
        lower: least mean rate of a neuron, spikes a step, >= 0; a number or one a neuron.
        upper: largest mean rate, >= `lower`.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Raises:
        ValueError: the bounds are out of order, or `lengths` does not fit `spikes`.

    Source: Zenke and Vogels, "The remarkable robustness of surrogate gradient learning for instilling complex function
    in spiking neural networks", 2021, the lower and upper bounds of activity.
    """
    check_number("lower", lower, ge=0, remedy="it is a rate in spikes a step")
    check_elements("upper", upper, lambda r: (r >= np.asarray(lower)) & np.isfinite(r), f">= `lower` = {lower}")
    rate = mean_over_time(as_float(spikes), lengths).mean(0)
    return jnp.mean(jnp.maximum(lower - rate, 0) ** 2 + jnp.maximum(rate - upper, 0) ** 2)


def synchrony_penalty(spikes: Array, lengths: ArrayLike | None = None) -> Array:
    """Synchrony of the neurons of a layer, from about 1 / M for M independent ones to 1 for all as one.

        loss = mean over n of Var_t(mean over j of spikes[t, n, j]) / mean over j of Var_t(spikes[t, n, j])

    It does not depend on the rate. A sample in which no neuron changes costs nothing.

    Args:
        spikes: spikes of a layer `[T, N, *]`; or membranes.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Raises:
        ValueError: `lengths` does not fit `spikes`.

    Source: Golomb, Hansel and Mato, "Mechanisms of synchrony of neural activity in large networks", 2001, chi squared.
    """
    values = as_float(spikes).reshape(*spikes.shape[:2], -1)

    def variance(values: Array) -> Array:
        return mean_over_time((values - mean_over_time(values, lengths)) ** 2, lengths)

    each = variance(values).mean(-1)
    together = variance(values.mean(-1, keepdims=True))[..., 0]
    return jnp.mean(jnp.where(each > 0, together / jnp.where(each > 0, each, 1), 0))
