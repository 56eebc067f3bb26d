"""Synapses for an input of 0 and 1, saved as one bit an element for the backward pass; products that skip its zeros."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jax.typing import DTypeLike

from spikejax.internals import varying_together
from spikejax.kernels.events import (
    may_skip_zeros,
    multiply_spikes,
    multiply_spikes_transposed,
    pack_spikes,
    unpack_spikes,
)
from spikejax.kernels.linear import linear_call
from spikejax.typing import Array

Product = Callable[..., Array]
SavedSpikes = tuple[Array, Array | None]
"""Spikes as bits, and an array by which these depend on the spikes, for further derivatives."""


class SpikeLinear(nnx.Linear):
    """`nnx.Linear` for spikes, with the same outputs and gradients in less memory, and faster where few fire.

        y = x W + b      dW = x^T dy, where x is saved as one bit an element

    On a CPU both products in float32 skip the zeros: they add up the rows of W, or of dy, at which there is a spike.
    They are full products if a third of the input or more are spikes, under `vmap`, and for arrays that `jax.jit`
    splits among devices.

    All else, the parameters included, is as in `nnx.Linear`. The input must be 0 or 1: of any other
    input the results are wrong, since every value but 0 may be taken for a 1. Outside `jax.jit` the input is always
    checked; inside, where values are not known, only with `debug`. A weight that is NaN shows only where its input
    fires. A policy of `jax.checkpoint` that keeps products does not see those that skip.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        rngs: random streams for the initial parameters.
        dot_general: the product, as for `nnx.Linear`.
        debug: check the input inside `jax.jit` as well. A wrong one stops the computation with a
            `jax.errors.JaxRuntimeError` that holds the message, when its results are awaited.
        **options: the other arguments of `nnx.Linear`.

    Raises:
        ValueError: an input is not 0 or 1; raised when the layer is called.

    SpikingJelly: `SpikeLinear`, which keeps the input as bool, and only warns.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rngs: nnx.Rngs,
        dot_general: Product = lax.dot_general,
        debug: bool = False,
        **options: Any,
    ) -> None:
        product = SpikeProduct(dot_general, "Linear", debug)
        super().__init__(in_features, out_features, dot_general=product, rngs=rngs, **options)


class SpikeConv(nnx.Conv):
    """`nnx.Conv` for spikes, with the same outputs and gradients in less memory.

        y = x * W + b      dW = x * dy, where x is saved as one bit an element

    All else, the parameters included, is as in `nnx.Conv`. The input must be 0 or 1: of any other
    input the output is right and the gradient of the kernel is not, since it takes every value but 0 for a 1. Outside
    `jax.jit` the input is always checked; inside, where values are not known, only with `debug`.

    Args:
        in_features: channels of the input, its last axis.
        out_features: channels of the output, its last axis.
        kernel_size: size of the kernel in each space axis.
        strides: step between windows.
        rngs: random streams for the initial parameters.
        conv_general_dilated: the convolution, as for `nnx.Conv`.
        debug: check the input inside `jax.jit` as well. A wrong one stops the computation with a
            `jax.errors.JaxRuntimeError` that holds the message, when its results are awaited.
        **options: the other arguments of `nnx.Conv`, such as `padding`, `kernel_dilation`, `feature_group_count`.

    Raises:
        ValueError: an input is not 0 or 1; raised when the layer is called.

    SpikingJelly: `SpikeConv1d`, `SpikeConv2d`, `SpikeConv3d`, which keep the input as bool, and only warn.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = 1,
        *,
        rngs: nnx.Rngs,
        conv_general_dilated: Product = lax.conv_general_dilated,
        debug: bool = False,
        **options: Any,
    ) -> None:
        product = SpikeProduct(conv_general_dilated, "Conv", debug)
        super().__init__(
            in_features, out_features, kernel_size, strides, conv_general_dilated=product, rngs=rngs, **options
        )


@dataclass(frozen=True)
class SpikeProduct:
    """`product(spikes, kernel, ...)`, linear in both, which saves the spikes as bits for the gradient of the kernel.

    Attributes:
        product: the product.
        layer: name of the layer in `nnx`, for messages.
        debug: True if values are checked in traced code too.
    """

    product: Product
    layer: str
    debug: bool

    def __call__(self, spikes: Array, kernel: Array, *args: Any, **options: Any) -> Array:
        """The product."""
        spikes, kernel = varying_together((spikes, kernel))
        return _multiply(self, lambda spikes, kernel: self.product(spikes, kernel, *args, **options), spikes, kernel)

    def skips_zeros(self, product: Product, spikes: Array, kernel: Array) -> bool:
        """True if the zeros are skipped."""
        return self.product is lax.dot_general and may_skip_zeros(product, spikes, kernel)

    def check(self, spikes: Array) -> None:
        """Raises ValueError unless all `spikes` are 0 or 1; traced ones are checked when their values are known."""
        if (isinstance(spikes, Tracer) and not self.debug) or not spikes.size:
            return
        facts = jnp.all((spikes == 0) | (spikes == 1)), jnp.min(spikes), jnp.max(spikes)
        if isinstance(spikes, Tracer):
            jax.debug.callback(self._refuse, *facts)
        else:
            self._refuse(*facts)

    def _refuse(self, binary: Array, low: Array, high: Array) -> None:
        if not binary:
            raise ValueError(
                f"`inputs` of Spike{self.layer} must be 0 or 1, got values from {low} to {high}: use nnx.{self.layer}, "
                "which takes any values"
            )


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _multiply(layer: SpikeProduct, product: Product, spikes: Array, kernel: Array) -> Array:
    layer.check(spikes)
    if layer.skips_zeros(product, spikes, kernel):
        return multiply_spikes(product, spikes, kernel)
    return product(spikes, kernel)


def _multiply_jvp(
    layer: SpikeProduct, product: Product, primals: tuple[Array, Array], tangents: tuple[Any, Any]
) -> tuple[Array, Array]:
    (spikes, kernel), (of_spikes, of_kernel) = primals, tangents
    y = _multiply(layer, product, spikes, kernel)
    parts = []
    if not isinstance(of_spikes, SymbolicZero):
        parts.append(product(of_spikes, kernel))
    if not isinstance(of_kernel, SymbolicZero):

        def of_saved(saved: SavedSpikes, of_kernel: Array) -> Array:
            return product(_unpack(spikes.shape, spikes.dtype, *saved), of_kernel)

        def transpose(saved: SavedSpikes, of_y: Array) -> Array:
            return jax.linear_transpose(partial(of_saved, _after(of_y, saved)), kernel)(of_y)[0]

        by_rows = layer.skips_zeros(product, spikes, kernel)
        transposed = partial(multiply_spikes_transposed, transpose, spikes.shape[-1]) if by_rows else transpose
        saved = _pack(spikes, spikes.shape[-1] if by_rows else 64)
        parts.append(linear_call(of_saved, transposed, saved, of_kernel))
    return y, sum(parts[1:], parts[0]) if parts else jnp.zeros_like(y)


_multiply.defjvp(_multiply_jvp, symbolic_zeros=True)


def _pack(spikes: Array, inputs: int) -> SavedSpikes:
    """The spikes as bits, in rows of `inputs` if these divide the spikes, else in one row."""
    # Bits have no derivative, and the second one of a product needs that of the spikes. Where the spikes are known
    # there is none further out; elsewhere the link is a constant whose value is never used, which XLA drops.
    rows = 1 if spikes.size == 0 or spikes.size % inputs else spikes.size // inputs
    bits = pack_spikes(spikes.reshape(rows, spikes.size // rows))
    return bits, _link(spikes) if isinstance(spikes, Tracer) else None


def _after(of_y: Array, saved: SavedSpikes) -> SavedSpikes:
    """The saved spikes, which cannot be unpacked before `of_y` is computed."""
    # XLA orders by data alone, on a CPU even across an `optimization_barrier`, and would unpack in the forward pass.
    # This is always 0, which XLA does not see.
    zero = (of_y.ravel()[:1] != 0).sum(dtype=jnp.uint8) >> 1
    return saved[0] ^ zero, saved[1]


@jax.custom_jvp
def _link(spikes: Array) -> Array:
    return jnp.zeros_like(spikes)


_link.defjvps(lambda t, *_: t)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _unpack(shape: tuple[int, ...], dtype: DTypeLike, bits: Array, link: Array | None) -> Array:
    return unpack_spikes(bits, math.prod(shape) // bits.shape[0]).reshape(shape).astype(dtype)


@_unpack.defjvp
def _unpack_jvp(
    shape: tuple[int, ...], dtype: DTypeLike, primals: SavedSpikes, tangents: SavedSpikes
) -> tuple[Array, Array]:
    spikes = _unpack(shape, dtype, *primals)
    _, of_link = tangents
    return spikes, jnp.zeros_like(spikes) if of_link is None else of_link
