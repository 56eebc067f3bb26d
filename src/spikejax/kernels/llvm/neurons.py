"""Kernels over blocks of neurons: their code, and the operations that have none."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from llvmlite import ir

from spikejax.internals import ClosedJaxpr, JaxprEqn, aval_of
from spikejax.kernels.elementwise import COMMON_REWRITES
from spikejax.kernels.llvm.access import block_program
from spikejax.kernels.llvm.call import call_kernel
from spikejax.kernels.llvm.code import ALIGNMENT, ArrayMemory, TileWriter
from spikejax.kernels.llvm.compiler import POINTER, TILE, addresses
from spikejax.kernels.llvm.functions import FUNCTIONS
from spikejax.kernels.llvm.instructions import missing_instruction
from spikejax.kernels.llvm.loops import INDEX, index, smaller_index
from spikejax.kernels.llvm.table import KernelCode, kernel_code
from spikejax.typing import Array

VECTOR_NEURONS = ALIGNMENT // 4
"""Neurons in a vector of float32. Where the processor's vectors are narrower, LLVM takes several."""

MIN_STREAMED_BYTES = 2**23
"""Bytes from which on an array is written past the caches, in which little of it would be found again."""

MIN_TILE_NEURONS, MAX_TILE_NEURONS = 256, 1024
"""Neurons in a tile: few enough that what they carry from step to step stays in the first cache, or near it."""


def call_on_neurons(
    kernel: Callable[..., None], name: str, inputs: Sequence[Array], outputs: Sequence[jax.ShapeDtypeStruct]
) -> list[Array]:
    """The results of a kernel over all blocks of arrays `[T, M]` and `[M]`.

    Args:
        kernel: the kernel, from a `BlockAccess` and a reference to each of these arrays.
        name: its name.
        inputs: the arrays that it reads.
        outputs: shapes and dtypes of those that it writes.
    """
    arrays = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (*inputs, *outputs)]
    size = arrays[0].shape[-1]
    blocks = [n for n, used in ((VECTOR_NEURONS, size >= VECTOR_NEURONS), (1, size % VECTOR_NEURONS)) if used]
    programs = {n: block_program(kernel, arrays, n) for n in blocks}
    return call_kernel(neurons_code(name, programs, arrays, len(inputs)), outputs, *inputs)


def missing_operation(equations: Iterable[JaxprEqn]) -> str | None:
    """The first operation among the equations of a cell that has no instructions here, or None."""
    return next(filter(None, map(_why_missing, equations)), None)


def _why_missing(equation: JaxprEqn) -> str | None:
    name = equation.primitive.name
    *dtypes, out = (aval_of(a).dtype for a in (*equation.invars, equation.outvars[0]))
    if name == "broadcast_in_dim" or name in COMMON_REWRITES:
        return None
    return None if name in FUNCTIONS and out == jnp.float32 else missing_instruction(name, dtypes, out)


def neurons_code(
    name: str, programs: dict[int, ClosedJaxpr], arrays: Sequence[jax.ShapeDtypeStruct], reads: int
) -> KernelCode:
    """The code of a kernel over neurons.

    Args:
        name: of the kernel.
        programs: its programs by the neurons in a block; the largest blocks take as many neurons as they can.
        arrays: shapes and dtypes of its arrays, `[T, M]` or `[M]`.
        reads: number of arrays that it reads, the first ones.
    """
    module, size = ir.Module("kernel"), arrays[0].shape[-1]
    eighth = -(-size // (8 * VECTOR_NEURONS)) * VECTOR_NEURONS  # for eight threads, if there are enough neurons
    tile = min(MAX_TILE_NEURONS, max(MIN_TILE_NEURONS, eighth))
    tiles = -(-size // tile)
    elements = max(a.size for a in arrays)
    plain = [ArrayMemory(np.dtype(a.dtype), size, streams=False) for a in arrays]
    streamed = [m._replace(streams=_streams(a)) for m, a in zip(plain[reads:], arrays[reads:], strict=True)]
    _write_tile(module, programs, plain, plain[:reads] + streamed, tile)
    return kernel_code(name, module, reads=reads, writes=len(arrays) - reads, tiles=tiles, elements=elements)


def _write_tile(
    module: ir.Module,
    programs: dict[int, ClosedJaxpr],
    plain: list[ArrayMemory],
    streamed: list[ArrayMemory],
    tile: int,
) -> None:
    """Writes the function "tile", which writes past the caches if the arrays of a call are aligned."""
    function = ir.Function(module, TILE, "tile")
    (arrays, number), build = function.args, ir.IRBuilder(function.append_basic_block())
    pointers = addresses(build, arrays, len(plain))
    first = build.mul(number, index(tile))
    left = smaller_index(build, build.sub(index(plain[0].row), first), index(tile))
    streams = [build.ptrtoint(p, INDEX) for p, memory in zip(pointers, streamed, strict=True) if memory.streams]
    for lanes in sorted(programs, reverse=True):
        count = build.sub(left, build.urem(left, index(lanes)))
        args, on_tile = [*pointers, first, count], partial(_on_tile, module, programs[lanes], lanes, tile)
        if streams:
            off = build.and_(reduce(build.or_, streams), index(ALIGNMENT - 1))
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
    module: ir.Module, program: ClosedJaxpr, lanes: int, tile: int, name: str, memory: list[ArrayMemory]
) -> ir.Function:
    """The function that runs the kernel for some neurons, a vector of them at once."""
    kind = ir.FunctionType(ir.VoidType(), [*(POINTER for _ in memory), INDEX, INDEX])
    function = ir.Function(module, kind, name)
    function.linkage = "private"
    for pointer in function.args[: len(memory)]:
        pointer.add_attribute("noalias")
    TileWriter(function, program, memory, lanes, tile)
    return function


def _streams(array: jax.ShapeDtypeStruct) -> bool:
    """True for an array to write past the caches: large, in rows of whole vectors, not of bytes, written often."""
    size = np.dtype(array.dtype).itemsize
    in_vectors = array.shape[-1] * size % ALIGNMENT == 0
    return array.ndim == 2 and size > 1 and array.size * size >= MIN_STREAMED_BYTES and in_vectors
