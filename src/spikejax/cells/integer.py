"""A neuron of integer spikes in training, and their unrolling to binary spikes in inference."""

import jax.numpy as jnp

from spikejax.cells.base import Neuron
from spikejax.cells.complementary import check_soft
from spikejax.checks import check_integer, check_number, check_tau
from spikejax.surrogate import MultiLevelSpikeCount
from spikejax.typing import Array, State, Surrogate


class ILIF(Neuron):
    """Integer LIF: several spikes in a step, counted in training, unrolled in inference.

        h = v - v / tau + x
        s = round(clip(h / v_threshold, 0, max_count))      by the surrogate MultiLevelSpikeCount(max_count)
        v = h - s v_threshold

    The output are integers from 0 to max_count, in the dtype of the input; `unroll_counts` makes binary spikes of them.

    Args:
        tau: membrane time constant in steps, > 1.
        v_threshold: potential of one spike, > 0.
        v_reset: None, the soft reset: every spike subtracts the threshold.
        detach_reset: True stops gradients at the spikes in the reset.
        surrogate: how many spikes, and what gradients see of the count.

    Raises:
        ValueError: `tau` <= 1, `v_threshold` <= 0, or `v_reset` is not None.

    Source: Luo et al., "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for High-performance
    and Energy-efficient Object Detection" (SpikeYOLO), 2024, eq. 3 to 6. tau = 4 / 3 is the paper's decay of 0.25, and
    SpikingJelly's ILIFNode; halves round to even, as in both.
    """

    tau: float | Array = 4 / 3
    v_reset: None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    surrogate: Surrogate = MultiLevelSpikeCount(4)

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1, `v_threshold` > 0 and the reset is soft."""
        super().validate()
        check_soft(self)
        check_tau("tau", self.tau, gt=1)
        check_number("v_threshold", self.v_threshold, gt=0, remedy="it is the potential of one spike")

    def charge(self, state: State, x: Array) -> State:
        """Leaks and adds the input."""
        return state._replace(v=state.v - state.v / self.tau + x)

    def fire(self, h: State) -> Array:
        """The number of spikes, from the charged membrane."""
        return self.surrogate(h.v / self.v_threshold)


def unroll_counts(counts: Array, max_count: int) -> Array:
    """Binary spikes of integer counts: each step becomes `max_count` steps, the spikes first.

        spikes[max_count t + d] = 1 if counts[t] > d, else 0      d = 0 .. max_count - 1

    A linear layer without a bias gives for the sum of the spikes of a step what it gives for the count, so a network
    trained on counts runs on accumulations alone. Give each unrolled step 1 / max_count of a bias.

    Args:
        counts: integers from 0 to `max_count`, `[T, N, *]`, in any dtype.
        max_count: most spikes in a step, an integer >= 1.

    Returns:
        Spikes `[T max_count, N, *]`, 0 or 1, in the dtype of `counts`.

    Raises:
        ValueError: `max_count` is no integer >= 1, `counts` has no time axis or, where it can be seen, leaves
            0 to `max_count`.

    Source: Luo et al., SpikeYOLO, 2024, eq. 7 and 8.
    """
    check_integer("max_count", max_count)
    counts = jnp.asarray(counts)
    if counts.ndim < 1:
        raise ValueError("`counts` must be [T, N, *], time first, got a scalar")
    check_number("counts", counts, ge=0, le=max_count, whole=True, remedy=f"`max_count` is {max_count}")
    slots = jnp.arange(max_count, dtype=counts.dtype).reshape(max_count, *(1,) * (counts.ndim - 1))
    spikes = (counts[:, None] > slots).astype(counts.dtype)
    return spikes.reshape(counts.shape[0] * max_count, *counts.shape[1:])
