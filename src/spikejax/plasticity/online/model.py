"""A network as a pure function of its parameters, one step in time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import PathParts

from spikejax.nn.layer import limited_parts
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


@dataclass(frozen=True)
class Objective:
    """The loss of a step as a pure function of the parameters of a network.

    Attributes:
        graph: the network without its variables.
        loss: the loss of one step.
        changed: paths of the variables besides parameters that a step has changed.
    """

    graph: nnx.GraphDef
    loss: StepLoss
    changed: set[PathParts] = field(default_factory=set)

    def forward(
        self, params: nnx.State, variables: nnx.State, state: State, x: Array, step: OnlineStep
    ) -> tuple[Array, State, nnx.State]:
        """The output `[N, *]`, the next state, and the variables after the step."""
        net = nnx.merge(self.graph, params, variables, copy=True)
        state, y = net.propagate(state, Signal(x, "input"), step)
        return y.value, state, self.after(net, variables)

    def after(self, net: Network, variables: nnx.State) -> nnx.State:
        """The variables of `net`, which started from `variables`; notes which have changed."""
        before = {path: variable[...] for path, variable in nnx.to_flat_state(variables)}
        after = nnx.state(net, nnx.Not(nnx.Param))
        self.changed.update(path for path, new in nnx.to_flat_state(after) if new[...] is not before[path])
        return after

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

    def restore(self, net: Network, after: nnx.State) -> None:
        """Writes the variables that changed back to the network."""
        changed = [(path, value) for path, value in nnx.to_flat_state(after) if path in self.changed]
        if changed:
            nnx.update(net, nnx.from_flat_state(changed))


def split_network(net: Network, loss: StepLoss) -> tuple[Objective, nnx.State, nnx.State]:
    """The objective of a network, its parameters, and its other variables.

    Raises:
        TypeError: `net` is no network.
        ValueError: it holds a cell that takes its whole sequence at once.
    """
    check_module(net)
    for name, limits in limited_parts(net):
        if limits.whole:
            raise ValueError(
                f"`net` cannot learn online: layer {name} takes its whole sequence at once and has no single step, "
                f"since {limits.reason}: use BPTT()"
            )
    graph, params, variables = nnx.split(net, nnx.Param, ...)
    return Objective(graph, loss), params, variables


def check_module(net: object) -> None:
    """Raises TypeError unless `net` is a network."""
    if not (isinstance(net, nnx.Module) and callable(getattr(net, "propagate", None))):
        raise TypeError(f"`net` must be a network, got {type(net).__name__}: wrap layers in sx.nn.Sequential")


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


def first_state(net: Network, xs: Array, state: State) -> State:
    """`state`; if it is None, the state before the first step."""
    if state is not None:
        return state
    return net.init_state(xs.shape[1:], jnp.promote_types(xs.dtype, jnp.float32))
