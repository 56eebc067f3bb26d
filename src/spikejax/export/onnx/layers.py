"""Layers without a state, on one batch `[N, C, *space]` or `[N, features]`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from spikejax.export import chain
from spikejax.export.onnx.equations import channels_first
from spikejax.export.onnx.graph import OnnxGraph, Tensor


@dataclass(frozen=True, kw_only=True)
class ChannelsFirstSpec(chain.FlattenSpec):
    """A Flatten that keeps the channels first, for the rows of the next kernel have been put in that order."""


def in_order(layers: Sequence[chain.LayerSpec]) -> list[chain.LayerSpec]:
    """The layers, with the rows of a kernel after a Flatten as channels first have them, which saves a Transpose."""
    ordered = list(layers)
    for i, (flatten, after) in enumerate(pairwise(layers)):
        if isinstance(flatten, chain.FlattenSpec) and isinstance(after, chain.DenseSpec):
            places = np.arange(after.kernel.shape[0]).reshape(flatten.inputs)
            rows = np.moveaxis(places, -1, 0).ravel()
            ordered[i] = ChannelsFirstSpec(**vars(flatten))
            ordered[i + 1] = replace(after, kernel=after.kernel[rows])
    return ordered


def lower(graph: OnnxGraph, layer: chain.LayerSpec, x: Tensor) -> Tensor:
    """Adds a stateless layer to the graph."""
    return LAYER_WRITERS[type(layer)](graph, layer, x)


def channels_last(graph: OnnxGraph, x: Tensor) -> Tensor:
    """`[N, C, *space]` as `[N, *space, C]`."""
    return _transposed(graph, x, (0, *range(2, len(x.shape)), 1))


def channels_second(graph: OnnxGraph, x: Tensor) -> Tensor:
    """`[N, *space, C]` as `[N, C, *space]`."""
    return _transposed(graph, x, (0, len(x.shape) - 1, *range(1, len(x.shape) - 1)))


def _transposed(graph: OnnxGraph, x: Tensor, order: tuple[int, ...]) -> Tensor:
    if order == tuple(sorted(order)):
        return x
    return graph.add("Transpose", x, shape=tuple(x.shape[i] for i in order), perm=order)


def reshaped(graph: OnnxGraph, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`x` in another shape."""
    if x.shape == shape:
        return x
    return graph.add("Reshape", x, graph.constant(np.array(shape, np.int64), "shape"), shape=shape)


def dense(graph: OnnxGraph, layer: chain.DenseSpec, x: Tensor, prefix: str = "") -> Tensor:
    """`x W + b`."""
    names = (f"{prefix}.kernel", f"{prefix}.bias") if prefix else ("kernel", "bias")
    shape, kernel = (x.shape[0], *layer.outputs), graph.constant(layer.kernel, names[0])
    if layer.bias is None:
        return graph.add("MatMul", x, kernel, shape=shape)
    return graph.add("Gemm", x, kernel, graph.constant(layer.bias, names[1]), shape=shape)


def _convolved(graph: OnnxGraph, layer: chain.ConvSpec, x: Tensor) -> Tensor:
    kernel = np.moveaxis(layer.kernel, (-1, -2), (0, 1))
    values = [x, graph.constant(kernel, "kernel")]
    if layer.bias is not None:
        values.append(graph.constant(layer.bias, "bias"))
    window = _windows(graph, layer, layer.kernel.shape[:-2])
    return graph.add("Conv", *values, shape=_shape(layer, x), **window, dilations=layer.dilation, group=layer.groups)


def _pooled(graph: OnnxGraph, layer: chain.PoolSpec, x: Tensor) -> Tensor:
    window = _windows(graph, layer, layer.window)
    if layer.mode == "max":
        return graph.add("MaxPool", x, shape=_shape(layer, x), **window)
    if layer.mode == "avg":
        return graph.add("AveragePool", x, shape=_shape(layer, x), **window, count_include_pad=1)
    ones = graph.constant(np.ones((x.shape[1], 1, *layer.window)), "window")  # a mean times its size would round
    return graph.add("Conv", x, ones, shape=_shape(layer, x), **window, group=x.shape[1])


def _windows(graph: OnnxGraph, layer: chain.ConvSpec | chain.PoolSpec, window: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of a sliding window."""
    low, high = zip(*layer.padding, strict=True)
    if min(*low, *high) < 0:
        graph.find("error", "padding", layer.padding, ">= 0", "crop the input instead")
    if isinstance(layer, chain.PoolSpec) and any(
        p >= k for pair, k in zip(layer.padding, window, strict=True) for p in pair
    ):
        graph.find("error", "padding", layer.padding, f"below the window {window}", "pool with less padding")
    return {"kernel_shape": window, "strides": layer.strides, "pads": (*low, *high)}


def _shape(layer: chain.LayerSpec, x: Tensor) -> tuple[int, ...]:
    return (x.shape[0], layer.outputs[-1], *layer.outputs[:-1])


def _flattened(graph: OnnxGraph, layer: chain.FlattenSpec, x: Tensor) -> Tensor:
    return reshaped(graph, channels_last(graph, x), (x.shape[0], *layer.outputs))


def _flattened_as_is(graph: OnnxGraph, layer: chain.FlattenSpec, x: Tensor) -> Tensor:
    return reshaped(graph, x, (x.shape[0], *layer.outputs))


def _scaled(graph: OnnxGraph, layer: chain.ScaleSpec, x: Tensor) -> Tensor:
    """A factor for each channel, or for all."""
    scale = layer.scale.reshape((1,) * (1 + len(layer.inputs) - layer.scale.ndim) + layer.scale.shape)
    return graph.add("Mul", x, graph.constant(channels_first(scale), "scale"))


def _voted(graph: OnnxGraph, layer: chain.VotingSpec, x: Tensor) -> Tensor:
    """A product with 0 and 1, then a division: spikes are counted exactly."""
    classes = layer.outputs[-1]
    if len(layer.inputs) == 1:
        groups = np.kron(np.eye(classes), np.ones((layer.voters, 1)))
        votes = graph.add("MatMul", x, graph.constant(groups, "groups"), shape=(x.shape[0], classes))
    else:
        ones = graph.constant(np.ones((classes, layer.voters, *(1,) * (len(x.shape) - 2))), "groups")
        window = (1,) * (len(x.shape) - 2)
        votes = graph.add("Conv", x, ones, shape=_shape(layer, x), kernel_shape=window, group=classes)
    return graph.add("Div", votes, graph.constant(np.float32(layer.voters), "voters"))


LAYER_WRITERS: dict[type, Callable[[OnnxGraph, Any, Tensor], Tensor]] = {
    chain.DenseSpec: dense,
    chain.ConvSpec: _convolved,
    chain.PoolSpec: _pooled,
    chain.FlattenSpec: _flattened,
    ChannelsFirstSpec: _flattened_as_is,
    chain.ScaleSpec: _scaled,
    chain.VotingSpec: _voted,
}
"""The function that writes each kind of layer."""
