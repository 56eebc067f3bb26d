"""Learning at every step, pulled towards the parameters of earlier steps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from spikejax.checks import check_number
from spikejax.plasticity.online.objective import Objective, Sample
from spikejax.plasticity.online.rule import Advance, Carry, OnlineRule
from spikejax.plasticity.online.sltt import SLTT
from spikejax.typing import Array, State


class PastSteps(NamedTuple):
    """The memory of FPTT.

    Attributes:
        mean: Wbar, the running mean of the parameters.
        before: variables and state before the last step, and its input and target.
        steps: number of steps so far.
    """

    mean: nnx.State
    before: tuple[nnx.State, State, Sample]
    steps: Array


class FPTT(OnlineRule):
    """Forward propagation through time: the gradient of each step alone, and a pull towards earlier parameters.

        grad[t] = d/dW (loss[t](W) + alpha / 2 |W - Wbar - g / (2 alpha)|²)     at W = W[t]
        after the update to W[t+1]:
        g = d/dW loss[t](W[t+1])
        Wbar = (Wbar + W[t+1]) / 2 - g / (2 alpha)

    Made for `train_online`, where the parameters change at every step; the second gradient is taken when the next
    step shows W[t+1]. In `value_and_grad_online` W stays. The value is the loss without the pull. Its memory is one
    copy of the parameters and the last step's input; every step costs two gradients. Gradients take the past as a
    constant.

    Args:
        alpha: strength of the pull, > 0.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Kag, Saligrama, "Training Recurrent Neural Networks via Forward Propagation Through Time", 2021; for
    spiking networks Yin, Corradi, Bohte, "Accurate online training of dynamical spiking neural networks through
    Forward Propagation Through Time", 2023. SpikingJelly's `fptt_online_training` takes the mean of the squares, not
    their sum, and g from the state after the step; here both are the paper's.
    """

    alpha: float | Array = 0.5

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def first(
        self, objective: Objective, params: nnx.State, variables: nnx.State, state: State, sample: Sample
    ) -> Carry:
        """The parameters as their own mean, and no last step."""
        sample = jax.tree.map(jnp.asarray, sample)
        return Carry(state, PastSteps(params, (variables, state, sample), jnp.zeros((), jnp.int32)))

    def advance(
        self, objective: Objective, params: nnx.State, variables: nnx.State, carry: Carry, sample: Sample
    ) -> Advance:
        """Catches up with the last update, then takes the gradient of this step."""
        past: PastSteps = carry.memory
        sample = jax.tree.map(jnp.asarray, sample)

        def gradient(variables: nnx.State, state: State, sample: Sample) -> Advance:
            return SLTT().advance(objective, params, variables, Carry(state, {}), sample)

        started = past.steps > 0
        again = jax.tree.map(lambda g: jnp.where(started, g, 0), gradient(*past.before).grads)
        mean = jax.tree.map(
            lambda mean, w, g: jnp.where(started, (mean + w) / 2 - g / (2 * self.alpha), mean), past.mean, params, again
        )
        step = gradient(variables, carry.state, sample)
        grads = jax.tree.map(lambda g, w, m, g0: g + self.alpha * (w - m) - g0 / 2, step.grads, params, mean, again)
        memory = PastSteps(mean, (variables, carry.state, sample), past.steps + 1)
        return Advance(step.variables, Carry(step.carry.state, memory), step.value, grads)
