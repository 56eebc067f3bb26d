"""The loss of one step as a pure function of the parameters of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from spikejax.nn.layer import limited_parts
from spikejax.nn.pure import PureModule
from spikejax.plasticity.online.signal import Signal
from spikejax.plasticity.online.step import OnlineStep
from spikejax.typing import Array, Network, State

StepLoss = Callable[[Array, Any], Array]
"""The loss of one step: output `[N, *]` and target of that step to a scalar."""


class Sample(NamedTuple):
    """Input and target of one step, or of all steps with the time first.

    Attributes:
        x: input `[N, *]`.
        target: arrays in any pytree.
    """

    x: Array
    target: Any

    def at(self, step: int) -> "Sample":
        """Input and target of one of all steps."""
        return jax.tree.map(lambda leaf: leaf[step], self)


class Objective(PureModule):
    """A network as a pure function, and the loss of its output.

    Args:
        net: the network.
        loss: the loss of one step.

    Raises:
        TypeError: `net` is no network.
    """

    def __init__(self, net: Network, loss: StepLoss) -> None:
        if not (isinstance(net, nnx.Module) and callable(getattr(net, "propagate", None))):
            raise TypeError(f"`net` must be a network, got {type(net).__name__}: wrap layers in sx.nn.Sequential")
        super().__init__(net)
        self.loss = loss

    @classmethod
    def of_steps(cls, net: Network, loss: StepLoss) -> "Objective":
        """The objective of a network that can take single steps.

        Raises:
            TypeError: `net` is no network.
            ValueError: it holds a cell that takes its whole sequence at once.
        """
        objective = cls(net, loss)
        for name, limits in limited_parts(net):
            if limits.whole:
                raise ValueError(
                    f"`net` cannot learn online: layer {name} takes its whole sequence at once and has no single step, "
                    f"since {limits.reason}: use BPTT()"
                )
        return objective

    def first_state(self, xs: Array, state: State) -> State:
        """`state`; if it is None, the state before the first step of `xs` `[T, N, *]`."""
        if state is not None:
            return state
        return self.module.init_state(xs.shape[1:], jnp.promote_types(xs.dtype, jnp.float32))

    def forward(
        self, params: nnx.State, variables: nnx.State, state: State, x: Array, step: OnlineStep
    ) -> tuple[Array, State, nnx.State]:
        """The output `[N, *]`, the next state, and the variables after the step."""
        run = lambda net: net.propagate(state, Signal(x, "input"), step)  # noqa: E731
        variables, (state, y) = self.call(run, params, variables)
        return y.at(0), state, variables

    def value(self, y: Array, target: object) -> Array:
        """The loss of one step.

        Raises:
            ValueError: it is no scalar.
        """
        value = jnp.asarray(self.loss(y, target))
        if value.shape != ():
            raise ValueError(
                f"`loss` must give one number for the output {y.shape} of a step, got shape {value.shape}: "
                f"take its mean"
            )
        return value


def check_samples(samples: Sample) -> None:
    """Raises ValueError unless the input has steps, and the targets as many."""
    xs, targets = samples
    if xs.ndim < 2 or xs.shape[0] == 0:
        raise ValueError(f"`xs` must be [T, N, *], time first, with T >= 1, got shape {xs.shape}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(targets):
        if jnp.ndim(leaf) < 1 or jnp.shape(leaf)[0] != xs.shape[0]:
            raise ValueError(
                f"`targets`{jax.tree_util.keystr(path)} must have the {xs.shape[0]} time steps of `xs` {xs.shape} as "
                f"its first axis, got shape {jnp.shape(leaf)}: let `loss` close over a target of all steps"
            )
