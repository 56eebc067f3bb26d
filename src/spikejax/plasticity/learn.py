"""A network that runs and learns by rules attached to its layers."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_integer
from spikejax.nn.pure import PureModule
from spikejax.plasticity.attachment import Attachment, RulesOfLayers, attach_rules, records_of
from spikejax.plasticity.reward import RewardRule, each_sample
from spikejax.scan import run
from spikejax.typing import Array, Network, State

_Tree = TypeVar("_Tree")

RuleTraces: TypeAlias = dict[str, tuple[State, ...]]
"""The traces of the rules, by layer."""

GRADIENT = "gradient"
"""The label of parameters that no rule changes."""


class Learned(NamedTuple):
    """The result of `learn`.

    Attributes:
        ys: outputs of the network `[T, N, *]`.
        updates: for every parameter of the network, minus its change, 0 without a rule: in the place of gradients, so
            that `optax.sgd(1.0)` adds the changes to the parameters.
        state: last state of the network.
        traces: last traces of the rules, by layer.
    """

    ys: Array
    updates: nnx.State
    state: State
    traces: RuleTraces


def learn(
    net: Network,
    rules: RulesOfLayers,
    xs: ArrayLike,
    state: State = None,
    traces: RuleTraces | None = None,
    *,
    steps: int | None = None,
    chunk: int | None = None,
    rewards: ArrayLike | None = None,
) -> Learned:
    """Runs a network over time as `run` does, and lets rules follow the spikes before and after its weights.

    The parameters stay as they are during the call, and the changes add up over time and batch; to change them at every
    step, call it in a loop, a step at a time, with the state and the traces of the call before.

    Args:
        net: a network of layers.
        rules: the rules by layer: one with a kernel ("0", "2.1" in a nested network, "1.feedback" of a `Recurrent`),
            whose next layer must be the cell that it drives, or a cell, for rules of a cell's parameters. Rules in a
            tuple add up.
        xs: input `[T, N, *]`, or `[N, *]` with `steps`.
        state: state of the network to start from; None starts anew.
        traces: traces of an earlier call to go on from; None starts anew.
        steps: number of steps T of a static input.
        chunk: time steps to hold at once, with their spikes before and after every layer that learns; None: all.
        rewards: for `MSTDP` and `MSTDPET`: one number, one a step `[T]`, or one a step and sample `[T, N]`.

    Raises:
        ValueError: `rules` names no layer, or one whose next layer is no cell, or changes a parameter that is no array
            of the layer; `rewards` is missing or superfluous; or as `run`.
        TypeError: a rule is attached to a layer that `sx.nn.LinearMap` does not know and that is no cell, or `net` is
            no network.
    """
    attached = attach_rules(net, rules)
    xs = jnp.asarray(xs)
    count, shape = (xs.shape[0], xs.shape[1:]) if steps is None else (steps, xs.shape)
    dtype = jnp.promote_types(xs.dtype, jnp.float32)
    state = net.init_state(shape, dtype) if state is None else state
    inputs = _Inputs(xs, steps, _rewards(attached, rewards, count, shape[0]))
    pure, names = PureModule(net), records_of(attached)

    def run_part(variables: nnx.State, state: State, part: _Inputs) -> tuple[nnx.State, State, Array, dict[str, Array]]:
        variables, (state, (ys, records)) = pure.call(
            lambda net: run(net, part.xs, state, steps=part.steps, record=names), pure.params, variables
        )
        return variables, state, ys, records

    def body(carry: _Carry, part: _Inputs) -> tuple[_Carry, Array]:
        variables, state, ys, records = run_part(carry.variables, carry.state, part)
        of_rules = {
            layer.name: layer.follow(records, carry.state, carry.traces[layer.name], part.rewards) for layer in attached
        }
        traces = {name: last for name, (last, _) in of_rules.items()}
        changes = jax.tree.map(jnp.add, carry.changes, {name: change for name, (_, change) in of_rules.items()})
        return _Carry(variables, state, traces, changes), ys

    if traces is None:
        shapes = jax.eval_shape(lambda: run_part(pure.variables, state, inputs.part(0, 1))[3])
        traces = {layer.name: layer.start(shapes, dtype) for layer in attached}
    values = dict(nnx.to_flat_state(pure.params))
    zeros = {layer.name: tuple(jnp.zeros_like(values[path][...]) for path in layer.paths) for layer in attached}
    last, ys = _in_chunks(body, _Carry(pure.variables, state, traces, zeros), inputs, count, chunk)
    pure.restore(last.variables)
    return Learned(ys, _updates(pure.params, attached, last.changes), last.state, last.traces)


def labels(net: Network, rules: RulesOfLayers) -> nnx.State:
    """The name in `rules` of the layer whose rules change a parameter, for every parameter of `net`; else "gradient".

    For `optax.partition`: `optax.partition({"0": optax.sgd(0.1), "gradient": optax.adam(1e-3)}, labels(net, rules))`.

    Args:
        net: a network of layers.
        rules: as in `learn`.
    """
    plastic = {path: layer.name for layer in attach_rules(net, rules) for path in layer.paths}
    flat = nnx.to_flat_state(nnx.state(net, nnx.Param))
    return nnx.from_flat_state([(path, variable.replace(plastic.get(path, GRADIENT))) for path, variable in flat])


def mix(labels: nnx.State, updates: _Tree, grads: _Tree) -> _Tree:
    """The `updates` of `learn` for parameters with rules by `labels`, `grads` for others: one tree for an optimizer.

    Args:
        labels: from `labels`.
        updates: `Learned.updates`.
        grads: from `nnx.grad`; those of parameters with rules are not used.
    """
    return jax.tree.map(lambda label, update, grad: grad if label == GRADIENT else update, labels, updates, grads)


class _Inputs(NamedTuple):
    """The inputs of some steps: `xs` `[T, N, *]`, or `[N, *]` shown at `steps` steps, and rewards `[T, N]`."""

    xs: Array
    steps: int | None
    rewards: Array | None

    def part(self, start: int | Array, length: int) -> "_Inputs":
        """The `length` steps from `start` on."""
        cut = lambda a: lax.dynamic_slice_in_dim(a, start, length)  # noqa: E731
        rewards = None if self.rewards is None else cut(self.rewards)
        return _Inputs(cut(self.xs), None, rewards) if self.steps is None else _Inputs(self.xs, length, rewards)


class _Carry(NamedTuple):
    """Values that go from chunk to chunk: variables and state of the network, traces, and the sums of the changes."""

    variables: nnx.State
    state: State
    traces: RuleTraces
    changes: dict[str, tuple[Array, ...]]


def _in_chunks(
    body: Callable[[_Carry, _Inputs], tuple[_Carry, Array]],
    carry: _Carry,
    inputs: _Inputs,
    steps: int,
    chunk: int | None,
) -> tuple[_Carry, Array]:
    """Scans chunks of time; a shorter last chunk follows after the scan."""
    chunk = steps if chunk is None else chunk
    check_integer("chunk", chunk, remedy=f"None takes all {steps} steps at once")
    if chunk >= steps:
        return body(carry, inputs)
    count, rest = divmod(steps, chunk)
    starts = jnp.arange(count) * chunk
    carry, ys = lax.scan(lambda carry, start: body(carry, inputs.part(start, chunk)), carry, starts)
    ys = ys.reshape(count * chunk, *ys.shape[2:])
    if rest:
        carry, last = body(carry, inputs.part(count * chunk, rest))
        ys = jnp.concatenate((ys, last))
    return carry, ys


def _rewards(attached: tuple[Attachment, ...], rewards: ArrayLike | None, steps: int, batch: int) -> Array | None:
    """Rewards `[T, N]`; None if no rule takes them."""
    takers = [layer.name for layer in attached for rule in layer.rules if isinstance(rule, RewardRule)]
    if (rewards is None) == bool(takers):
        rule = f"the rule of layer {takers[0]} takes them" if takers else "no rule takes them: attach MSTDP or MSTDPET"
        raise ValueError(f"`rewards` must {'' if takers else 'not '}be given, because {rule}")
    return None if rewards is None else each_sample(jnp.asarray(rewards), steps, batch)


def _updates(params: nnx.State, attached: tuple[Attachment, ...], changes: dict[str, tuple[Array, ...]]) -> nnx.State:
    """A tree as `params`, minus the changes of the rules."""
    flat = {path: variable.replace(jnp.zeros_like(variable[...])) for path, variable in nnx.to_flat_state(params)}
    for layer in attached:
        for path, change in zip(layer.paths, changes[layer.name], strict=True):
            flat[path] = flat[path].replace(flat[path][...] - change)
    return nnx.from_flat_state(list(flat.items()))
