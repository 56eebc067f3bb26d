"""Gradients of whole sequences, and training at every step of them, by any online rule."""

from typing import Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_type
from spikejax.plasticity.online.objective import Objective, Sample, StepLoss, check_samples
from spikejax.plasticity.online.rule import Carry, OnlineRule
from spikejax.typing import Array, Network, State


class ValueAndGradOnline(Protocol):
    """The loss of a sequence and its gradient; see `value_and_grad_online`."""

    def __call__(
        self, loss: StepLoss, net: Network, xs: ArrayLike, targets: object = None, *, state: State = None
    ) -> tuple[Array, nnx.State]:
        """The mean loss over the steps, and its gradient, an `nnx.State` of `nnx.Param`."""
        ...


class TrainOnline(Protocol):
    """Training on a sequence, with an update at every step; see `train_online`."""

    def __call__(
        self,
        loss: StepLoss,
        net: Network,
        opt_state: optax.OptState,
        xs: ArrayLike,
        targets: object = None,
        *,
        state: State = None,
    ) -> tuple[optax.OptState, Array]:
        """The last state of the optimizer, and the loss of every step `[T]`."""
        ...


def value_and_grad_online(rule: OnlineRule) -> ValueAndGradOnline:
    """The loss of a sequence and its gradient by an online rule: memory does not grow with time.

        value, grads = value_and_grad_online(rule)(loss, net, xs, targets)
        value = 1/T sum over t of loss(y[t], targets[t])

    Arguments of the function that it returns:

    - `loss`: `(y, target)` to a scalar, of one step: y `[N, *]` is the output of the network;
    - `net`: a network such as `sx.nn.Sequential`;
    - `xs`: input `[T, N, *]`, time first;
    - `targets`: arrays `[T, *]` in any pytree; None shows None to the loss, which may close over labels;
    - `state`: the state to start from, a constant to gradients; None starts from `net.init_state`.

    Its results are the loss and an `nnx.State` of `nnx.Param`, as those of `nnx.value_and_grad`. It works inside
    `jax.jit`, `jax.vmap` and `nnx.jit`.

    Args:
        rule: such as `OTTT()`; `BPTT()` is the reference, whose memory does grow.

    Raises:
        TypeError: `rule` is no rule, or the network is none.
        ValueError: targets and input differ in their steps, the loss is no scalar, a cell has no single step, or the
            rule would not get the gradient of a parameter right.
    """
    check_type("rule", rule, OnlineRule, "an online rule such as OTTT()")

    def value_and_grad(
        loss: StepLoss, net: Network, xs: ArrayLike, targets: object = None, *, state: State = None
    ) -> tuple[Array, nnx.State]:
        samples = Sample(jnp.asarray(xs), jax.tree.map(jnp.asarray, targets))
        check_samples(samples)
        return rule.over_time(loss, net, samples, state)

    return value_and_grad


def train_online(rule: OnlineRule, optimizer: optax.GradientTransformation) -> TrainOnline:
    """Training in which the parameters change at every time step, in one scan.

        opt_state = optimizer.init(nnx.state(net, nnx.Param))
        opt_state, values = train_online(rule, optimizer)(loss, net, opt_state, xs, targets)

    Arguments are those of `value_and_grad_online`; the gradient of a step is that of its own loss, not over T. The
    network's parameters are updated in place, as `nnx.Optimizer.update` does.

    Args:
        rule: such as `FPTT()`.
        optimizer: a transformation of optax.

    Returns:
        The function, whose results are the state of the optimizer and the loss of every step `[T]`.

    Raises:
        TypeError: `rule` is no rule, or has no single step, as BPTT.
    """
    check_type("rule", rule, OnlineRule, "an online rule such as OTTT()")

    def train(
        loss: StepLoss,
        net: Network,
        opt_state: optax.OptState,
        xs: ArrayLike,
        targets: object = None,
        *,
        state: State = None,
    ) -> tuple[optax.OptState, Array]:
        samples = Sample(jnp.asarray(xs), jax.tree.map(jnp.asarray, targets))
        check_samples(samples)
        objective = Objective.of_steps(net, loss)
        params, variables, start = objective.params, objective.variables, objective.first_state(samples.x, state)
        carry = rule.first(objective, params, variables, start, samples.at(0))

        def body(
            before: tuple[nnx.State, optax.OptState, nnx.State, Carry], sample: Sample
        ) -> tuple[tuple[nnx.State, optax.OptState, nnx.State, Carry], Array]:
            params, opt_state, variables, carry = before
            variables, carry, value, grads = rule.advance(objective, params, variables, carry, sample)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            params = jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)
            return (params, opt_state, variables, carry), value

        (params, opt_state, variables, _), values = lax.scan(body, (params, opt_state, variables, carry), samples)
        nnx.update(net, params)
        objective.restore(variables)
        return opt_state, values

    return train
