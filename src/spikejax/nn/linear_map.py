"""Layers with a kernel as what they compute: a linear map of the kernel and of the input."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from spikejax.nn.spikes import SpikeConv, SpikeLinear, SpikeProduct
from spikejax.nn.standardized import StandardizedProduct, WeightStandardizedConv
from spikejax.typing import Array, Shape

LinearLayer: TypeAlias = nnx.Linear | nnx.LinearGeneral | nnx.Conv | nnx.ConvTranspose
ArrayFunction: TypeAlias = Callable[[Array], Array]

LINEAR_LAYERS: dict[type, str] = {
    nnx.Linear: "dot_general",
    SpikeLinear: "dot_general",
    nnx.LinearGeneral: "dot_general",
    nnx.Conv: "conv_general_dilated",
    SpikeConv: "conv_general_dilated",
    WeightStandardizedConv: "conv_general_dilated",
    nnx.ConvTranspose: "",
}
"""The classes of layers that are linear in their kernel, each with its attribute that holds the product.

A subclass may compute anything with its kernel, so only these very classes count.
"""


@dataclass(frozen=True)
class LinearMap:
    """A layer as a linear map, `y = product(kernel, x) + bias`, with `kernel = prepare(weight)`.

    Attributes:
        layer: the layer.
        name: name of the layer in messages.
        weight: the parameter `kernel` of the layer, `[*window, in / groups, out]`.
        bias: the bias; None where there is none.
        prepare: what becomes of the parameter before it enters the product: masked, standardised, or left as it is.
        product: the layer without its bias, from kernel and batch `[N, *]`; values need not be spikes.
    """

    layer: LinearLayer
    name: str
    weight: Array
    bias: Array | None
    prepare: ArrayFunction
    product: Callable[[Array, Array], Array]

    @classmethod
    def of(cls, layer: object, name: str | None = None) -> "LinearMap":
        """The linear map of a layer, with its present parameters.

        Args:
            layer: exactly an `nnx.Linear`, `nnx.LinearGeneral`, `nnx.Conv` or `nnx.ConvTranspose` of any geometry, or
                a `SpikeLinear`, `SpikeConv` or `WeightStandardizedConv`; a `LinearMap` stays as it is.
            name: name in messages; None takes its class.

        Raises:
            TypeError: it is another layer, or its product is none of JAX's.
        """
        if isinstance(layer, LinearMap):
            return layer
        name = name or f"the layer ({type(layer).__name__})"
        if not is_linear_layer(layer):
            kinds = ", ".join(kind.__name__ for kind in LINEAR_LAYERS)
            raise TypeError(
                f"{name} must be a layer that is linear in its kernel, exactly one of {kinds}, got "
                f"{type(layer).__name__}: nothing is known of what a subclass or another layer does with a kernel"
            )
        bare: LinearLayer = nnx.merge(*nnx.split(layer), copy=True)
        bare.bias, bare.use_bias = nnx.data(None), False
        prepare = _masked(getattr(layer, "mask", None))
        if hasattr(layer, "mask"):
            bare.mask = None  # pyright: ignore[reportAttributeAccessIssue]
        attribute = LINEAR_LAYERS[type(layer)]
        if attribute and getattr(layer, attribute) is not None:
            plain, standardize = _plain_product(getattr(layer, attribute), name)
            setattr(bare, attribute, plain)
            prepare = _composed(standardize, prepare)
        graph, variables = nnx.split(bare)
        structure = jax.tree.structure(variables)

        def product(kernel: Array, x: Array) -> Array:
            return nnx.merge(graph, jax.tree.unflatten(structure, [kernel]))(x)

        bias = None if layer.bias is None else layer.bias[...]
        return cls(layer, name, layer.kernel[...], bias, prepare, product)

    @property
    def kernel(self) -> Array:
        """The kernel as it enters the product."""
        return self.prepare(self.weight)

    @property
    def out_shape(self) -> Shape:
        """The last axes of the kernel, which are those of the output: of each entry there, one column of the kernel."""
        layer = self.layer
        if isinstance(layer, nnx.LinearGeneral):
            return tuple(layer.out_features)
        flipped = isinstance(layer, nnx.ConvTranspose) and layer.transpose_kernel
        return (self.weight.shape[-2 if flipped else -1],)

    @property
    def fan_in(self) -> int:
        """Weights into one output."""
        return self.weight.size // math.prod(self.out_shape)

    def output(self, shape: Shape, dtype: DTypeLike = jnp.float32) -> jax.ShapeDtypeStruct:
        """The shape of the output for an input of `shape` `[N, *]`.

        Raises:
            ValueError: the layer does not accept it.
        """
        try:
            return jax.eval_shape(self.product, self.weight, jax.ShapeDtypeStruct(shape, dtype))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name} refused an input of shape {tuple(shape)}: {error}") from error

    def products(self, shape: Shape) -> int:
        """Products of an input and a weight for one sample of `shape`, as if no edge cut any off."""
        if isinstance(self.layer, nnx.ConvTranspose):
            return math.prod(shape) * self.weight.size // shape[-1]
        return self.fan_in * math.prod(self.output((1, *shape)).shape[1:])

    def patches(self, x: Array) -> Array:
        """The values that each weight into an output multiplies, `[K, N, *]` for the fan-in K.

            product(kernel, x) = sum over k of kernel.reshape(K, *out)[k] patches[k]

        Args:
            x: input `[N, *]`.

        Returns:
            An array whose axes after the first are those of the output, or 1 where all outputs see the same.

        Raises:
            TypeError: the layer is a `LinearGeneral` with batch axes or a `ConvTranspose` with a transposed kernel.
        """
        layer, out = self.layer, self.out_shape
        if getattr(layer, "batch_axis", None) or getattr(layer, "transpose_kernel", False):
            raise TypeError(
                f"{self.name} must not have `batch_axis` or `transpose_kernel`, because its kernel then has no column "
                f"for each output: use another layer"
            )
        if isinstance(layer, nnx.Linear):
            return jnp.moveaxis(x, -1, 0)[..., None]
        slices = _slices_of(layer)
        if slices is not None:
            return jnp.moveaxis(slices(x), -1, 0)[..., None]
        fan_in, groups = self.fan_in, getattr(layer, "feature_group_count", 1)
        each = jnp.eye(fan_in, dtype=self.weight.dtype).reshape(*self.weight.shape[: -len(out)], fan_in)
        seen = self.product(jnp.tile(each, groups), x)
        seen = jnp.moveaxis(seen.reshape(*seen.shape[:-1], groups, fan_in), -1, 0)
        seen = seen if groups == 1 else jnp.repeat(seen, out[-1] // groups, axis=-1)
        return seen.reshape(*seen.shape, *(1,) * (len(out) - 1))

    def correlate(self, pre: Array, post: Array) -> Array:
        """Sums pre times post over the batch, for each weight over all the places where it connects the two.

            C = sum_n d<product(kernel, pre[n]), post[n]> / dW      dense: C[i, j] = sum_n pre[n, i] post[n, j]

        The transpose of the map in its weight: whatever window, stride, padding, dilation or groups the layer has.

        Args:
            pre: values `[N, *]` of the shape of the layer's input.
            post: values `[N, *]` of the shape of its output.

        Returns:
            An array of the shape and dtype of the weight.

        Raises:
            ValueError: a shape is not that of the layer.
        """
        pre = jnp.asarray(pre, self.weight.dtype)
        output = self.output(pre.shape, pre.dtype)
        if output.shape != jnp.shape(post):
            raise ValueError(
                f"{self.name} gives {output.shape} for an input of {pre.shape}, but the values after it have shape "
                f"{jnp.shape(post)}: give the output of the cells that it drives"
            )
        transpose = jax.linear_transpose(lambda kernel: self.product(kernel, pre), self.weight)
        return self._of_weight(transpose(jnp.asarray(post, output.dtype))[0])

    def correlate_over_time(self, pre: Array, post: Array) -> Array:
        """As `correlate`, summed over the steps of `pre` and `post` `[T, N, *]` too."""
        slices = _slices_of(self.layer)
        if slices is None:
            return self.correlate(pre.reshape(-1, *pre.shape[2:]), post.reshape(-1, *post.shape[2:]))
        outputs = self.weight.shape[-1]

        def add(total: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
            # One product a step, small enough for the cache: XLA on CPU correlates a large batch ten times slower.
            seen, spikes = slices(step[0]), step[1].reshape(-1, outputs)
            return total + seen.reshape(-1, seen.shape[-1]).T @ spikes, None

        start = jnp.zeros((self.fan_in, outputs), self.weight.dtype)
        total, _ = lax.scan(add, start, (pre.astype(start.dtype), post.astype(start.dtype)))
        return self._of_weight(total.reshape(self.weight.shape))

    def _of_weight(self, of_kernel: Array) -> Array:
        """The cotangent of the weight from that of the kernel."""
        return of_kernel if self.prepare is _same else jax.vjp(self.prepare, self.weight)[1](of_kernel)[0]


def is_linear_layer(layer: object) -> TypeGuard[LinearLayer]:
    """True for a layer of exactly one of the classes that `LinearMap` knows."""
    return type(layer) in LINEAR_LAYERS


def _same(kernel: Array) -> Array:
    return kernel


def _masked(mask: Array | None) -> ArrayFunction:
    return _same if mask is None else lambda kernel: kernel * mask


def _composed(outer: ArrayFunction, inner: ArrayFunction) -> ArrayFunction:
    return inner if outer is _same else lambda kernel: outer(inner(kernel))


def _plain_product(product: Callable[..., Array], name: str) -> tuple[Callable[..., Array], ArrayFunction]:
    """The product for any values in place of `product`, and what `product` does with the kernel first."""
    if isinstance(product, SpikeProduct):
        return _plain_product(product.product, name)
    if isinstance(product, StandardizedProduct):
        plain, prepare = _plain_product(product.product, name)
        return plain, _composed(prepare, product.standardize)
    inner = product
    while isinstance(inner, partial):
        inner = inner.func
    if inner not in (lax.dot_general, lax.conv_general_dilated):
        raise TypeError(
            f"{name} must multiply by lax.dot_general or lax.conv_general_dilated, got {product!r}, of which it is "
            f"not known that it is linear in the kernel"
        )
    return product, _same


def _slices_of(layer: LinearLayer) -> ArrayFunction | None:
    """A function from the input to what each place of the output sees `[N, *, K]`; None but for plain convolutions."""
    if not isinstance(layer, nnx.Conv) or layer.feature_group_count > 1:
        return None
    window, space = tuple(layer.kernel_size), len(layer.kernel_size)
    each = lambda value: (value,) * space if isinstance(value, int) else tuple(value)  # noqa: E731
    strides, dilation, padding = each(layer.strides or 1), each(layer.kernel_dilation), layer.padding
    if set(each(layer.input_dilation)) != {1} or (isinstance(padding, str) and padding not in ("SAME", "VALID")):
        return None
    reach = tuple((size - 1) * step + 1 for size, step in zip(window, dilation, strict=True))

    def slices(x: Array) -> Array:
        if isinstance(padding, str):
            pairs = lax.padtype_to_pads(x.shape[1:-1], reach, strides, padding)
        else:
            pairs = [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in each(padding)]
        x = jnp.pad(x, ((0, 0), *pairs, (0, 0)))
        seen = []
        for tap in np.ndindex(window):
            first = [i * step for i, step in zip(tap, dilation, strict=True)]
            last = [size - wide + i + 1 for size, wide, i in zip(x.shape[1:-1], reach, first, strict=True)]
            seen.append(lax.slice(x, (0, *first, 0), (len(x), *last, x.shape[-1]), (1, *strides, 1)))
        return jnp.concatenate(seen, axis=-1)

    return slices
