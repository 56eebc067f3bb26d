"""The reference: backpropagation through time."""

import jax
from flax import nnx

from spikejax.plasticity.online.model import Objective, Sample, StepLoss, check_module, first_state
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
        """The mean loss and its gradient, through a plain run."""
        check_module(net)
        start = first_state(net, samples.x, state)
        graph, params, variables = nnx.split(net, nnx.Param, ...)
        objective = Objective(graph, loss)

        def value(params: nnx.State) -> tuple[Array, nnx.State]:
            copied = nnx.merge(graph, params, variables, copy=True)
            _, ys = run(copied, samples.x, start)
            return jax.vmap(objective.value)(ys, samples.target).mean(), objective.after(copied, variables)

        (mean, after), grads = jax.value_and_grad(value, has_aux=True)(params)
        objective.restore(net, after)
        return mean, grads
