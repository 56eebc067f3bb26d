"""Descriptions of plain layers: their arrays, and the shapes of one sample."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from spikejax.typing import Shape

Padding: TypeAlias = tuple[tuple[int, int], ...]
"""Zeros before and after, a pair a space axis."""


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One layer of a chain.

    Attributes:
        name: its place in the network, as "3", or "2.0" in a nested one.
        kind: its class in the network, as "Linear".
        inputs: shape of one sample that goes in, without batch and time, channels last.
        outputs: shape of one sample that comes out.
        module: the layer of the network itself.
    """

    name: str
    kind: str
    inputs: Shape
    outputs: Shape
    module: Any = None


@dataclass(frozen=True, kw_only=True)
class DenseSpec(LayerSpec):
    """y = x W + b; `kernel` `[in, out]`, `bias` `[out]` or None."""

    kernel: np.ndarray
    bias: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class ConvSpec(LayerSpec):
    """y = x * W + b; `kernel` `[*window, in / groups, out]`; window, strides, padding and dilation one a space axis."""

    kernel: np.ndarray
    bias: np.ndarray | None
    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True, kw_only=True)
class PoolSpec(LayerSpec):
    """Largest value, mean or sum of each window; padding counts as 0 (never the largest)."""

    mode: Literal["max", "avg", "sum"]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding


@dataclass(frozen=True, kw_only=True)
class FlattenSpec(LayerSpec):
    """`[H, W, C]` to `[H * W * C]`, channels fastest."""


@dataclass(frozen=True, kw_only=True)
class VotingSpec(LayerSpec):
    """Mean of groups of `voters` neighbouring features."""

    voters: int


@dataclass(frozen=True, kw_only=True)
class ScaleSpec(LayerSpec):
    """y = scale x; `scale` broadcasts to one sample, aligned to the last axes."""

    scale: np.ndarray


@dataclass(frozen=True, kw_only=True)
class DelaySpec(LayerSpec):
    """y[t] = x[t - delay]; `delay` `[features]`, or one of shape `()`."""

    delay: np.ndarray


@dataclass(frozen=True, kw_only=True)
class NeuronSpec(LayerSpec):
    """A layer of neurons.

    Attributes:
        cell: the cell with its parameters.
        model: the class in the table of `support` whose equations it has.
        feedback: weights through which its last output comes back, or None.
    """

    cell: Any
    model: type
    feedback: DenseSpec | None = None
