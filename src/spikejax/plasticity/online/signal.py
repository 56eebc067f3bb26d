"""Values of one step with their origin: the layers without a state that made them from the outputs of cells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
from flax import nnx

from spikejax.kernels.template import has_gradient
from spikejax.nn.pure import PureModule
from spikejax.plasticity.online.columns import Columns, columns_of
from spikejax.pytree import Struct
from spikejax.sequence import Steps
from spikejax.typing import Array, State

Variables: TypeAlias = tuple[nnx.State, State]
"""Arrays of a layer that are no parameters: other variables of its module, and a state that stays as it is."""

Parameters: TypeAlias = dict[str, dict[str, Array]]
"""The parameters of layers, by the paths of the layers and their own names."""

Constants: TypeAlias = tuple[dict[str, Variables], dict[str, Array]]
"""All other variables of layers by their paths, and the values of sources by theirs."""


@dataclass(frozen=True, eq=False)
class PureLayer:
    """A layer without a state as a pure function.

    Attributes:
        path: its place, as "0.2".
        layer: the layer: a module or a function.
        apply: `(parameters, variables, *inputs)` to its output.
        parameters: its trainable arrays by name.
        variables: a pytree of all other arrays that it reads, as they were before the step.
        changed: for each leaf of `variables`, True if the step has changed it.
    """

    path: str
    layer: Any
    apply: Callable[..., Array]
    parameters: dict[str, Array]
    variables: Variables
    changed: tuple[bool, ...] = ()

    @classmethod
    def of(cls, path: str, layer: object, call: Callable[..., Array], constants: State = ()) -> "PureLayer":
        """A layer that computes `call(layer, constants, *inputs)`."""
        module = PureModule(layer)
        tree, rest, bind = module.params, module.variables, module.bind
        if isinstance(layer, Struct):
            tree, bind = layer, lambda tree, rest: tree
        rest = jax.tree.map(lambda leaf: leaf, rest)  # a copy, which the layer does not write to
        leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
        names = [jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value") for path, _ in leaves]

        def apply(parameters: Mapping[str, Array], variables: Variables, *inputs: Array) -> Array:
            rest, constants = variables
            bound = bind(jax.tree.unflatten(structure, [parameters[name] for name in names]), rest)
            return call(bound, constants, *inputs)

        parameters = {name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}
        return cls(path, layer, apply, parameters, (rest, constants))

    def compared(self, layer: object, constants: State = ()) -> "PureLayer":
        """The same with `changed`, from the layer and the constants after the step."""
        rest = PureModule(layer).variables
        leaves = zip(jax.tree.leaves(self.variables), jax.tree.leaves((rest, constants)), strict=True)
        return replace(self, changed=tuple(before is not after for before, after in leaves))

    @property
    def title(self) -> str:
        """Path and kind, for messages."""
        return f"{self.path} ({getattr(self.layer, '__name__', type(self.layer).__name__)})"

    def trainable(self) -> dict[str, Array]:
        """The parameters that have gradients."""
        return {name: leaf for name, leaf in self.parameters.items() if has_gradient(leaf)}


class Signal(Steps):
    """A value of one step, as a sequence of length 1 that knows its origin.

    Args:
        value: the value `[N, *]`.
        path: the path of the layer that gave it, "input" for the input of the network.
        cells: paths of the cells from whose outputs of this step it was made.
        layer: the layer that made it of `inputs`; None for a source: the input of the network, the output of a cell, or
            a function of these without parameters.
        inputs: the inputs of the layer.
    """

    value: Array
    path: str
    cells: frozenset[str]
    layer: PureLayer | None
    inputs: "tuple[Signal, ...]"

    def __init__(
        self,
        value: Array,
        path: str,
        cells: frozenset[str] = frozenset(),
        layer: PureLayer | None = None,
        inputs: "tuple[Signal, ...]" = (),
    ) -> None:
        super().__init__(value[None])
        fields = {"value": value, "path": path, "cells": cells, "layer": layer, "inputs": inputs}
        for name, field in fields.items():
            object.__setattr__(self, name, field)  # a sequence is frozen

    def at(self, t: Array | int) -> Array:
        """The value, at the only step there is."""
        return self.value

    @classmethod
    def made_by(cls, layer: PureLayer, value: Array, *inputs: "Signal") -> "Signal":
        """The output of a layer without a state."""
        cells = frozenset[str]().union(*(signal.cells for signal in inputs))
        if not layer.trainable() and all(signal.layer is None for signal in inputs):
            return cls(value, layer.path, cells)
        return cls(value, layer.path, cells, layer, inputs)

    def layers(self) -> "list[Signal]":
        """The signals that layers made, from the first to this one, each once."""
        ordered: dict[str, Signal] = {}
        for signal in self.inputs:
            ordered |= {before.path: before for before in signal.layers()}
        return [*ordered.values(), *([] if self.layer is None else [self])]

    def sources(self) -> "dict[str, Signal]":
        """The sources that it was made of, by their paths."""
        if self.layer is None:
            return {self.path: self}
        return {path: source for signal in self.inputs for path, source in signal.sources().items()}


class StepFunction:
    """A signal as a function of the parameters of its layers, and of constants.

    Args:
        signal: the signal.

    Attributes:
        parameters: the present parameters.
        constants: the present constants.
    """

    def __init__(self, signal: Signal) -> None:
        self.signals = {made.path: made for made in signal.layers()}
        self.path = signal.path
        self.parameters: Parameters = {path: _layer(made).trainable() for path, made in self.signals.items()}
        variables = {path: _layer(made).variables for path, made in self.signals.items()}
        self.constants: Constants = variables, {path: made.value for path, made in signal.sources().items()}

    def __call__(self, parameters: Parameters, constants: Constants, known: dict[str, Array] | None = None) -> Array:
        """The value of the signal.

        Args:
            parameters: as the attribute.
            constants: as the attribute.
            known: outputs of some of the layers, which are not computed.
        """
        variables, sources = constants
        values = {**sources, **(known or {})}
        for path, signal in self.signals.items():
            if path not in values:
                layer, inputs = _layer(signal), [values[before.path] for before in signal.inputs]
                values[path] = layer.apply(layer.parameters | parameters[path], variables[path], *inputs)
        return values[self.path]

    def layer(self, path: str) -> PureLayer:
        """The layer at `path`."""
        return _layer(self.signals[path])

    def columns(self, path: str, columns: Columns) -> "tuple[Columns, str | None]":
        """The columns of the value, from those of the output of the layer at `path`.

        Returns:
            The columns, and the title of the first layer of whose output an element depends on several; None if there
            is no such layer.
        """
        by_path, mixing = {path: columns}, None
        for signal in self.signals.values():
            layer = _layer(signal)
            if signal.path != path and any(before.path in by_path for before in signal.inputs):
                of_inputs = [by_path.get(before.path) for before in signal.inputs]
                values = [before.value for before in signal.inputs]
                call = lambda *inputs, layer=layer: layer.apply(layer.parameters, layer.variables, *inputs)  # noqa: E731
                by_path[signal.path] = columns_of(call, values, of_inputs)
                if mixing is None and by_path[signal.path].single() is None:
                    mixing = layer.title
        return by_path[self.path], mixing


def _layer(signal: Signal) -> PureLayer:
    """The layer of a signal that is no source."""
    if signal.layer is None:
        raise ValueError(f"`signal` {signal.path} must be the output of a layer, got a source")
    return signal.layer
