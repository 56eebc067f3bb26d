"""Rules attached to the layers of a network: the parameters that they change, and the spikes that they follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from flax.typing import PathParts
from jax.typing import DTypeLike

from spikejax.nn import CellModule, Graph, LinearMap, Recurrent
from spikejax.nn.linear_map import is_linear_layer
from spikejax.plasticity.reward import RewardRule
from spikejax.plasticity.rule import LearningLayer, PlasticityRule
from spikejax.typing import Array, Cell, Network, State

RulesOfLayers: TypeAlias = Mapping[str, PlasticityRule | Sequence[PlasticityRule]]
"""Rules by the layers they are attached to: "0", "2.1", "1.feedback"; many rules of one layer add up."""


@dataclass(frozen=True)
class Attachment:
    """A layer with the rules attached to it.

    Attributes:
        name: name of the layer in `rules`, such as "1.feedback".
        rules: its rules.
        layer: the argument `layer` of the rules: a `LinearMap`, or the module of a cell.
        paths: for each rule, the path of its parameter among those of the network.
        pre: name of the record of the input of the layer.
        post: name of the record of the spikes that come of it.
        feedback: indices of the state of the `Recurrent` whose feedback the layer is, whose input is its last output;
            None for all other layers.
    """

    name: str
    rules: tuple[PlasticityRule, ...]
    layer: LearningLayer
    paths: tuple[PathParts, ...]
    pre: str
    post: str
    feedback: tuple[int, ...] | None = None

    def input(self, records: Mapping[str, Array], state: State) -> Array:
        """The input of the layer at each step, `[T, N, *]`; `state` is that of the network before the first."""
        if self.feedback is None:
            return records[self.pre]
        for index in self.feedback:
            state = state[index]
        spikes = records[self.pre]
        return jnp.concatenate((state.y[None].astype(spikes.dtype), spikes[:-1]))

    def start(self, records: Mapping[str, jax.ShapeDtypeStruct], dtype: DTypeLike) -> tuple[State, ...]:
        """The traces before the first step, for records of these shapes."""
        shape = records[self.pre].shape[1:]
        return tuple(rule.init_state(self.layer, shape, dtype) for rule in self.rules)

    def follow(
        self, records: Mapping[str, Array], state: State, traces: tuple[State, ...], rewards: Array | None
    ) -> tuple[tuple[State, ...], tuple[Array, ...]]:
        """The last traces of each rule, and the change of its parameter, over the steps recorded."""
        pre, post = self.input(records, state), records[self.post]
        after, changes = [], []
        for rule, before in zip(self.rules, traces, strict=True):
            if isinstance(rule, RewardRule) and rewards is not None:
                last, change = rule.steps(before, self.layer, pre, post, rewards)
            else:
                last, change = rule.steps(before, self.layer, pre, post)
            after.append(last)
            changes.append(change)
        return tuple(after), tuple(changes)


def attach_rules(net: Network, rules: RulesOfLayers) -> tuple[Attachment, ...]:
    """The attachment of every entry of `rules`; see `learn`.

    Raises:
        ValueError: a name is no layer, the next layer is no cell, or a parameter is no array of the layer.
        TypeError: a layer has no linear map and is no cell, `net` is no module, or a rule is none.
    """
    if not isinstance(net, nnx.Module):
        raise TypeError(f"`net` must be a network of layers such as sx.nn.Sequential, got {type(net).__name__}")
    params = {path for path, _ in nnx.to_flat_state(nnx.state(net, nnx.Param))}
    attachments = []
    for name, entry in rules.items():
        of_layer = (entry,) if isinstance(entry, PlasticityRule) else tuple(entry)
        for rule in of_layer:
            if not isinstance(rule, PlasticityRule) or isinstance(rule, type):
                raise TypeError(f"`rules`[{name!r}] must be a rule such as STDP(), or a tuple of them, got {rule!r}")
        attachments.append(_attachment(net, name, of_layer, params))
    return tuple(attachments)


def records_of(attachments: tuple[Attachment, ...]) -> tuple[str, ...]:
    """The names of all records that the rules follow."""
    return tuple(sorted({name for attachment in attachments for name in (attachment.pre, attachment.post)}))


class _Position(NamedTuple):
    """A layer of a network.

    Attributes:
        node: the layer.
        path: its place in the module.
        indices: the place of the state of its cell, or of the cell around it, in that of the network.
        driven: the only reader of its output: the next layer, or the `Recurrent` that it is the feedback of; None at
            the end and if there are several.
    """

    node: object
    path: PathParts
    indices: tuple[int, ...]
    driven: object

    def child(self, part: str) -> "_Position | None":
        """The layer called `part` in this one, if there is one."""
        layers = getattr(self.node, "layers", ())
        if part.isdigit() and int(part) < len(layers):
            i = int(part)
            wires = self.node.inputs if isinstance(self.node, Graph) else [(k,) for k in range(len(layers))]
            readers = [k for k, sources in enumerate(wires) if i + 1 in sources]
            driven = layers[i + 1] if readers == [i + 1] else None
            return _Position(layers[i], (*self.path, "layers", i), (*self.indices, i), driven)
        if isinstance(self.node, Recurrent) and part == "feedback":
            return _Position(self.node.feedback, (*self.path, part), self.indices, self.node)
        return None


def _attachment(net: nnx.Module, name: str, rules: tuple[PlasticityRule, ...], params: set[PathParts]) -> Attachment:
    position: _Position | None = _Position(net, (), (), None)
    parts = name.split(".")
    for part in parts:
        position = position and position.child(part)
    if position is None:
        known = ", ".join(_names(net))
        raise ValueError(f"`rules` names {name!r}, which is no layer that can learn: choose from {known}")
    node, path, indices, driven = position
    title = f"layer {name} ({type(node).__name__})"
    if isinstance(node, Cell):
        path = path if isinstance(node, CellModule) else (*path, "module")
        return _checked(Attachment(name, rules, node, _paths(rules, path), f"{name}.input", f"{name}.spikes"), params)
    layer, paths = LinearMap.of(node, title), _paths(rules, path)
    if parts[-1] == "feedback":
        spikes = ".".join((*parts[:-1], "spikes"))
        return _checked(Attachment(name, rules, layer, paths, spikes, spikes, indices), params)
    if not isinstance(driven, Cell) or (isinstance(driven, Network) and not isinstance(driven, Recurrent)):
        kind = "nothing" if driven is None else type(driven).__name__
        raise ValueError(
            f"{title} must be followed by the cell that it drives, got {kind}: a rule needs the spikes of both sides"
        )
    post = ".".join((*parts[:-1], str(indices[-1] + 1), "spikes"))
    return _checked(Attachment(name, rules, layer, paths, f"{name}.input", post), params)


def _paths(rules: tuple[PlasticityRule, ...], path: PathParts) -> tuple[PathParts, ...]:
    return tuple((*path, rule.parameter) for rule in rules)


def _checked(attachment: Attachment, params: set[PathParts]) -> Attachment:
    """`attachment`, if the parameter of every rule is one of the layer's."""
    for rule, path in zip(attachment.rules, attachment.paths, strict=True):
        if path not in params:
            remedy = "give it as an array" if rule.parameter != "kernel" else "attach it to a layer with a kernel"
            raise ValueError(
                f"{type(rule).__name__} changes `{rule.parameter}`, which layer {attachment.name} does not have as a "
                f"parameter: {remedy}"
            )
    return attachment


def _names(net: nnx.Module) -> list[str]:
    """The layers that rules can be attached to."""
    names = set()
    for path, module in nnx.iter_modules(net):
        if is_linear_layer(module) or isinstance(module, CellModule):
            names.add(".".join(str(part) for part in path if part not in ("layers", "module")))
    return sorted(names)
