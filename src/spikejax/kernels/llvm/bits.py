"""Spikes as bits."""

from typing import Any

import jax
import jax.numpy as jnp
from llvmlite import ir

from spikejax.kernels.llvm.compiler import TILE, addresses, describe, target_of
from spikejax.kernels.llvm.loops import index, least, repeat
from spikejax.typing import Array

LANES = 16
"""Spikes that are compared together."""

ROWS = 64
"""Rows in a tile."""

FLOAT = ir.FloatType()


def bits_of(spikes: Array) -> Array:
    """Spikes `[rows, inputs]` in float32 as bits; under a compiled function of XLA's, on one CPU.

    Returns:
        Bits, uint8 `[rows, bytes]`, rows in whole words of 8 bytes; the first bit of a byte is its lowest, those beyond
        the inputs are 0.
    """
    rows, inputs = spikes.shape
    out = jax.ShapeDtypeStruct((rows, -(-inputs // 64) * 8), jnp.uint8)
    return jax.ffi.ffi_call(target_of("spikejax_bits", module_of(rows, inputs)), out)(spikes)


def module_of(rows: int, inputs: int) -> ir.Module:
    """The module of `bits_of`, for so many rows and inputs."""
    module, tiles = ir.Module("bits"), -(-rows // ROWS)
    describe(module, given=1, wanted=1, tiles=tiles, elements=rows * inputs)
    function = ir.Function(module, TILE, "tile")
    (arrays, number), build = function.args, ir.IRBuilder(function.append_basic_block())
    spikes, bits = addresses(build, arrays, 2)
    whole, rest = divmod(inputs, 64)
    words = index(whole + bool(rest))

    def pack(row: Any, word: Any, count: int) -> None:
        start = build.add(build.mul(row, index(inputs)), build.mul(word, index(64)))
        packed = ir.Constant(ir.IntType(64), 0)
        for first in range(0, count, LANES):
            lanes = min(LANES, count - first)
            vector = ir.VectorType(FLOAT, lanes)
            place = build.gep(spikes, [build.add(start, index(first))], source_etype=FLOAT)
            fired = build.fcmp_unordered("!=", build.load(place, typ=vector, align=4), ir.Constant(vector, None))
            some = build.zext(build.bitcast(fired, ir.IntType(lanes)), ir.IntType(64))
            packed = build.or_(packed, build.shl(some, index(first)))
        place = build.add(build.mul(row, words), word)
        build.store(packed, build.gep(bits, [place], source_etype=ir.IntType(64)), align=8)

    first = build.mul(number, index(ROWS))
    stop = least(build, build.add(first, index(ROWS)), index(rows))
    with repeat(build, first, stop) as row:
        with repeat(build, index(0), index(whole)) as word:
            pack(row, word, 64)
        if rest:
            pack(row, index(whole), rest)
    build.ret_void()
    return module
