"""Where in a network a rule sits: which layer it changes, and whose spikes it follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.nn import CellModule, Graph, LinearMap, Recurrent
from spikejax.nn.linear_map import is_linear_layer
from spikejax.plasticity.reward import RewardRule
from spikejax.plasticity.rule import Rule
from spikejax.typing import Array, Cell, Network, State

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Site:
    """A layer with the rules attached to it.

    Attributes:
        name: name of the layer in `rules`, such as "1.feedback".
        rules: its rules.
        layer: what they are given: a `LinearMap`, or the module of a cell.
        paths: where each rule's parameter stands in the parameters of the network.
        pre: name of the record of what goes into the layer.
        post: name of the record of the spikes that come of it.
        feedback: indices of the state of the `Recurrent` whose feedback the layer is, whose input is its last output;
            None for all other layers.
    """

    name: str
    rules: tuple[Rule, ...]
    layer: Any
    paths: tuple[Path, ...]
    pre: str
    post: str
    feedback: tuple[int, ...] | None = None

    def input(self, records: Mapping[str, Array], state: State) -> Array:
        """What went into the layer at each step, `[T, N, *]`; `state` is that of the network before the first."""
        if self.feedback is None:
            return records[self.pre]
        for index in self.feedback:
            state = state[index]
        spikes = records[self.pre]
        return jnp.concatenate((state.y[None].astype(spikes.dtype), spikes[:-1]))

    def start(self, records: Mapping[str, Any], dtype: DTypeLike) -> tuple[State, ...]:
        """The traces before the first step, for records of these shapes."""
        shape = records[self.pre].shape[1:]
        return tuple(rule.init_state(self.layer, shape, dtype) for rule in self.rules)

    def follow(
        self, records: Mapping[str, Array], state: State, traces: tuple[State, ...], rewards: Array | None
    ) -> tuple[tuple[State, ...], tuple[Array, ...]]:
        """The last traces of each rule, and the change of its parameter, over the steps recorded."""
        pre, post = self.input(records, state), records[self.post]
        after, changes = [], []
        for rule, old in zip(self.rules, traces, strict=True):
            if isinstance(rule, RewardRule) and rewards is not None:
                new, change = rule.steps(old, self.layer, pre, post, rewards)
            else:
                new, change = rule.steps(old, self.layer, pre, post)
            after.append(new)
            changes.append(change)
        return tuple(after), tuple(changes)


def sites_of(net: Any, rules: Mapping[str, Rule | Sequence[Rule]]) -> tuple[Site, ...]:
    """The site of every entry of `rules`; see `learn`.

    Raises:
        ValueError: a name is no layer, the next layer is no cell, or a parameter is no array of the layer.
        TypeError: a layer is neither a synapse nor a cell, `net` is no module, or a rule is none.
    """
    if not isinstance(net, nnx.Module):
        raise TypeError(f"`net` must be a network of layers such as sx.nn.Sequential, got {type(net).__name__}")
    params = {path for path, _ in nnx.to_flat_state(nnx.state(net, nnx.Param))}
    sites = []
    for name, given in rules.items():
        own = (given,) if isinstance(given, Rule) else tuple(given)
        for rule in own:
            if not isinstance(rule, Rule) or isinstance(rule, type):
                raise TypeError(f"`rules`[{name!r}] must be a rule such as STDP(), or a tuple of them, got {rule!r}")
        sites.append(_site(net, name, own, params))
    return tuple(sites)


class _Place(NamedTuple):
    """A layer of a network.

    Attributes:
        node: the layer.
        path: where it stands in the module.
        indices: where the state of its cell, or of the cell around it, stands in that of the network.
        driven: what gets its output: the next layer, or the `Recurrent` that it is the feedback of; None at the end
            and where others get it as well.
    """

    node: Any
    path: Path
    indices: tuple[int, ...]
    driven: Any

    def below(self, part: str) -> "_Place | None":
        """The layer called `part` in this one, if there is one."""
        layers = getattr(self.node, "layers", ())
        if part.isdigit() and int(part) < len(layers):
            i = int(part)
            wires = self.node.inputs if isinstance(self.node, Graph) else [(k,) for k in range(len(layers))]
            readers = [k for k, sources in enumerate(wires) if i + 1 in sources]
            driven = layers[i + 1] if readers == [i + 1] else None
            return _Place(layers[i], (*self.path, "layers", i), (*self.indices, i), driven)
        if isinstance(self.node, Recurrent) and part == "feedback":
            return _Place(self.node.feedback, (*self.path, part), self.indices, self.node)
        return None


def _site(net: nnx.Module, name: str, rules: tuple[Rule, ...], params: set[Path]) -> Site:
    place: _Place | None = _Place(net, (), (), None)
    parts = name.split(".")
    for part in parts:
        place = place and place.below(part)
    if place is None:
        known = ", ".join(_names(net))
        raise ValueError(f"`rules` names {name!r}, which is no layer that can learn: choose from {known}")
    node, path, indices, driven = place
    title = f"layer {name} ({type(node).__name__})"
    if isinstance(node, Cell):
        path = path if isinstance(node, CellModule) else (*path, "module")
        return _checked(Site(name, rules, node, _paths(rules, path), f"{name}.input", f"{name}.spikes"), params)
    layer, paths = LinearMap.of(node, title), _paths(rules, path)
    if parts[-1] == "feedback":
        spikes = ".".join((*parts[:-1], "spikes"))
        return _checked(Site(name, rules, layer, paths, spikes, spikes, indices), params)
    if not isinstance(driven, Cell) or (isinstance(driven, Network) and not isinstance(driven, Recurrent)):
        kind = "nothing" if driven is None else type(driven).__name__
        raise ValueError(
            f"{title} must be followed by the cell that it drives, got {kind}: a rule needs the spikes of both sides"
        )
    post = ".".join((*parts[:-1], str(indices[-1] + 1), "spikes"))
    return _checked(Site(name, rules, layer, paths, f"{name}.input", post), params)


def _paths(rules: tuple[Rule, ...], path: Path) -> tuple[Path, ...]:
    return tuple((*path, rule.parameter) for rule in rules)


def _checked(site: Site, params: set[Path]) -> Site:
    """`site`, where every rule finds its parameter."""
    for rule, path in zip(site.rules, site.paths, strict=True):
        if path not in params:
            remedy = "give it as an array" if rule.parameter != "kernel" else "attach it to a synapse"
            raise ValueError(
                f"{type(rule).__name__} changes `{rule.parameter}`, which layer {site.name} does not have as a "
                f"parameter: {remedy}"
            )
    return site


def _names(net: nnx.Module) -> list[str]:
    """The layers that rules can be attached to."""
    found = []
    for path, module in nnx.iter_modules(net):
        if is_linear_layer(module) or isinstance(module, CellModule):
            found.append(".".join(str(part) for part in path if part not in ("layers", "module")))
    return sorted(set(found))


def records_of(sites: tuple[Site, ...]) -> tuple[str, ...]:
    """Everything to record for `sites`."""
    return tuple(sorted({name for site in sites for name in (site.pre, site.post)}))
