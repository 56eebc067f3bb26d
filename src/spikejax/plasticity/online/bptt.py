"""The reference: backpropagation through time."""

import jax
from flax import nnx

from spikejax.plasticity.online.objective import Objective, Sample, StepLoss
from spikejax.plasticity.online.rule import Carry, OnlineRule
from spikejax.scan import run
from spikejax.typing import Array, Network, State


class BPTT(OnlineRule):
    """Backpropagation through time under the signature of the online rules, to compare them with.

        dL/dW = 1/T d/dW sum over t of loss(y[t], target[t])

    Exact, but it goes back in time: memory grows with T, and there is no single step.

    Source: Werbos, "Backpropagation through time: what it does and how to do it", 1990.
    """

    def first(
        self, objective: Objective, params: nnx.State, variables: nnx.State, state: State, sample: Sample
    ) -> Carry:
        """Not possible, because there is no single step.

        Raises:
            TypeError: always.
        """
        raise TypeError("`rule` BPTT() has no single step, because it goes back in time: use an online rule")

    def over_time(self, loss: StepLoss, net: Network, samples: Sample, state: State) -> tuple[Array, nnx.State]:
        """The mean loss and its gradient, by a plain run."""
        objective = Objective(net, loss)
        start = objective.first_state(samples.x, state)

        def value(params: nnx.State) -> tuple[Array, nnx.State]:
            after, (_, ys) = objective.call(lambda net: run(net, samples.x, start), params, objective.variables)
            return jax.vmap(objective.value)(ys, samples.target).mean(), after

        (mean, after), grads = jax.value_and_grad(value, has_aux=True)(objective.params)
        objective.restore(after)
        return mean, grads
