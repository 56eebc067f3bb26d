"""What plasticity sees of a layer: a weight, and the linear map that it stands for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from spikejax.nn.spikes import SpikeProduct
from spikejax.typing import Array, Shape

LINEAR = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose)
"""Layers whose output is linear in their kernel, but for the bias."""


@dataclass(frozen=True)
class Synapse:
    """A weight and its linear map, `current = linear(weight, pre)`.

    Attributes:
        weight: the kernel of the layer, as Flax keeps it: `[in, out]`, or `[*window, in / groups, out]`.
        linear: the layer without its bias, a function of the kernel and of one batch `[N, *]`.
        name: what messages call it.
        patches: of a plain convolution, what each output sees of the input, `[N, *, window * in]`.
    """

    weight: Array
    linear: Callable[[Array, Array], Array]
    name: str
    patches: Callable[[Array], Array] | None = None

    def correlate(self, pre: Array, post: Array) -> Array:
        """Sums pre times post over the batch, for each weight over all the places where it connects the two.

            C = sum_n d<linear(W, pre[n]), post[n]> / dW      dense: C[i, j] = sum_n pre[n, i] post[n, j]

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
        current = self.current(pre.shape, pre.dtype)
        if current.shape != jnp.shape(post):
            raise ValueError(
                f"{self.name} gives {current.shape} for an input of {pre.shape}, but the spikes after it have shape "
                f"{jnp.shape(post)}: give the output of the cells that it drives"
            )
        transpose = jax.linear_transpose(lambda weight: self.linear(weight, pre), self.weight)
        return transpose(jnp.asarray(post, current.dtype))[0]

    def correlate_over_time(self, pre: Array, post: Array) -> Array:
        """As `correlate`, summed over the steps of `pre` and `post` `[T, N, *]` too."""
        if self.patches is None:
            return self.correlate(pre.reshape(-1, *pre.shape[2:]), post.reshape(-1, *post.shape[2:]))
        patches, outputs = self.patches, self.weight.shape[-1]

        def add(total: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
            # One product a step, small enough for the cache: XLA on CPU correlates a large batch ten times slower.
            seen, spikes = patches(now[0]), now[1].reshape(-1, outputs)
            return total + seen.reshape(-1, seen.shape[-1]).T @ spikes, None

        start = jnp.zeros((self.weight.size // outputs, outputs), self.weight.dtype)
        total, _ = lax.scan(add, start, (pre.astype(start.dtype), post.astype(start.dtype)))
        return total.reshape(self.weight.shape)

    def current(self, shape: Shape, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
        """The shape of the current for an input of `shape` `[N, *]`.

        Raises:
            ValueError: the layer does not accept it.
        """
        try:
            return jax.eval_shape(self.linear, self.weight, jax.ShapeDtypeStruct(shape, dtype))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name} refused an input of shape {tuple(shape)}: {error}") from error


def synapse_of(layer: Any, name: str | None = None) -> Synapse:
    """`layer` as a synapse.

    Args:
        layer: an `nnx.Linear`, `LinearGeneral`, `Conv` (of any window, stride, padding, dilation and groups, so also
            depthwise) or `ConvTranspose`; or one made from these, as `sx.nn.SpikeLinear`.
        name: what messages call it; None takes its class.

    Raises:
        TypeError: it is no such layer.
    """
    name = name or f"the synapse ({type(layer).__name__})"
    if isinstance(layer, Synapse):
        return layer
    if not isinstance(layer, LINEAR):
        kinds = ", ".join(f"nnx.{kind.__name__}" for kind in LINEAR)
        raise TypeError(
            f"{name} must be a synapse, one of {kinds}, got {type(layer).__name__}: it has no kernel to learn"
        )
    graph, variables = nnx.split(layer)

    def linear(weight: Array, pre: Array) -> Array:
        bare = nnx.merge(graph, variables)
        bare.kernel = nnx.Param(weight)
        bare.bias, bare.use_bias = None, False
        for product in ("dot_general", "conv_general_dilated"):
            if isinstance(getattr(bare, product, None), SpikeProduct):
                setattr(bare, product, getattr(bare, product).product)  # traces are not binary
        return bare(pre)

    return Synapse(layer.kernel[...], linear, name, _patches_of(layer))


def _patches_of(layer: Any) -> Callable[[Array], Array] | None:
    """What each output of a convolution sees of its input; None where the layer is another, or has a special form."""
    if not isinstance(layer, nnx.Conv) or layer.feature_group_count > 1 or layer.mask is not None:
        return None
    window, space = tuple(layer.kernel_size), len(layer.kernel_size)
    each = lambda value: (value,) * space if isinstance(value, int) else tuple(value)  # noqa: E731
    strides, dilation, padding = each(layer.strides or 1), each(layer.kernel_dilation), layer.padding
    if set(each(layer.input_dilation)) != {1} or (isinstance(padding, str) and padding not in ("SAME", "VALID")):
        return None
    reach = tuple((size - 1) * step + 1 for size, step in zip(window, dilation, strict=True))

    def patches(x: Array) -> Array:
        if isinstance(padding, str):
            pairs = lax.padtype_to_pads(x.shape[1:-1], reach, strides, padding)
        else:
            pairs = [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in each(padding)]
        x = jnp.pad(x, ((0, 0), *pairs, (0, 0)))
        seen = []
        for tap in np.ndindex(window):
            first = [i * step for i, step in zip(tap, dilation, strict=True)]
            last = [size - wide + i + 1 for size, wide, i in zip(x.shape[1:-1], reach, first, strict=True)]
            whole = (len(x), *last, x.shape[-1])
            seen.append(lax.slice(x, (0, *first, 0), whole, (1, *strides, 1)))
        return jnp.concatenate(seen, axis=-1)

    return patches
