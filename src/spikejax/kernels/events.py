"""Products with spikes that are kept as bits; on a CPU they add up rows where there is a spike, and skip the zeros."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from spikejax.kernels.single_cpu import on_single_cpu
from spikejax.typing import Array

MANY = 1 / 3
"""Share of spikes from which on no zeros are skipped: from about 0.4 on the full product is the faster one."""

COLUMNS, INPUTS, FEW = 8, 32, 2**10
"""Columns, inputs and spikes below which none are either: there is not enough to add, or to skip."""

Bits = Array
"""Spikes as bits, uint8 `[rows, bytes]`: the first of a byte its lowest, each row filled up with 0 to whole 8 bytes."""

Plain = Callable[..., Array]


def pack(spikes: Array) -> Bits:
    """Spikes `[rows, inputs]` as bits; every value but 0 is a spike."""
    if spikes.dtype != jnp.float32 or spikes.size == 0:
        return _pack(spikes)
    return on_single_cpu(_pack_by_llvm, _pack, spikes, compile_eagerly=False)


def _pack(spikes: Array) -> Bits:
    rows, inputs = spikes.shape
    padded = jnp.pad((spikes != 0).astype(jnp.uint8), ((0, 0), (0, -inputs % 64)))
    eights = padded.reshape(rows, padded.shape[1] // 8, 8)
    # As jnp.packbits, which adds in 32 bits and makes XLA keep those.
    return jnp.bitwise_or.reduce(eights << jnp.arange(8, dtype=jnp.uint8), axis=2)


@custom_vmap
def _pack_by_llvm(spikes: Array) -> Bits:
    from spikejax.kernels.llvm import spikes_to_bits

    return spikes_to_bits(spikes)


@_pack_by_llvm.def_vmap
def _pack_many(size: int, batched: Any, spikes: Array) -> tuple[Bits, bool]:
    return jax.vmap(_pack)(spikes), True


def unpack(bits: Bits, inputs: int) -> Array:
    """Spikes `[rows, inputs]`, 0 or 1 in uint8."""
    return jnp.unpackbits(bits, axis=1, count=inputs, bitorder="little")


def skips(plain: Plain, spikes: Array, kernel: Array) -> bool:
    """Whether skipping zeros could pay: of `plain(spikes, kernel)` in float32, as large as it is."""
    dtypes = {spikes.dtype, kernel.dtype, jax.eval_shape(plain, spikes, kernel).dtype}
    inputs, columns = kernel.shape
    return dtypes == {jnp.dtype(jnp.float32)} and columns >= COLUMNS and inputs >= INPUTS and spikes.size >= FEW


def times(plain: Plain, spikes: Array, kernel: Array) -> Array:
    """`plain(spikes, kernel)`, which is the product of spikes `[*, K]` with a kernel `[K, M]`."""

    def of_bits(bits: Bits, spikes: Array, kernel: Array) -> Array:
        from spikejax.kernels.llvm import product_with_spikes

        return product_with_spikes(bits, kernel, kernel.shape[0]).reshape(*spikes.shape[:-1], -1)

    kernels = _where_few(plain, of_bits, lambda spikes, _: pack(_rows(spikes)), spikes.shape[-1])
    return on_single_cpu(kernels, plain, spikes, kernel, compile_eagerly=False)


def times_transposed(plain: Plain, inputs: int, kept: tuple[Bits, Any], values: Array) -> Array:
    """`plain(kept, values)`, which is the product `[K, M]` of the kept spikes, transposed, with values `[*, M]`.

    Args:
        plain: the function.
        inputs: K.
        kept: the bits, and what else it may use.
        values: the values.
    """

    def of_bits(bits: Bits, _: Any, values: Array) -> Array:
        from spikejax.kernels.llvm import product_with_spikes

        return product_with_spikes(bits, _rows(values), inputs, transposed=True)

    return on_single_cpu(
        _where_few(plain, of_bits, lambda kept, _: kept[0], inputs), plain, kept, values, compile_eagerly=False
    )


def _where_few(plain: Plain, of_bits: Plain, find_bits: Callable[..., Bits], inputs: int) -> Plain:
    """A function of the arguments of `plain` that skips zeros where there are few spikes; under `vmap` it does not."""

    def of_all(_: Bits, *args: Any) -> Array:
        return plain(*args)

    @custom_vmap
    def choose(*args: Any) -> Array:
        bits = find_bits(*args)
        most = MANY * inputs / bits.shape[1]  # a byte, on average
        few = jnp.mean(lax.population_count(bits), dtype=jnp.float32) < most
        return lax.cond(
            few, partial(on_single_cpu, of_bits, of_all), of_all, bits, *args
        )  # both of one type to `shard_map`

    @choose.def_vmap
    def over_batch(size: int, batched: Any, *args: Any) -> tuple[Array, bool]:
        axes = jax.tree.map(lambda yes: 0 if yes else None, tuple(batched))
        return jax.vmap(plain, in_axes=axes, axis_size=size)(*args), True

    return choose


def _rows(many: Array) -> Array:
    return many.reshape(-1, many.shape[-1])
