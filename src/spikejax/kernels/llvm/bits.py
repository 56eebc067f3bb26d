"""Spikes packed as bits."""

import jax
import jax.numpy as jnp
from llvmlite import ir

from spikejax.kernels.llvm.call import call_kernel
from spikejax.kernels.llvm.compiler import TILE, addresses
from spikejax.kernels.llvm.loops import FLOAT, LLVMValue, for_loop, index, smaller_index
from spikejax.kernels.llvm.table import KernelCode, kernel_code
from spikejax.typing import Array

COMPARED_SPIKES = 16
"""Spikes that are compared together."""

TILE_ROWS = 64
"""Rows in a tile."""


def spikes_to_bits(spikes: Array) -> Array:
    """Spikes `[rows, inputs]` in float32 as bits; inside a function that XLA compiles, on one CPU.

    Returns:
        Bits, uint8 `[rows, bytes]`, rows in whole words of 8 bytes; the first bit of a byte is its lowest, those beyond
        the inputs are 0.
    """
    rows, inputs = spikes.shape
    out = jax.ShapeDtypeStruct((rows, -(-inputs // 64) * 8), jnp.uint8)
    return call_kernel(_bits_code(rows, inputs), [out], spikes)[0]


def _bits_code(rows: int, inputs: int) -> KernelCode:
    """The code of `spikes_to_bits`, for so many rows and inputs."""
    module, tiles = ir.Module("bits"), -(-rows // TILE_ROWS)
    function = ir.Function(module, TILE, "tile")
    (arrays, number), build = function.args, ir.IRBuilder(function.append_basic_block())
    spikes, bits = addresses(build, arrays, 2)
    whole, rest = divmod(inputs, 64)
    words = index(whole + bool(rest))

    def pack(row: LLVMValue, word: LLVMValue, count: int) -> None:
        start = build.add(build.mul(row, index(inputs)), build.mul(word, index(64)))
        packed = ir.Constant(ir.IntType(64), 0)
        for first in range(0, count, COMPARED_SPIKES):
            lanes = min(COMPARED_SPIKES, count - first)
            vector = ir.VectorType(FLOAT, lanes)
            place = build.gep(spikes, [build.add(start, index(first))], source_etype=FLOAT)
            fired = build.fcmp_unordered("!=", build.load(place, typ=vector, align=4), ir.Constant(vector, None))
            chunk = build.zext(build.bitcast(fired, ir.IntType(lanes)), ir.IntType(64))
            packed = build.or_(packed, build.shl(chunk, index(first)))
        place = build.add(build.mul(row, words), word)
        build.store(packed, build.gep(bits, [place], source_etype=ir.IntType(64)), align=8)

    first = build.mul(number, index(TILE_ROWS))
    stop = smaller_index(build, build.add(first, index(TILE_ROWS)), index(rows))
    with for_loop(build, first, stop) as row:
        with for_loop(build, index(0), index(whole)) as word:
            pack(row, word, 64)
        if rest:
            pack(row, index(whole), rest)
    build.ret_void()
    return kernel_code("spikejax_bits", module, reads=1, writes=1, tiles=tiles, elements=rows * inputs)
