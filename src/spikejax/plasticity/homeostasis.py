"""Rules that hold firing rates at a target, by the weights or by the threshold."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from spikejax.checks import check_number, check_tau
from spikejax.nn import LinearMap
from spikejax.plasticity.rule import LearningLayer
from spikejax.pytree import Struct
from spikejax.typing import Array, Shape


class RateState(NamedTuple):
    """The state of a rule of homeostasis.

    Attributes:
        rate: firing rate of each neuron, of each channel in a convolution, mean over the batch, in spikes a step.
    """

    rate: Array


class _Homeostasis(Struct):
    """Base of rules that follow the firing rate r of each neuron.

    r[t] = r[t-1] + (mean_n post[t] - r[t-1]) / tau
    """

    target: float | Array = 0.1
    tau: float | Array = 100.0

    def validate(self) -> None:
        """Raises ValueError unless 0 <= target <= 1 and tau >= 1."""
        check_number("target", self.target, ge=0, le=1, remedy="in spikes a step")
        check_tau("tau", self.tau, ge=1)

    def error(self, state: RateState, post: Array) -> tuple[RateState, Array]:
        """The next rate, and its distance below the target."""
        mean = jnp.mean(post, axis=tuple(range(post.ndim - 1)))
        rate = state.rate + (mean - state.rate) / self.tau
        return RateState(rate), self.target - rate

    def errors(self, state: RateState, post: Array) -> tuple[RateState, Array]:
        """The last rate, and the sum of the errors over the steps of `post` `[T, N, *]`."""
        state, errors = lax.scan(self.error, state, post)
        return state, jnp.sum(errors, axis=0)

    def start(self, features: int, dtype: DTypeLike) -> RateState:
        """As if every neuron fired at the target."""
        return RateState(jnp.broadcast_to(jnp.asarray(self.target, dtype), (features,)))


class SynapticScaling(_Homeostasis):
    """A neuron that fires too rarely strengthens all its synapses by the same factor, and the other way round.

        r[t] = r[t-1] + (mean_n post[t] - r[t-1]) / tau
        dW[t] = W (target - r[t])

    Args:
        target: firing rate to hold, in spikes a step, within [0, 1].
        tau: time constant of the rate in steps, >= 1.

    Raises:
        ValueError: an argument leaves its range.

    Source: van Rossum, Bi and Turrigiano, "Stable Hebbian learning from spike timing-dependent plasticity", 2000,
    eq. 5, without its integral term.
    """

    parameter = "kernel"

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> RateState:
        """The rate before the first step, the target; for an input of the synapse of `shape` `[N, *]`."""
        return self.start(LinearMap.of(layer).output(shape, dtype).shape[-1], dtype)

    def step(self, state: RateState, layer: LearningLayer, pre: Array, post: Array) -> tuple[RateState, Array]:
        """One step: the next rate and the change of the weight; `pre` is not needed."""
        return self.steps(state, layer, pre, post[None])

    def steps(self, state: RateState, layer: LearningLayer, pre: Array, post: Array) -> tuple[RateState, Array]:
        """A whole sequence at once: `post` `[T, N, *]`."""
        state, error = self.errors(state, post)
        return state, LinearMap.of(layer).weight * error


class ThresholdHomeostasis(_Homeostasis):
    """A neuron that fires too often raises its threshold; attach it to a cell, not to a synapse.

        r[t] = r[t-1] + (mean_n post[t] - r[t-1]) / tau
        d v_threshold[t] = r[t] - target

    The cell needs a threshold a neuron: `sx.LIF(v_threshold=jnp.ones(400))`.

    Args:
        target: firing rate to hold, in spikes a step, within [0, 1].
        tau: time constant of the rate in steps, >= 1.

    Raises:
        ValueError: an argument leaves its range.

    Source: Zhang and Linden, "The other side of the engram: experience-driven changes in neuronal intrinsic
    excitability", 2003; as the adaptive threshold of Diehl and Cook, "Unsupervised learning of digit recognition using
    spike-timing-dependent plasticity", 2015, but towards a rate.
    """

    parameter = "v_threshold"

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> RateState:
        """The rate before the first step, the target; for an input of the cell of `shape` `[N, *]`."""
        return self.start(shape[-1], dtype)

    def step(self, state: RateState, layer: LearningLayer, pre: Array, post: Array) -> tuple[RateState, Array]:
        """One step: the next rate and the change of the threshold; `pre` is not needed."""
        return self.steps(state, layer, pre, post[None])

    def steps(self, state: RateState, layer: LearningLayer, pre: Array, post: Array) -> tuple[RateState, Array]:
        """A whole sequence at once: `post` `[T, N, *]`."""
        state, error = self.errors(state, post)
        return state, -error
