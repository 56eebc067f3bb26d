"""What all online rules share: a carry from step to step, and the gradient of the loss of each step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from spikejax.checks import check_type
from spikejax.plasticity.online.model import Loss, Model, check_sequence, first_state, split
from spikejax.plasticity.online.step import CellInput, OnlineStep
from spikejax.pytree import Struct
from spikejax.typing import Array, State


class Carry(NamedTuple):
    """The carry of an online rule from step to step.

    Attributes:
        state: state of the network.
        memory: arrays that the rule needs beside it.
    """

    state: State
    memory: Any


class OnlineRule(Struct):
    """Base of the online rules: the gradient of a sequence, step by step, forward in time.

        L = 1/T sum over t of loss(y[t], target[t])

    A rule writes `advance`, and `first` where it keeps more than traces that start from 0.
    """

    def init(self, loss: Loss, net: Any, x: Any, target: Any = None, *, state: State = None) -> Any:
        """What to carry before the first step.

        Args:
            loss: the loss of one step.
            net: a network, as `sx.nn.Sequential`.
            x: the input of a step `[N, *]`; only its shape counts.
            target: the target of a step; only its shape counts.
            state: state to start from; None starts from `net.init_state`.
        """
        model, params, variables = split(net, loss)
        x = jnp.asarray(x)
        return self.first(model, params, variables, first_state(net, x[None], state), x, target)

    def step(self, loss: Loss, net: Any, carry: Any, x: Any, target: Any = None) -> tuple[Any, Array, Any]:
        """One step in time.

        Args:
            loss: the loss of one step, `loss(y, target)` to a scalar.
            net: the network, whose parameters may differ from those of the last step.
            carry: as `init` or the last step gave it.
            x: input `[N, *]`.
            target: target of the step.

        Returns:
            The next carry, the loss, and its gradient, an `nnx.State` of `nnx.Param`.
        """
        model, params, variables = split(net, loss)
        variables, carry, value, grads = self.advance(model, params, variables, carry, jnp.asarray(x), target)
        model.restore(net, variables)
        return carry, value, grads

    def first(self, model: Model, params: Any, variables: Any, state: State, x: Array, target: Any) -> Any:
        """The carry before the first step: the state, and zeros for the memory of the rule."""
        empty = Carry(state, {})
        memory = jax.eval_shape(lambda: self.advance(model, params, variables, empty, x, target)[1].memory)
        return Carry(state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), memory))

    def advance(
        self, model: Model, params: Any, variables: Any, carry: Any, x: Array, target: Any
    ) -> tuple[Any, Any, Array, Any]:
        """`step` as a pure function: to the variables, the carry, the loss and its gradient."""
        raise NotImplementedError(f"{type(self).__name__} must define `advance`")

    def over_time(self, loss: Loss, net: Any, xs: Array, targets: Any, state: State) -> tuple[Array, Any]:
        """The mean loss and its gradient, in one scan."""
        model, params, variables = split(net, loss)
        start = first_state(net, xs, state)
        target = jax.tree.map(lambda leaf: leaf[0], targets)
        carry = self.first(model, params, variables, start, xs[0], target)
        zero = jnp.zeros((), jnp.promote_types(xs.dtype, jnp.float32))
        total = zero, jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.promote_types(p.dtype, jnp.float32)), params)

        def body(before: Any, inputs: Any) -> tuple[Any, None]:
            variables, carry, total = before
            variables, carry, value, grads = self.advance(model, params, variables, carry, *inputs)
            total = jax.tree.map(lambda a, b: a + b.astype(a.dtype), total, (value, grads))
            return (variables, carry, total), None

        (variables, _, total), _ = lax.scan(body, (variables, carry, total), (xs, targets))
        model.restore(net, variables)
        value, grads = jax.tree.map(lambda leaf: leaf / xs.shape[0], total)
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
        self, model: Model, params: Any, variables: Any, carry: Carry, x: Array, target: Any
    ) -> tuple[Any, Carry, Array, Any]:
        """The ordinary gradient of one step, in which cells see their past through the memory of the rule."""

        def value(params: Any) -> tuple[Array, tuple[Any, Carry]]:
            step = OnlineStep(self, carry.memory)
            y, state, after = model.forward(params, variables, carry.state, x, step)
            return model.value(y, target), (after, Carry(state, lax.stop_gradient(step.after)))

        (loss, (variables, carry)), grads = jax.value_and_grad(value, has_aux=True)(params)
        return variables, carry, loss, grads


def value_and_grad_online(rule: OnlineRule) -> Any:
    """The loss of a sequence and its gradient by an online rule: memory does not grow with time.

        value, grads = value_and_grad_online(rule)(loss, net, xs, targets)
        value = 1/T sum over t of loss(y[t], targets[t])

    The function that it gives takes:

    - `loss`: `(y, target)` to a scalar, of one step: y `[N, *]` is what the network puts out;
    - `net`: a network such as `sx.nn.Sequential`;
    - `xs`: input `[T, N, *]`, time first;
    - `targets`: arrays `[T, *]` in any pytree; None shows None to the loss, which may close over labels;
    - `state`: the state to start from, a constant to gradients; None starts from `net.init_state`.

    It gives the loss and an `nnx.State` of `nnx.Param`, as `nnx.value_and_grad` does, and works inside `jax.jit`,
    `jax.vmap` and `nnx.jit`.

    Args:
        rule: such as `OTTT()`; `BPTT()` is the reference, whose memory does grow.

    Raises:
        TypeError: `rule` is no rule, or the network is none.
        ValueError: targets and input differ in their steps, the loss is no scalar, or a cell has no single step.
    """
    check_type("rule", rule, OnlineRule, "an online rule such as OTTT()")

    def value_and_grad(loss: Loss, net: Any, xs: Any, targets: Any = None, *, state: State = None) -> Any:
        xs, targets = jnp.asarray(xs), jax.tree.map(jnp.asarray, targets)
        check_sequence(xs, targets)
        return rule.over_time(loss, net, xs, targets, state)

    return value_and_grad


def train_online(rule: OnlineRule, optimizer: Any) -> Any:
    """Training in which the parameters change at every time step, in one scan.

        opt_state = optimizer.init(nnx.state(net, nnx.Param))
        opt_state, values = train_online(rule, optimizer)(loss, net, opt_state, xs, targets)

    Arguments are those of `value_and_grad_online`; the gradient of a step is that of its own loss, not over T. The
    network's parameters are updated in place, as `nnx.Optimizer.update` does.

    Args:
        rule: such as `FPTT()`.
        optimizer: a transformation of optax.

    Returns:
        The function, which gives the optimizer's state and the loss of every step `[T]`.

    Raises:
        TypeError: `rule` is no rule, or has no single step, as BPTT.
    """
    check_type("rule", rule, OnlineRule, "an online rule such as OTTT()")

    def train(loss: Loss, net: Any, opt_state: Any, xs: Any, targets: Any = None, *, state: State = None) -> Any:
        xs, targets = jnp.asarray(xs), jax.tree.map(jnp.asarray, targets)
        check_sequence(xs, targets)
        model, params, variables = split(net, loss)
        target = jax.tree.map(lambda leaf: leaf[0], targets)
        carry = rule.first(model, params, variables, first_state(net, xs, state), xs[0], target)

        def body(before: Any, inputs: Any) -> tuple[Any, Array]:
            params, opt_state, variables, carry = before
            variables, carry, value, grads = rule.advance(model, params, variables, carry, *inputs)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            params = jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)
            return (params, opt_state, variables, carry), value

        (params, opt_state, variables, _), values = lax.scan(body, (params, opt_state, variables, carry), (xs, targets))
        nnx.update(net, params)
        model.restore(net, variables)
        return opt_state, values

    return train
