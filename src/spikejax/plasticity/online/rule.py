"""The base of all online rules: a carry from step to step, and the gradient of the loss of each step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.plasticity.online.objective import Objective, Sample, StepLoss
from spikejax.plasticity.online.step import CellInput, OnlineStep
from spikejax.pytree import Struct
from spikejax.typing import Array, Network, State


class Carry(NamedTuple):
    """The carry of an online rule from step to step.

    Attributes:
        state: state of the network.
        memory: arrays that the rule needs beside it.
    """

    state: State
    memory: Any


class Advance(NamedTuple):
    """The result of one step of an online rule.

    Attributes:
        variables: variables of the network besides its parameters, after the step.
        carry: the next carry.
        value: loss of the step.
        grads: its gradient with respect to the parameters.
    """

    variables: nnx.State
    carry: Carry
    value: Array
    grads: nnx.State


class OnlineRule(Struct):
    """Base of the online rules: the gradient of a sequence, step by step, forward in time.

        L = 1/T sum over t of loss(y[t], target[t])

    A rule writes `advance`, and `first` if its memory is more than traces that start from 0.
    """

    def init(self, loss: StepLoss, net: Network, x: ArrayLike, target: object = None, *, state: State = None) -> Carry:
        """The carry before the first step.

        Args:
            loss: the loss of one step.
            net: a network, as `sx.nn.Sequential`.
            x: the input of a step `[N, *]`; only its shape counts.
            target: the target of a step; only its shape counts.
            state: state to start from; None starts from `net.init_state`.
        """
        objective, x = Objective.of_steps(net, loss), jnp.asarray(x)
        start = objective.first_state(x[None], state)
        return self.first(objective, objective.params, objective.variables, start, Sample(x, target))

    def step(
        self, loss: StepLoss, net: Network, carry: Carry, x: ArrayLike, target: object = None
    ) -> tuple[Carry, Array, nnx.State]:
        """One step in time.

        Args:
            loss: the loss of one step, `loss(y, target)` to a scalar.
            net: the network, whose parameters may differ from those of the last step.
            carry: the carry of `init` or of the last step.
            x: input `[N, *]`.
            target: target of the step.

        Returns:
            The next carry, the loss, and its gradient, an `nnx.State` of `nnx.Param`.
        """
        objective, sample = Objective.of_steps(net, loss), Sample(jnp.asarray(x), target)
        step = self.advance(objective, objective.params, objective.variables, carry, sample)
        objective.restore(step.variables)
        return step.carry, step.value, step.grads

    def first(
        self, objective: Objective, params: nnx.State, variables: nnx.State, state: State, sample: Sample
    ) -> Carry:
        """The carry before the first step: the state, and zeros for the memory of the rule."""
        empty = Carry(state, {})
        memory = jax.eval_shape(lambda: self.advance(objective, params, variables, empty, sample).carry.memory)
        return Carry(state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), memory))

    def advance(
        self, objective: Objective, params: nnx.State, variables: nnx.State, carry: Carry, sample: Sample
    ) -> Advance:
        """`step` as a pure function."""
        raise NotImplementedError(f"{type(self).__name__} must define `advance`")

    def over_time(self, loss: StepLoss, net: Network, samples: Sample, state: State) -> tuple[Array, nnx.State]:
        """The mean loss over the steps of `samples` and its gradient, in one scan."""
        objective = Objective.of_steps(net, loss)
        params, variables, start = objective.params, objective.variables, objective.first_state(samples.x, state)
        carry = self.first(objective, params, variables, start, samples.at(0))
        zero = jnp.zeros((), jnp.promote_types(samples.x.dtype, jnp.float32))
        total = zero, jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.promote_types(p.dtype, jnp.float32)), params)

        def body(
            before: tuple[nnx.State, Carry, tuple[Array, nnx.State]], sample: Sample
        ) -> tuple[tuple[nnx.State, Carry, tuple[Array, nnx.State]], None]:
            variables, carry, total = before
            variables, carry, value, grads = self.advance(objective, params, variables, carry, sample)
            total = jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, (value, grads))
            return (variables, carry, total), None

        (variables, _, total), _ = lax.scan(body, (variables, carry, total), samples)
        objective.restore(variables)
        value, grads = jax.tree.map(lambda leaf: leaf / samples.x.shape[0], total)
        return value, jax.tree.map(lambda g, p: g.astype(p.dtype), grads, params)


class LocalRule(OnlineRule):
    """Base of the rules that differ only in the memory of each cell; a rule writes `take`.

    Attributes:
        remembers: False if the past is a constant to the rule, so that it takes networks of any wiring.
    """

    remembers = True

    def take(self, step: OnlineStep, at: CellInput) -> tuple[State, Array]:
        """Takes one cell through a step, with gradients to the past as far as the rule has them."""
        raise NotImplementedError(f"{type(self).__name__} must define `take`")

    def refusal(self, reason: str) -> ValueError:
        """The error for a network whose gradient the rule would not get right."""
        return ValueError(
            f"`net` cannot learn online by {type(self).__name__}: {reason}: use SLTT(), to which the past is a "
            f"constant, or BPTT()"
        )

    def advance(
        self, objective: Objective, params: nnx.State, variables: nnx.State, carry: Carry, sample: Sample
    ) -> Advance:
        """The ordinary gradient of one step, in which cells see their past through the memory of the rule."""

        def value(params: nnx.State) -> tuple[Array, tuple[nnx.State, Carry]]:
            step = OnlineStep(self, carry.memory)
            y, state, after = objective.forward(params, variables, carry.state, sample.x, step)
            return objective.value(y, sample.target), (after, Carry(state, lax.stop_gradient(step.after)))

        (loss, (after, last)), grads = jax.value_and_grad(value, has_aux=True)(params)
        return Advance(after, last, loss, grads)
