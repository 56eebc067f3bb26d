"""A network that runs and learns by rules attached to its layers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_integer
from spikejax.plasticity.reward import RewardRule, each_sample
from spikejax.plasticity.rule import Rule
from spikejax.plasticity.site import Site, records_of, sites_of
from spikejax.scan import run
from spikejax.typing import Array, Network, State

Rules = Mapping[str, Rule | Sequence[Rule]]
"""Rules by the layers they are attached to: "0", "2.1", "1.feedback"; many rules of one layer add up."""

GRADIENT = "gradient"
"""The label of parameters that no rule changes."""


class Learned(NamedTuple):
    """What `learn` gives.

    Attributes:
        ys: outputs of the network `[T, N, *]`.
        updates: for every parameter of the network, minus its change, 0 where no rule is: in the place of gradients,
            so that `optax.sgd(1.0)` adds the changes to the parameters.
        state: last state of the network.
        traces: last traces of the rules, by layer.
    """

    ys: Array
    updates: Any
    state: State
    traces: dict[str, tuple[State, ...]]


def learn(
    net: Network,
    rules: Rules,
    xs: ArrayLike,
    state: State = None,
    traces: dict[str, tuple[State, ...]] | None = None,
    *,
    steps: int | None = None,
    chunk: int | None = None,
    rewards: ArrayLike | None = None,
) -> Learned:
    """Runs a network over time as `run` does, and lets rules follow the spikes before and after its synapses.

    The parameters stay as they are during the call, and the changes add up over time and batch; to change them at every
    step, call it in a loop, a step at a time, with the state and the traces of the call before.

    Args:
        net: a network of layers.
        rules: the rules by layer: a synapse ("0", "2.1" in a nested network, "1.feedback" of a `Recurrent`), whose next
            layer must be the cell that it drives, or a cell, for rules of a cell's parameters. Rules in a tuple add up.
        xs: input `[T, N, *]`, or `[N, *]` with `steps`.
        state: state of the network to start from; None starts anew.
        traces: traces of an earlier call to go on from; None starts anew.
        steps: number of steps T of a static input.
        chunk: time steps to hold at once, with their spikes before and after every synapse that learns; None: all.
        rewards: for `MSTDP` and `MSTDPET`: one number, one a step `[T]`, or one a step and sample `[T, N]`.

    Raises:
        ValueError: `rules` names no layer, or one whose next layer is no cell, or changes a parameter that is no array
            of the layer; `rewards` is missing or superfluous; whatever `run` refuses.
        TypeError: a rule is attached to a layer that is neither a synapse nor a cell, or `net` is no network.
    """
    sites = sites_of(net, rules)
    xs = jnp.asarray(xs)
    count, shape = (xs.shape[0], xs.shape[1:]) if steps is None else (steps, xs.shape)
    dtype = jnp.promote_types(xs.dtype, jnp.float32)
    state = net.init_state(shape, dtype) if state is None else state
    inputs = _Inputs(xs, steps, _rewards(sites, rewards, count, shape[0]))
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def run_part(rest: Any, state: State, now: _Inputs) -> Any:
        own = nnx.merge(graph, params, rest, copy=True)
        state, (ys, kept) = run(own, now.xs, state, steps=now.steps, record=records_of(sites))
        return nnx.state(own, nnx.Not(nnx.Param)), state, ys, kept

    def body(carry: Any, now: _Inputs) -> Any:
        rest, state, traces, changes = carry
        rest, new, ys, kept = run_part(rest, state, now)
        found = {site.name: site.follow(kept, state, traces[site.name], now.rewards) for site in sites}
        traces = {name: after for name, (after, _) in found.items()}
        changes = jax.tree.map(jnp.add, changes, {name: change for name, (_, change) in found.items()})
        return (rest, new, traces, changes), ys

    if traces is None:
        shapes = jax.eval_shape(lambda: run_part(rest, state, inputs.part(0, 1))[3])
        start = {site.name: site.start(shapes, dtype) for site in sites}
    else:
        start = traces
    values = dict(nnx.to_flat_state(params))
    zeros = {site.name: tuple(jnp.zeros_like(values[path][...]) for path in site.paths) for site in sites}
    (rest, state, last, changes), ys = _in_chunks(body, (rest, state, start, zeros), inputs, count, chunk)
    nnx.update(net, rest)
    return Learned(ys, _updates(params, sites, changes), state, last)


def labels(net: Network, rules: Rules) -> Any:
    """For every parameter of `net`, the layer whose rules change it, as named in `rules`, else "gradient".

    For `optax.partition`: `optax.partition({"0": optax.sgd(0.1), "gradient": optax.adam(1e-3)}, labels(net, rules))`.

    Args:
        net: a network of layers.
        rules: as in `learn`.
    """
    plastic = {path: site.name for site in sites_of(net, rules) for path in site.paths}
    flat = nnx.to_flat_state(nnx.state(net, nnx.Param))
    return nnx.from_flat_state([(path, variable.replace(plastic.get(path, GRADIENT))) for path, variable in flat])


def mix(labels: Any, updates: Any, grads: Any) -> Any:
    """The `updates` of `learn` where `labels` name a layer with rules, `grads` elsewhere: one tree for an optimizer.

    Args:
        labels: from `labels`.
        updates: `Learned.updates`.
        grads: from `nnx.grad`; those of parameters with rules are not used.
    """
    return jax.tree.map(lambda label, update, grad: grad if label == GRADIENT else update, labels, updates, grads)


class _Inputs(NamedTuple):
    """What goes into some steps: `xs` `[T, N, *]`, or `[N, *]` shown at `steps` steps, and rewards `[T, N]`."""

    xs: Array
    steps: int | None
    rewards: Array | None

    def part(self, start: int | Array, length: int) -> "_Inputs":
        """The `length` steps from `start` on."""
        cut = lambda a: lax.dynamic_slice_in_dim(a, start, length)  # noqa: E731
        rewards = None if self.rewards is None else cut(self.rewards)
        return _Inputs(cut(self.xs), None, rewards) if self.steps is None else _Inputs(self.xs, length, rewards)


def _in_chunks(body: Any, carry: Any, inputs: _Inputs, steps: int, chunk: int | None) -> tuple[Any, Array]:
    """Scans chunks of time; a shorter last chunk follows on its own."""
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


def _rewards(sites: tuple[Site, ...], rewards: ArrayLike | None, steps: int, batch: int) -> Array | None:
    """Rewards `[T, N]`, where a rule takes them."""
    takers = [site.name for site in sites for rule in site.rules if isinstance(rule, RewardRule)]
    if (rewards is None) == bool(takers):
        rule = f"the rule of layer {takers[0]} takes them" if takers else "no rule takes them: attach MSTDP or MSTDPET"
        raise ValueError(f"`rewards` must {'' if takers else 'not '}be given, because {rule}")
    return None if rewards is None else each_sample(jnp.asarray(rewards), steps, batch)


def _updates(params: Any, sites: tuple[Site, ...], changes: dict[str, tuple[Array, ...]]) -> Any:
    """A tree as `params`, minus the changes where there are rules."""
    flat = {path: variable.replace(jnp.zeros_like(variable[...])) for path, variable in nnx.to_flat_state(params)}
    for site in sites:
        for path, change in zip(site.paths, changes[site.name], strict=True):
            flat[path] = flat[path].replace(flat[path][...] - change)
    return nnx.from_flat_state(list(flat.items()))
