"""Learning at every step, held back by what the steps before have learnt."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from spikejax.checks import check_number
from spikejax.plasticity.online.model import Model
from spikejax.plasticity.online.rule import Carry, OnlineRule
from spikejax.plasticity.online.sltt import SLTT
from spikejax.typing import Array, State


class Past(NamedTuple):
    """What FPTT keeps.

    Attributes:
        mean: Wbar, the running mean of the parameters.
        before: variables, state, input and target of the last step.
        steps: how many steps there were.
    """

    mean: Any
    before: tuple[Any, State, Array, Any]
    steps: Array


class FPTT(OnlineRule):
    """Forward propagation through time: the gradient of each step alone, and a pull towards earlier parameters.

        grad[t] = d/dW (loss[t](W) + alpha / 2 |W - Wbar - g / (2 alpha)|²)     at W = W[t]
        after the update to W[t+1]:
        g = d/dW loss[t](W[t+1])
        Wbar = (Wbar + W[t+1]) / 2 - g / (2 alpha)

    Made for `train_online`, where the parameters change at every step; the second gradient is taken when the next
    step shows W[t+1]. In `value_and_grad_online` W stays. The value is the loss without the pull. Kept are one copy of
    the parameters and the last step's input; every step costs two gradients. Gradients take the past as a constant.

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

    def first(self, model: Model, params: Any, variables: Any, state: State, x: Array, target: Any) -> Carry:
        """The parameters as their own mean, and no last step."""
        target = jax.tree.map(jnp.asarray, target)
        past = Past(params, (variables, state, x, target), jnp.zeros((), jnp.int32))
        return Carry(state, past)

    def advance(
        self, model: Model, params: Any, variables: Any, carry: Carry, x: Array, target: Any
    ) -> tuple[Any, Carry, Array, Any]:
        """Catches up with the last update, then takes the gradient of this step."""
        past: Past = carry.memory

        def gradient(variables: Any, state: State, x: Array, target: Any) -> tuple[Any, Carry, Array, Any]:
            return SLTT().advance(model, params, variables, Carry(state, {}), x, target)

        target = jax.tree.map(jnp.asarray, target)
        started = past.steps > 0
        last = jax.tree.map(lambda g: jnp.where(started, g, 0), gradient(*past.before)[3])
        mean = jax.tree.map(
            lambda mean, w, g: jnp.where(started, (mean + w) / 2 - g / (2 * self.alpha), mean), past.mean, params, last
        )
        after, new, value, grads = gradient(variables, carry.state, x, target)
        grads = jax.tree.map(lambda g, w, m, old: g + self.alpha * (w - m) - old / 2, grads, params, mean, last)
        return after, Carry(new.state, Past(mean, (variables, carry.state, x, target), past.steps + 1)), value, grads
