"""Linear layers as a kernel and what it multiplies, whatever their stride, padding, dilation and groups."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from spikejax.nn.spikes import SpikeConv, SpikeLinear, SpikeProduct
from spikejax.typing import Array

LINEAR = (nnx.Linear, nnx.Conv, SpikeLinear, SpikeConv)
"""The layers whose parameters have a trace in time."""


class Synapse(NamedTuple):
    """A linear layer at work.

    Attributes:
        name: "feed" for what comes from below, "back" for the feedback of a recurrent cell.
        layer: the layer.
        x: what it sees `[N, *]`.
    """

    name: str
    layer: Any
    x: Array

    @property
    def kernel(self) -> Array:
        """The kernel as it enters the product."""
        mask = getattr(self.layer, "mask", None)
        return self.layer.kernel[...] if mask is None else self.layer.kernel[...] * mask

    @property
    def bias(self) -> Array | None:
        """The bias, where there is one."""
        return None if self.layer.bias is None else self.layer.bias[...]

    def product(self) -> "Product":
        """What the kernel and the input go through."""
        return Product.of(self.layer)

    def patches(self) -> Array:
        """What each weight sees `[K, N, *]`: I = sum over k of kernel[k] patches[k], with the K = fan-in first.

        The last axis has one entry an output channel, or 1 where all see the same.
        """
        x = jax.lax.stop_gradient(self.x)
        if isinstance(self.layer, nnx.Linear):
            return jnp.moveaxis(x, -1, 0)[..., None]
        *window, channels, out = self.layer.kernel[...].shape
        fan_in, groups = math.prod(window) * channels, self.layer.feature_group_count
        kernel = jnp.eye(fan_in, dtype=self.layer.kernel[...].dtype).reshape(*window, channels, fan_in)
        seen = self.product()(jnp.tile(kernel, groups), x)
        seen = jnp.moveaxis(seen.reshape(*seen.shape[:-1], groups, fan_in), -1, 0)
        return seen if groups == 1 else jnp.repeat(seen, out // groups, axis=-1)

    def by_fan_in(self) -> Array:
        """The kernel `[K, 1, ..., C]`, to multiply patches with."""
        return self.kernel.reshape(-1, *(1,) * (self.x.ndim - 1), self.kernel.shape[-1])


class Product(NamedTuple):
    """The product of a layer, linear in kernel and input, apart from its values.

    Attributes:
        graph: the layer with nothing but a kernel.
        structure: that of its variables.
    """

    graph: Any
    structure: Any

    @classmethod
    def of(cls, layer: Any) -> "Product":
        """The product of `layer`, without mask and bias."""
        twin = nnx.merge(*nnx.split(layer), copy=True)
        twin.bias, twin.use_bias = nnx.data(None), False
        if isinstance(layer, nnx.Conv):
            twin.mask = None
        for name in ("dot_general", "conv_general_dilated"):
            product = getattr(twin, name, None)
            if isinstance(product, SpikeProduct):
                setattr(twin, name, product.product)
        graph, variables = nnx.split(twin)
        return cls(graph, jax.tree.structure(variables))

    def __call__(self, kernel: Array, x: Array) -> Array:
        """The product of `kernel` and `x` `[N, *]`."""
        return nnx.merge(self.graph, jax.tree.unflatten(self.structure, [kernel]))(x)
