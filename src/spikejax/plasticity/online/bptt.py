"""The reference: backpropagation through time."""

from typing import Any

import jax
from flax import nnx

from spikejax.plasticity.online.model import Loss, Model, check_network, first_state
from spikejax.plasticity.online.rule import OnlineRule
from spikejax.scan import run
from spikejax.typing import Array, State


class BPTT(OnlineRule):
    """Backpropagation through time under the signature of the online rules, to compare them with.

        dL/dW = 1/T d/dW sum over t of loss(y[t], target[t])

    Exact, but it goes back in time: memory grows with T, and there is no single step.

    Source: Werbos, "Backpropagation through time: what it does and how to do it", 1990.
    """

    def first(self, model: Model, params: Any, variables: Any, state: State, x: Array, target: Any) -> Any:
        """There is none.

        Raises:
            TypeError: always.
        """
        raise TypeError("`rule` BPTT() has no single step, because it goes back in time: use an online rule")

    def over_time(self, loss: Loss, net: Any, xs: Array, targets: Any, state: State) -> tuple[Array, Any]:
        """The mean loss and its gradient, through a plain run."""
        check_network(net)
        start = first_state(net, xs, state)
        graph, params, variables = nnx.split(net, nnx.Param, ...)
        model = Model(graph, loss)

        def value(params: Any) -> tuple[Array, Any]:
            twin = nnx.merge(graph, params, variables, copy=True)
            _, ys = run(twin, xs, start)
            return jax.vmap(model.value)(ys, targets).mean(), model.after(twin, variables)

        (loss_of_all, after), grads = jax.value_and_grad(value, has_aux=True)(params)
        model.restore(net, after)
        return loss_of_all, grads
