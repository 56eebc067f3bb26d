"""Products with spikes saved as bits. On a CPU they add up the rows at which there is a spike, and skip the zeros."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from spikejax.kernels.single_cpu import on_single_cpu
from spikejax.typing import Array

MAX_RATE = 1 / 3
"""Share of spikes up to which zeros are skipped: from about 0.4 on the full product is faster."""

MIN_COLUMNS, MIN_INPUTS, MIN_SPIKES = 8, 32, 2**10
"""Columns, inputs and elements from which on zeros are skipped: in less there is too little to add, or to skip."""

Bits: TypeAlias = Array
"""Spikes as bits, uint8 `[rows, bytes]`: the first bit of a byte is its lowest; zeros fill rows up to whole 8 bytes."""

FullProduct: TypeAlias = Callable[..., Array]
"""A function that computes a product with all its zeros."""


def pack_spikes(spikes: Array) -> Bits:
    """Spikes `[rows, inputs]` as bits; every value but 0 is a spike."""
    if spikes.dtype != jnp.float32 or spikes.size == 0:
        return _pack(spikes)
    return on_single_cpu(_pack_by_llvm, _pack, spikes, compile_eagerly=False)


def _pack(spikes: Array) -> Bits:
    rows, inputs = spikes.shape
    padded = jnp.pad((spikes != 0).astype(jnp.uint8), ((0, 0), (0, -inputs % 64)))
    eights = padded.reshape(rows, padded.shape[1] // 8, 8)
    # As jnp.packbits, which adds in 32 bits and makes XLA save those.
    return jnp.bitwise_or.reduce(eights << jnp.arange(8, dtype=jnp.uint8), axis=2)


@custom_vmap
def _pack_by_llvm(spikes: Array) -> Bits:
    from spikejax.kernels.llvm import spikes_to_bits

    return spikes_to_bits(spikes)


@_pack_by_llvm.def_vmap
def _pack_many(size: int, batched: list[bool], spikes: Array) -> tuple[Bits, bool]:
    return jax.vmap(_pack)(spikes), True


def unpack_spikes(bits: Bits, inputs: int) -> Array:
    """Spikes `[rows, inputs]`, 0 or 1 in uint8."""
    return jnp.unpackbits(bits, axis=1, count=inputs, bitorder="little")


def may_skip_zeros(product: FullProduct, spikes: Array, kernel: Array) -> bool:
    """True if skipping zeros can pay for `product(spikes, kernel)`: it is in float32 and large enough."""
    dtypes = {spikes.dtype, kernel.dtype, jax.eval_shape(product, spikes, kernel).dtype}
    inputs, columns = kernel.shape
    large = columns >= MIN_COLUMNS and inputs >= MIN_INPUTS and spikes.size >= MIN_SPIKES
    return large and dtypes == {jnp.dtype(jnp.float32)}


def multiply_spikes(product: FullProduct, spikes: Array, kernel: Array) -> Array:
    """The product of spikes `[*, K]` with a kernel `[K, M]`, which is `product(spikes, kernel)`."""

    def of_bits(bits: Bits, spikes: Array, kernel: Array) -> Array:
        from spikejax.kernels.llvm import product_with_spikes

        return product_with_spikes(bits, kernel, kernel.shape[0]).reshape(*spikes.shape[:-1], -1)

    skipping = _skip_if_few(product, of_bits, lambda spikes, _: pack_spikes(_rows(spikes)), spikes.shape[-1])
    return on_single_cpu(skipping, product, spikes, kernel, compile_eagerly=False)


def multiply_spikes_transposed(product: FullProduct, inputs: int, residuals: tuple[Bits, Any], values: Array) -> Array:
    """The product `[K, M]` of saved spikes, transposed, with values `[*, M]`, which is `product(residuals, values)`.

    Args:
        product: the function.
        inputs: K.
        residuals: the bits of the spikes, and any other arguments of `product`.
        values: the values.
    """

    def of_bits(bits: Bits, _: Any, values: Array) -> Array:
        from spikejax.kernels.llvm import product_with_spikes

        return product_with_spikes(bits, _rows(values), inputs, transposed=True)

    skipping = _skip_if_few(product, of_bits, lambda residuals, _: residuals[0], inputs)
    return on_single_cpu(skipping, product, residuals, values, compile_eagerly=False)


def _skip_if_few(
    product: FullProduct, of_bits: FullProduct, bits_from: Callable[..., Bits], inputs: int
) -> FullProduct:
    """A function of the arguments of `product` that skips zeros if there are few spikes, though not under `vmap`."""

    def of_all(_: Bits, *args: Any) -> Array:
        return product(*args)

    @custom_vmap
    def choose(*args: Any) -> Array:
        bits = bits_from(*args)
        most = MAX_RATE * inputs / bits.shape[1]  # a byte, on average
        few = jnp.mean(lax.population_count(bits), dtype=jnp.float32) < most
        of_few = partial(on_single_cpu, of_bits, of_all)  # of the same type as `of_all` to `shard_map`
        return lax.cond(few, of_few, of_all, bits, *args)

    @choose.def_vmap
    def over_batch(size: int, batched: list[Any], *args: Any) -> tuple[Array, bool]:
        axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
        return jax.vmap(product, in_axes=axes, axis_size=size)(*args), True

    return choose


def _rows(many: Array) -> Array:
    return many.reshape(-1, many.shape[-1])
