"""Conversion of trained networks to spiking ones: the firing rate of a neuron takes the place of each rectifier."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike, DTypeLike

from spikejax import nn
from spikejax.checks import check_option
from spikejax.convert.builder import NetworkBuilder
from spikejax.convert.graph import NodeList
from spikejax.convert.neurons import RateIF
from spikejax.convert.nodes import ActivationNode
from spikejax.convert.ranges import Ranges, measure_nodes
from spikejax.convert.regions import join_functions
from spikejax.convert.scales import ScaleMode
from spikejax.convert.trace import trace
from spikejax.encoding import Poisson
from spikejax.typing import Array, Cell, Shape


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
        ann: a trained network, a function of one batch `[N, *]`; a module runs in inference mode.
        calibration: samples `[n, *]`, as they go into the network.
        mode: the value of the highest firing rate: "max", the largest activation; a percentile such as "99.9%"; a
            number in (0, 1], that share of the largest; or "balanced", for every channel a scale that starts from 0 and
            that each batch raises by twice the mean excess of the activations over it.
        channels: True gives every channel (feature) a scale of its own.
        momentum: None measures over all samples, percentiles to within 1/4096 of the largest value; a number averages
            over the batches instead, s + momentum (new - s), which depends on their order.
        nonlinear: True accepts operations that have no form in spikes, as `convert(nonlinear=...)` does.
        batch_size: number of samples computed at once.

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
    return measure_nodes(nodes, data, ScaleMode.parse(mode, channels, momentum), batch_size)


def convert(
    ann: Callable[[Array], Array],
    calibration: ArrayLike | Ranges,
    mode: str | float = "max",
    *,
    sample_shape: Shape | None = None,
    neuron: Cell | None = None,
    nonlinear: Cell | None = None,
    coding: str = "constant",
    fold: bool = True,
    rescale: bool = True,
    channels: bool = False,
    momentum: float | None = None,
) -> nn.Sequential | nn.Graph:
    """Converts a trained network to a spiking one, whose rates converge to the activations as 1 / T.

        y = scale IF(W x / scale)        soft reset; W and the bias with BatchNorm folded in

    The program of the network is traced, so it may be written in any way: nested modules, functions, residual
    connections. A chain of layers becomes a `Sequential`, which the exporters take, any other network a `Graph`. Show
    it an image at every step, as in `sx.run(net, images, steps=50)`, and add up the outputs.

    Args:
        ann: a trained network, a function of one batch `[N, *]`; a module runs in inference mode.
        calibration: samples `[n, *]`, or the result of `measure`.
        mode: as for `measure`; ignored with its result, which has a mode.
        sample_shape: shape of one sample, needed if `calibration` is the result of `measure`.
        neuron: the neuron, which fires at threshold 1 with soft reset, such as `RateIF(v_init=0.5)`, `RateIF(burst=4)`
            or `SignedIF()`; None takes `sx.IF(v_reset=None)`, and `RateIF(v_init=0.5)` for quantised activations and
            for mode "balanced".
        nonlinear: None refuses every operation that has no form in spikes. With a neuron of either sign, such as
            `MultiThresholdIF()`, LayerNorm, softmax, GELU, products of two activations and all other operations are
            computed on the means of their inputs so far, and this neuron turns their results to spikes wherever a layer
            of weights reads them.
        coding: "constant" shows the input itself at every step; "poisson" spikes of that probability, for inputs within
            [0, 1], which need a key: `run(net, x, net.init_state(x.shape, key=key), steps=50)`.
        fold: True puts the scales into the weights wherever they can go, False before and after each neuron.
        rescale: True multiplies the outputs of a network that ends in neurons by the value of a spike; False leaves
            them spikes, which chips need.
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
    if set(scales) != {i for i, node in enumerate(nodes) if isinstance(node, ActivationNode)}:
        raise ValueError("`calibration` holds the ranges of another network: measure this one")
    check_option("coding", coding, ("constant", "poisson"))
    if neuron is None and ranges.mode == "balanced":
        neuron = RateIF(v_init=0.5)
    encoder = Poisson() if coding == "poisson" else None
    return NetworkBuilder(nodes, scales, neuron, nonlinear, fold).network(encoder, rescale)


def _check_function(ann: object) -> None:
    if not callable(ann):
        raise TypeError(
            f"`ann` must be a function of one batch `[N, *]`, or a module that is one, got {type(ann).__name__}, which "
            f"carries a state from step to step, or is a network that does"
        )


def _nodes(ann: Callable[[Array], Array], shape: Shape, dtype: DTypeLike, nonlinear: bool) -> NodeList:
    """The nodes of the network without dropout, and with the running statistics of BatchNorm."""
    _check_function(ann)
    if isinstance(ann, nnx.Module):
        ann = nnx.clone(ann)
        ann.eval()
    nodes = trace(ann, shape, dtype, nonlinear=nonlinear)
    return join_functions(nodes) if nonlinear else nodes
