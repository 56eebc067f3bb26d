"""Trained networks as spiking ones: every rectifier becomes a neuron that fires at its rate."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from spikejax import nn
from spikejax.cells import IF
from spikejax.checks import check_option
from spikejax.convert.expectation import Compensated, RunningMean
from spikejax.convert.neurons import RateIF
from spikejax.convert.ranges import Ranges, measure_nodes
from spikejax.convert.regions import join
from spikejax.convert.scales import Mode
from spikejax.convert.trace import Activation, Function, Node, Synapse, trace
from spikejax.encoding import Poisson
from spikejax.typing import Array, Cell


def measure(
    ann: Callable[[Array], Array],
    calibration: ArrayLike,
    mode: str | float = "max",
    *,
    channels: bool = False,
    momentum: float | None = None,
    nonlinear: bool = False,
    batch_size: int = 100,
) -> Ranges:
    """Measures the activations of a network over data, and chooses the scale of each; prints as a table.

    Args:
        ann: a trained network, a function of one batch `[N, *]`; modules are taken in inference mode.
        calibration: samples `[n, *]`, as they go into the network.
        mode: what the highest firing rate stands for: "max", the largest activation; a percentile such as "99.9%"; a
            number in (0, 1], that share of the largest; or "balanced", for every channel a scale that starts from 0 and
            that each batch raises by twice the mean of what it cuts.
        channels: True gives every channel (feature) a scale of its own.
        momentum: None measures over all samples, percentiles to within 1/4096 of the largest value; a number averages
            over the batches instead, s + momentum (new - s), which depends on their order.
        nonlinear: whether operations without a form in spikes are let through, as for `convert(nonlinear=...)`.
        batch_size: samples that go through at once.

    Raises:
        ValueError: `mode` is none of these, or the network has an operation without a form in spikes, named with the
            line where it stands.

    Source: "max": Diehl et al., "Fast-classifying, high-accuracy spiking deep networks through weight and threshold
    balancing", 2015; percentiles: Rueckauer et al., "Conversion of continuous-valued deep networks to efficient
    event-driven networks for image classification", 2017, section 2.2; "balanced": Bu, Li and Yu, "Inference-scale
    complexity in ANN-SNN conversion for high-performance and low-power applications", 2024, local threshold balancing.

    SpikingJelly: `VoltageHook`, always by momentum, 0.1.
    """
    data = np.asarray(calibration)
    if data.ndim < 2 or not len(data):
        raise ValueError(f"`calibration` must be samples [n, *], at least one, got shape {data.shape}")
    nodes = _nodes(ann, data.shape[1:], data.dtype, nonlinear)
    return measure_nodes(nodes, data, Mode.parse(mode, channels, momentum), batch_size)


def convert(
    ann: Callable[[Array], Array],
    calibration: ArrayLike | Ranges,
    mode: str | float = "max",
    *,
    sample_shape: tuple[int, ...] | None = None,
    neuron: Cell | None = None,
    nonlinear: Cell | None = None,
    coding: str = "constant",
    fold: bool = True,
    rescale: bool = True,
    channels: bool = False,
    momentum: float | None = None,
) -> nn.Sequential | nn.Graph:
    """Makes a spiking network of a trained one: its rates converge to the activations as 1 / T.

        y = scale IF(W x / scale)        soft reset; W and the bias with BatchNorm folded in

    The program of the network is traced, so it may be written in any way: nested modules, functions, residual
    connections. A chain of layers becomes a `Sequential`, which the exporters take, any other a `Graph`. Show it an
    image at every step, as `sx.run(net, images, steps=50)`, and add up the outputs.

    Args:
        ann: a trained network, a function of one batch `[N, *]`; modules are taken in inference mode.
        calibration: samples `[n, *]`, or what `measure` gave.
        mode: as for `measure`; not needed with its result.
        sample_shape: shape of one sample, needed where `calibration` are ranges.
        neuron: the neuron, which fires at threshold 1 with soft reset, such as `RateIF(v_init=0.5)`, `RateIF(burst=4)`
            or `SignedIF()`; None takes `sx.IF(v_reset=None)`, and `RateIF(v_init=0.5)` for quantised activations and
            for mode "balanced".
        nonlinear: None refuses every operation that has no form in spikes; a neuron of either sign, such as
            `MultiThresholdIF()`, has LayerNorm, softmax, GELU, products of two activations and all others computed on
            the mean of what they have received, and fires what they give wherever a layer of weights takes it.
        coding: "constant" shows the input itself at every step; "poisson" spikes of that probability, for inputs within
            [0, 1], which need a key: `run(net, x, net.init_state(x.shape, key=key), steps=50)`.
        fold: True puts the scales into the weights wherever they can go, False before and after each neuron.
        rescale: True multiplies the outputs of a network that ends in neurons by what a spike stands for; False leaves
            them spikes, as chips want them.
        channels: as for `measure`.
        momentum: as for `measure`.

    Raises:
        ValueError: the network has an operation without a form in spikes, or the ranges are of another network.
        TypeError: `ann` is no function, such as a network with neurons.

    Source: Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks for
    image classification", 2017, eqs. 3-8; `nonlinear`: Huang et al., "Towards high-performance spiking transformers
    from ANN to SNN conversion", 2024.

    SpikingJelly: `ann2snn.Converter`, which always keeps the scales apart.
    """
    if isinstance(calibration, Ranges):
        if sample_shape is None:
            raise ValueError("`sample_shape` must be given with ranges: the shape of one sample, without the batch")
        nodes, ranges = _nodes(ann, sample_shape, jnp.float32, nonlinear is not None), calibration
    else:
        data = np.asarray(calibration)
        ranges = measure(ann, data, mode, channels=channels, momentum=momentum, nonlinear=nonlinear is not None)
        nodes = _nodes(ann, data.shape[1:], data.dtype, nonlinear is not None)
    scales = {int(r.name): np.asarray(r.scale, np.float32) for r in ranges.layers}
    if set(scales) != {i for i, node in enumerate(nodes) if isinstance(node, Activation)}:
        raise ValueError("`calibration` holds the ranges of another network: measure this one")
    check_option("coding", coding, ("constant", "poisson"))
    if neuron is None and ranges.mode == "balanced":
        neuron = RateIF(v_init=0.5)
    encoder = Poisson() if coding == "poisson" else None
    return _Builder(nodes, scales, neuron, nonlinear, fold).network(encoder, rescale)


def _check_function(ann: object) -> None:
    if not callable(ann):
        raise TypeError(
            f"`ann` must be a function of one batch `[N, *]`, or a module that is one, got {type(ann).__name__}, which "
            f"carries a state from step to step, or is a network that does"
        )


def _nodes(ann: Any, shape: tuple[int, ...], dtype: Any, nonlinear: bool) -> list[Node | None]:
    """The nodes of the network without dropout, and with the statistics that BatchNorm has gathered."""
    _check_function(ann)
    if isinstance(ann, nnx.Module):
        ann = nnx.clone(ann)
        ann.eval()
    nodes = trace(ann, shape, dtype, nonlinear=nonlinear)
    return join(nodes) if nonlinear else nodes


NOTHING = np.ones((), np.float32)
"""The factor of what is owed nothing."""


class _Builder:
    """Layers and their wiring, made of nodes.

    A value may be owed a factor, one number or one a channel: what stands there times the factor is the activation. It
    goes through operations that only move values, into the weights of the next synapse; where it cannot go it is paid
    by a layer of its own.
    """

    def __init__(
        self,
        nodes: list[Node | None],
        scales: dict[int, np.ndarray],
        neuron: Cell | None,
        nonlinear: Cell | None,
        fold: bool,
    ) -> None:
        self.nodes, self.scales, self.neuron, self.nonlinear, self.fold = nodes, scales, neuron, nonlinear, fold
        self.means: dict[int, int] = {}
        self.users = [sum(i in node.inputs for node in nodes if node) for i in range(len(nodes))]
        self.layers: list[Any] = []
        self.inputs: list[tuple[int, ...]] = []
        self.place, self.owed = {0: 0}, {0: NOTHING}

    def network(self, encoder: Cell | None, rescale: bool) -> nn.Sequential | nn.Graph:
        """The whole network, behind the encoder of its input."""
        if encoder is not None:
            self.place[0] = self.add(encoder, 0)
        for index, node in enumerate(self.nodes):
            if isinstance(node, Activation):
                self.neurons(index, node)
            elif isinstance(node, Synapse):
                self.synapse(index, node)
            elif isinstance(node, Function):
                self.function(index, node)
        if rescale:
            self.paid(len(self.nodes) - 1)
        if all(sources == (i,) for i, sources in enumerate(self.inputs)):
            return nn.Sequential(*self.layers)
        return nn.Graph(self.layers, self.inputs)

    def add(self, layer: Any, *sources: int) -> int:
        """A layer after those at these places; returns its own."""
        self.layers.append(layer)
        self.inputs.append(sources)
        return len(self.layers)

    def paid(self, index: int) -> int:
        """The place of a value that is owed nothing."""
        if np.any(self.owed[index] != 1.0):
            self.place[index] = self.add(nn.Scale(self.owed[index]), self.place[index])
            self.owed[index] = NOTHING
        return self.place[index]

    def neurons(self, index: int, node: Activation) -> None:
        """The factor 1 / scale, the neurons, and a factor owed for what comes out."""
        (source,), scale = node.inputs, self.scales[index]
        factor, before = self.owed[source] / scale, self.nodes[source]
        place = self.place[source]
        if self.fold and isinstance(before, Synapse) and self.users[source] == 1:
            layer = self.layers[place - 1]
            layer.kernel[...], layer.bias[...] = layer.kernel[...] * factor, layer.bias[...] * factor
        else:
            place = self.add(nn.Scale(factor), place)
        usual = RateIF(v_init=0.5) if node.levels else IF(v_reset=None)
        neuron = self.nonlinear if node.signed else self.neuron or usual
        self.place[index], self.owed[index] = self.add(neuron, place), scale
        if not self.fold:
            self.paid(index)

    def synapse(self, index: int, node: Synapse) -> None:
        """A dense layer or convolution, with the factor of its input in the weights."""
        (source,) = node.inputs
        kernel = node.kernel * _of_inputs(self.owed[source], node)
        self.place[index] = self.add(_layer(replace(node, kernel=kernel)), self.place[source])
        self.owed[index] = NOTHING

    def function(self, index: int, node: Function) -> None:
        """An operation as it is, pooling and flattening as layers; what is not linear on means, compensated."""
        if not node.linear:
            rates = self.add(node.call, *(self.mean(i) for i in node.inputs))
            self.place[index], self.owed[index] = self.add(Compensated(), rates), NOTHING
            return
        first, *others = (self.owed[i] for i in node.inputs)
        after = _through(node, first) if all(np.array_equal(first, other) for other in others) else None
        places = [self.place[i] if after is not None else self.paid(i) for i in node.inputs]
        self.place[index] = self.add(node.layer or node.call, *places)
        self.owed[index] = NOTHING if after is None else after

    def mean(self, index: int) -> int:
        """The place of the mean of a value over the steps so far."""
        if index not in self.means:
            self.means[index] = self.add(RunningMean(), self.paid(index))
        return self.means[index]


def _of_inputs(factor: np.ndarray, node: Synapse) -> np.ndarray:
    """A factor, one number or one for each input, as it multiplies the kernel."""
    if factor.ndim == 0:
        return factor
    *_, inputs, outputs = node.kernel.shape
    groups = node.options["feature_group_count"] if node.options else 1
    return np.repeat(factor.reshape(groups, inputs), outputs // groups, axis=0).T


def _through(node: Function, factor: np.ndarray) -> np.ndarray | None:
    """What a factor of all inputs has become behind an operation; None where it does not go through."""
    if not node.homogeneous:
        return None
    if factor.ndim == 0 or isinstance(node.layer, nn.AvgPool | nn.SumPool):
        return factor
    if isinstance(node.layer, nn.Flatten):
        return np.tile(factor, node.shape[0] // len(factor))
    return factor if node.name in ("add", "add_any", "sub") and len(node.inputs) == 2 else None


def _layer(node: Synapse) -> nnx.Linear | nnx.Conv:
    """The layer of a synapse."""
    *window, inputs, outputs = node.kernel.shape
    rngs = nnx.Rngs(0)
    if node.options is None:
        layer = nnx.Linear(inputs, outputs, rngs=rngs)
    else:
        groups = node.options["feature_group_count"]
        layer = nnx.Conv(inputs * groups, outputs, tuple(window), **node.options, rngs=rngs)
    layer.kernel[...], layer.bias[...] = jnp.asarray(node.kernel), jnp.asarray(node.bias)  # pyright: ignore[reportOptionalSubscript]
    return layer
