"""Spiking networks built from the nodes of a trained one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from flax import nnx

from spikejax import nn
from spikejax.cells import IF
from spikejax.convert.expectation import Compensated, RunningMean
from spikejax.convert.graph import NodeList
from spikejax.convert.neurons import RateIF
from spikejax.convert.nodes import ActivationNode, FunctionNode, WeightNode
from spikejax.typing import Array, Cell

Factor: TypeAlias = np.ndarray
"""One number, or one a channel."""

SpikingLayer: TypeAlias = Cell | Callable[..., Array]

ONE = np.ones((), np.float32)


class NetworkBuilder:
    """Makes layers and their wiring of nodes.

    Each value has a factor: the output of the layer that gives it, times the factor, is the value of the node. Factors
    go through operations that only move values, into the weights of the next product; where that cannot be, a layer of
    its own multiplies by the factor.

    Args:
        nodes: the trained network.
        scales: of every activation, by index: the value of one spike a step.
        neuron: the neuron in place of rectifiers; None takes `IF(v_reset=None)`, and `RateIF(v_init=0.5)` for quantised
            activations.
        signed_neuron: the neuron in place of activations of either sign; None if there are none.
        fold: True puts the scales into weights wherever they can go.
    """

    def __init__(
        self,
        nodes: NodeList,
        scales: Mapping[int, np.ndarray],
        neuron: Cell | None,
        signed_neuron: Cell | None,
        fold: bool,
    ) -> None:
        self.nodes, self.scales, self.neuron, self.signed_neuron, self.fold = nodes, scales, neuron, signed_neuron, fold
        self.users = [sum(i in node.inputs for node in nodes if node) for i in range(len(nodes))]
        self.layers: list[SpikingLayer] = []
        self.inputs: list[tuple[int, ...]] = []
        self.position, self.factor = {0: 0}, {0: ONE}
        self.means: dict[int, int] = {}

    def network(self, encoder: Cell | None, rescale: bool) -> nn.Sequential | nn.Graph:
        """The whole network.

        Args:
            encoder: the cell that the input goes through first, or None.
            rescale: True multiplies the output by its factor.
        """
        if encoder is not None:
            self.position[0] = self.add(encoder, 0)
        for index, node in enumerate(self.nodes):
            if isinstance(node, ActivationNode):
                self.neurons(index, node)
            elif isinstance(node, WeightNode):
                self.weights(index, node)
            elif isinstance(node, FunctionNode):
                self.function(index, node)
        if rescale:
            self.rescaled(len(self.nodes) - 1)
        if all(sources == (i,) for i, sources in enumerate(self.inputs)):
            return nn.Sequential(*self.layers)
        return nn.Graph(self.layers, self.inputs)

    def add(self, layer: SpikingLayer, *sources: int) -> int:
        """The position of a new layer behind those at the positions `sources`."""
        self.layers.append(layer)
        self.inputs.append(sources)
        return len(self.layers)

    def rescaled(self, index: int) -> int:
        """The position of a value whose factor is 1, behind a new layer if need be."""
        if np.any(self.factor[index] != 1.0):
            self.position[index] = self.add(nn.Scale(self.factor[index]), self.position[index])
            self.factor[index] = ONE
        return self.position[index]

    def neurons(self, index: int, node: ActivationNode) -> None:
        """The factor 1 / scale, in the weights before it or as a layer, then the neurons, whose factor is the scale."""
        (source,), scale = node.inputs, self.scales[index]
        factor, before = self.factor[source] / scale, self.nodes[source]
        position = self.position[source]
        layer = self.layers[position - 1] if position else None
        can_fold = self.fold and isinstance(before, WeightNode) and self.users[source] == 1
        if can_fold and isinstance(layer, nnx.Linear | nnx.Conv):
            _multiply(layer, factor)
        else:
            position = self.add(nn.Scale(factor), position)
        usual = RateIF(v_init=0.5) if node.levels else IF(v_reset=None)
        neuron = self.signed_neuron if node.signed and self.signed_neuron is not None else self.neuron or usual
        self.position[index], self.factor[index] = self.add(neuron, position), scale
        if not self.fold:
            self.rescaled(index)

    def weights(self, index: int, node: WeightNode) -> None:
        """A dense layer or convolution, with the factor of its input in the weights."""
        (source,) = node.inputs
        kernel = node.kernel * _factor_of_kernel(self.factor[source], node)
        self.position[index] = self.add(_layer(replace(node, kernel=kernel)), self.position[source])
        self.factor[index] = ONE

    def function(self, index: int, node: FunctionNode) -> None:
        """A linear operation as it is; any other one on the means of its inputs, its output compensated."""
        if not node.linear:
            rates = self.add(node.call, *(self.mean(i) for i in node.inputs))
            self.position[index], self.factor[index] = self.add(Compensated(), rates), ONE
            return
        first, *others = (self.factor[i] for i in node.inputs)
        after = _factor_behind(node, first) if all(np.array_equal(first, other) for other in others) else None
        positions = [self.position[i] if after is not None else self.rescaled(i) for i in node.inputs]
        self.position[index] = self.add(node.layer or node.call, *positions)
        self.factor[index] = ONE if after is None else after

    def mean(self, index: int) -> int:
        """The position of the mean of a value over the steps so far."""
        if index not in self.means:
            self.means[index] = self.add(RunningMean(), self.rescaled(index))
        return self.means[index]


def _multiply(layer: nnx.Linear | nnx.Conv, factor: Factor) -> None:
    """Multiplies the outputs of a layer, by its weights."""
    for variable in (layer.kernel, layer.bias):
        if variable is not None:
            variable[...] = variable[...] * factor


def _factor_of_kernel(factor: Factor, node: WeightNode) -> Array | Factor:
    """A factor, one number or one for each input, in a shape that multiplies the kernel."""
    if factor.ndim == 0:
        return factor
    *_, inputs, outputs = node.kernel.shape
    groups = node.options["feature_group_count"] if node.options else 1
    return np.repeat(factor.reshape(groups, inputs), outputs // groups, axis=0).T


def _factor_behind(node: FunctionNode, factor: Factor) -> Factor | None:
    """The factor of an operation all inputs of which have the same one; None if it has none."""
    if not node.homogeneous:
        return None
    if factor.ndim == 0 or isinstance(node.layer, nn.AvgPool | nn.SumPool):
        return factor
    if isinstance(node.layer, nn.Flatten):
        return np.tile(factor, node.shape[0] // len(factor))
    return factor if node.name in ("add", "add_any", "sub") and len(node.inputs) == 2 else None


def _layer(node: WeightNode) -> nnx.Linear | nnx.Conv:
    """The layer with the weights of a node."""
    *window, inputs, outputs = node.kernel.shape
    rngs = nnx.Rngs(0)
    if node.options is None:
        layer = nnx.Linear(inputs, outputs, rngs=rngs)
    else:
        groups = node.options["feature_group_count"]
        layer = nnx.Conv(inputs * groups, outputs, tuple(window), **node.options, rngs=rngs)
    layer.kernel[...], layer.bias[...] = jnp.asarray(node.kernel), jnp.asarray(node.bias)  # pyright: ignore[reportOptionalSubscript]
    return layer
