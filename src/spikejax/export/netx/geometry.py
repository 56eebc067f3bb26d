"""Convolutions that do more than one layer of a network: pooling before them, and uneven padding."""

from dataclasses import replace

import numpy as np
from jax import lax

from spikejax.export.chain import LayerSpec, PoolSpec
from spikejax.export.netx.block import Block


def pooled(block: Block, layer: LayerSpec) -> Block:
    """A convolution of sums of windows as one convolution of what the windows hold."""
    if not isinstance(layer, PoolSpec):
        raise ValueError(f"layer {layer.name} ({layer.kind}) stands before a convolution: it can follow only pooling")
    sizes = zip(layer.inputs, layer.window, layer.strides, layer.padding, block.padding, strict=False)
    for n, window, stride, pads, (low, high) in sizes:
        if ((low or high) and window > stride) or (high and (n + sum(pads) - window) % stride):
            raise ValueError(
                f"layer {layer.name} ({layer.kind}) with window {layer.window} and strides {layer.strides} over "
                f"{layer.inputs}, then layer {block.name} (Conv) with padding {block.padding}, are not one: "
                "use windows that tile the input, or a convolution without padding"
            )
    axes = len(layer.window)
    spread = tuple(d * s for d, s in zip(block.dilation, layer.strides, strict=True))

    def widened(kernel: np.ndarray) -> np.ndarray:
        extents = [(k - 1) * d + w for k, d, w in zip(kernel.shape, spread, layer.window, strict=False)]
        wide = np.zeros((*extents, *kernel.shape[axes:]), kernel.dtype)
        for tap in np.ndindex(*kernel.shape[:axes]):
            wide[tuple(slice(i * d, i * d + w) for i, d, w in zip(tap, spread, layer.window, strict=True))] += kernel[
                tap
            ]
        return wide

    padding = zip(block.padding, layer.strides, layer.padding, strict=True)
    return replace(
        block,
        inputs=layer.inputs,
        weight=widened(block.weight),
        unrounded=None if block.unrounded is None else widened(block.unrounded),
        strides=tuple(a * b for a, b in zip(block.strides, layer.strides, strict=True)),
        padding=tuple((low * s + pads[0], high * s + pads[1]) for (low, high), s, pads in padding),
        dilation=(1,) * axes,
    )


def symmetric(block: Block) -> Block:
    """The same convolution with as much padding after as before: the kernel grows by zeros where there was less."""
    if all(low == high for low, high in block.padding):
        return block
    sizes = zip(block.padding, block.dilation, strict=True)
    grown = [(max(high - low, 0), max(low - high, 0), d - 1) for (low, high), d in sizes] + [(0, 0, 0)] * 2
    spread = replace(block, dilation=(1,) * len(block.padding))
    for name in ("weight", "unrounded"):
        kernel = getattr(block, name)
        if kernel is not None:
            spread = replace(spread, **{name: np.asarray(lax.pad(kernel, np.zeros((), kernel.dtype), grown))})
    return replace(spread, padding=tuple((max(pair),) * 2 for pair in block.padding))
