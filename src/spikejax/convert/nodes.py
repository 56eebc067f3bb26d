"""The nodes of a traced network: products with weights, activations, and all other operations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
from jax import lax

from spikejax.nn import AvgPool, Flatten, SumPool
from spikejax.typing import Array, Shape


@dataclass(frozen=True, kw_only=True)
class GraphNode:
    """A computation on the values of other nodes.

    Attributes:
        inputs: indices of these nodes; 0 is the input of the network.
        shape: shape of its value for one sample.
        line: the line of code that it comes from.
    """

    inputs: tuple[int, ...]
    shape: Shape
    line: str = ""

    def apply(self, *xs: Array) -> Array:
        """Its value for batches `[N, *]` of its inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define `apply(self, *xs)`")


@dataclass(frozen=True, kw_only=True)
class WeightNode(GraphNode):
    """y = W x + b: a dense layer or a convolution, channels last.

    Attributes:
        kernel: `[in, out]`, or `[*window, in / groups, out]`.
        bias: `[out]`.
        options: of a convolution, as `nnx.Conv` takes them; None for a dense layer.
    """

    kernel: Array
    bias: Array
    options: dict[str, Any] | None = None

    def apply(self, *xs: Array) -> Array:
        """W x + b of a batch."""
        (x,) = xs
        if self.options is None:
            return x @ self.kernel + self.bias
        y = lax.conv_general_dilated(
            x,
            self.kernel,
            self.options["strides"],
            self.options["padding"],
            rhs_dilation=self.options["kernel_dilation"],
            dimension_numbers=channels_last_numbers(self.kernel.ndim),
            feature_group_count=self.options["feature_group_count"],
        )
        return y + self.bias


@dataclass(frozen=True, kw_only=True)
class FunctionNode(GraphNode):
    """Any other operation; if it is linear, or adds a constant, spikes may take it as it is.

    Attributes:
        name: name of the operation.
        call: the function of batches `[N, *]`.
        linear: True for an operation that is linear in its inputs, but for a constant that it adds.
        homogeneous: True if a factor that all inputs share is a factor of the value.
        layer: the layer of `spikejax.nn` that computes the same, or None.
    """

    name: str
    call: Callable[..., Array] = field(repr=False)
    linear: bool = True
    homogeneous: bool = True
    layer: AvgPool | SumPool | Flatten | None = None

    def apply(self, *xs: Array) -> Array:
        """The value of the function."""
        return self.call(*xs)


@dataclass(frozen=True, kw_only=True)
class ActivationNode(GraphNode):
    """y = min(max(x, 0), limit), perhaps in steps of a learnt scale; or y = x. Neurons take its place.

    Attributes:
        limit: the largest value; None for the rectifier.
        levels: number of steps of a quantised one; 0 for a continuous one.
        signed: True for y = x, of either sign.
    """

    limit: float | None = None
    levels: int = 0
    signed: bool = False

    def apply(self, *xs: Array) -> Array:
        """The activation of the network before its conversion."""
        (x,) = xs
        if self.signed:
            return x
        if self.levels:
            step = (self.limit or 1.0) / self.levels
            return jnp.clip(jnp.floor(x / step + 0.5), 0, self.levels) * step
        return jnp.clip(x, 0, self.limit)


def channels_last_numbers(rank: int) -> lax.ConvDimensionNumbers:
    """The dimension numbers of a convolution with channels last, whose arrays have that many axes."""
    batch_first = (0, rank - 1, *range(1, rank - 1))
    return lax.ConvDimensionNumbers(batch_first, (rank - 1, rank - 2, *range(rank - 2)), batch_first)
