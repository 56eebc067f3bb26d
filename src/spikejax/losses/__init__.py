"""Losses, scores and decoders of output spikes `[T, N, C]`, time first."""

from spikejax.losses.decoders import decode_first_spike, first_spike_index, first_spike_time, membrane_maximum
from spikejax.losses.penalties import firing_rate_penalty, synchrony_penalty
from spikejax.losses.rates import accuracy, cross_entropy_rate, firing_rate, mse_rate
from spikejax.losses.similarity import kernel_product, spike_similarity
from spikejax.losses.steps import temporal_efficient_training
from spikejax.losses.targets import redundant_one_hot, threshold_margin

__all__ = [
    "accuracy",
    "cross_entropy_rate",
    "decode_first_spike",
    "firing_rate",
    "firing_rate_penalty",
    "first_spike_index",
    "first_spike_time",
    "kernel_product",
    "membrane_maximum",
    "mse_rate",
    "redundant_one_hot",
    "spike_similarity",
    "synchrony_penalty",
    "temporal_efficient_training",
    "threshold_margin",
]
