"""The module of a kernel that takes blocks of neurons through time."""

from functools import partial, reduce
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr
from llvmlite import ir

from spikejax.kernels.llvm.code import ALIGNED, Memory, Tile
from spikejax.kernels.llvm.compiler import POINTER, TILE, addresses, describe
from spikejax.kernels.llvm.loops import INDEX, index, least

LANES = ALIGNED // 4
"""Neurons in a vector of float32. Where the processor's vectors are narrower, LLVM takes several."""

STREAMED = 2**23
"""Bytes from which on an array is written past the caches, in which little of it would be found again."""

FEWEST, MOST = 256, 1024
"""Neurons in a tile: few enough that what they keep from step to step stays in the first cache, or near it."""


def module_of(programs: dict[int, ClosedJaxpr], arrays: list[Any], given: int) -> ir.Module:
    """The module of a kernel.

    Args:
        programs: what it does with a block of that many neurons; the neurons are shared out among them, largest first.
        arrays: shapes and dtypes of its arrays, `[T, M]` or `[M]`.
        given: number of arrays that it reads, the first ones.
    """
    module, size = ir.Module("kernel"), arrays[0].shape[-1]
    tile = min(MOST, max(FEWEST, -(-size // (8 * LANES)) * LANES))  # eight tiles to share, where there is enough
    tiles = -(-size // tile)
    elements = max(a.size for a in arrays)
    describe(module, given=given, wanted=len(arrays) - given, tiles=tiles, elements=elements)
    plain = [Memory(np.dtype(a.dtype), size, streams=False) for a in arrays]
    streamed = [m._replace(streams=_streams(a)) for m, a in zip(plain[given:], arrays[given:], strict=True)]
    _write_tile(module, programs, plain, plain[:given] + streamed, tile)
    return module


def _write_tile(
    module: ir.Module, programs: dict[int, ClosedJaxpr], plain: list[Memory], streamed: list[Memory], tile: int
) -> None:
    """The function that takes the tile of a number through the kernel: past the caches where the arrays let it."""
    function = ir.Function(module, TILE, "tile")
    (arrays, number), build = function.args, ir.IRBuilder(function.append_basic_block())
    pointers = addresses(build, arrays, len(plain))
    first = build.mul(number, index(tile))
    left = least(build, build.sub(index(plain[0].row), first), index(tile))
    streams = [build.ptrtoint(p, INDEX) for p, memory in zip(pointers, streamed, strict=True) if memory.streams]
    for lanes in sorted(programs, reverse=True):
        count = build.sub(left, build.urem(left, index(lanes)))
        args, on_tile = [*pointers, first, count], partial(_on_tile, module, programs[lanes], lanes, tile)
        if streams:
            off = build.and_(reduce(build.or_, streams), index(ALIGNED - 1))
            with build.if_else(build.icmp_unsigned("==", off, index(0))) as (aligned, otherwise):
                with aligned:
                    build.call(on_tile(f"streams_{lanes}", streamed), args)
                with otherwise:
                    build.call(on_tile(f"plain_{lanes}", plain), args)
        else:
            build.call(on_tile(f"plain_{lanes}", plain), args)
        first, left = build.add(first, count), build.sub(left, count)
    build.ret_void()


def _on_tile(
    module: ir.Module, program: ClosedJaxpr, lanes: int, tile: int, name: str, memory: list[Memory]
) -> ir.Function:
    """The function that takes neurons through the kernel, a vector of them at once."""
    kind = ir.FunctionType(ir.VoidType(), [*(POINTER for _ in memory), INDEX, INDEX])
    function = ir.Function(module, kind, name)
    function.linkage = "private"
    for pointer in function.args[: len(memory)]:
        pointer.add_attribute("noalias")
    Tile(function, program, memory, lanes, tile)
    return function


def _streams(array: Any) -> bool:
    """Whether it is written past the caches: it is large, in rows of whole vectors, and not of bytes, written often."""
    size = np.dtype(array.dtype).itemsize
    return array.ndim == 2 and size > 1 and array.size * size >= STREAMED and array.shape[-1] * size % ALIGNED == 0
