"""Kernels compiled for the processor of this machine, as functions that XLA calls."""

import ctypes
import hashlib
from functools import cache
from importlib import resources
from threading import Lock
from typing import Any

import jax
import llvmlite.binding as llvm
import numpy as np
from jax.extend.core import ClosedJaxpr
from llvmlite import ir

from spikejax.kernels.llvm.code import INDEX, Memory, Tile, tile_of

STREAMED = 2**23
"""Bytes from which on an array is written past the caches, in which little of it would be found again."""

SHARED = 2**18
"""Neurons times steps from which on threads share a kernel: handing over to one takes some microseconds."""

POINTER = ir.PointerType()
VECTOR_BYTES = 64
"""Of the arrays' alignment, and of a vector of float32: the widest there is; LLVM takes narrower ones where need be."""

LANES = VECTOR_BYTES // 4

_engines: dict[str, Any] = {}
_lock = Lock()


def target_of(name: str, programs: dict[int, ClosedJaxpr], arrays: list[Any], given: int) -> str:
    """Compiles a kernel; the name by which XLA knows it.

    Args:
        name: what that begins with.
        programs: what it does with a block of that many neurons.
        arrays: shapes and dtypes of its arrays, `[T, M]` or `[M]`.
        given: number of arrays that it reads, the first ones.

    Raises:
        NotLoweredError: the program has an operation for which there are no instructions.
    """
    text = _text(programs, arrays, given)
    target = f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    with _lock:
        if target not in _engines:
            _engines[target] = engine = _compiled(text)
            handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("handler"))
            jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(handler), platform="cpu")
    return target


def _text(programs: dict[int, ClosedJaxpr], arrays: list[Any], given: int) -> str:
    """The kernel's module, but for what all kernels share."""
    size, module = arrays[0].shape[-1], ir.Module("kernel")
    program = programs[max(programs)]
    tile = tile_of(program)
    numbers = {
        "given": given,
        "wanted": len(arrays) - given,
        "tiles": -(-size // tile),
        "helpers": -(-size // tile) - 1 if max(a.size for a in arrays) >= SHARED else 0,
    }
    for name, number in numbers.items():
        value = ir.GlobalVariable(module, INDEX, name)
        value.global_constant, value.initializer = True, ir.Constant(INDEX, number)
    _write_tile(module, programs, arrays, given, tile)
    return str(module)


def _write_tile(module: ir.Module, programs: dict[int, ClosedJaxpr], arrays: list[Any], given: int, tile: int) -> None:
    """The function that takes the tile of a number through the kernel."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, INDEX]), "tile")
    (addresses, number), build = function.args, ir.IRBuilder(function.append_basic_block("entry"))
    size = arrays[0].shape[-1]
    pointers = [
        build.load(build.gep(addresses, [ir.Constant(INDEX, i)], source_etype=POINTER), typ=POINTER)
        for i in range(len(arrays))
    ]
    first = build.mul(number, ir.Constant(INDEX, tile))
    left = build.sub(ir.Constant(INDEX, size), first)
    here = build.select(build.icmp_unsigned("<", left, ir.Constant(INDEX, tile)), left, ir.Constant(INDEX, tile))
    for lanes in sorted(programs, reverse=True):
        count = build.sub(here, build.urem(here, ir.Constant(INDEX, lanes)))
        plain = [Memory(np.dtype(a.dtype), size, streams=False) for a in arrays]
        memory = [m._replace(streams=i >= given and _streams(a)) for i, (m, a) in enumerate(zip(plain, arrays))]
        args = [*pointers, first, count]
        streamed = [p for p, m in zip(pointers, memory, strict=True) if m.streams]
        if not streamed:
            build.call(_block(module, programs[lanes], plain, lanes, tile), args)
        else:
            together = ir.Constant(INDEX, 0)
            for pointer in streamed:
                together = build.or_(together, build.ptrtoint(pointer, INDEX))
            off = build.and_(together, ir.Constant(INDEX, VECTOR_BYTES - 1))
            with build.if_else(build.icmp_unsigned("==", off, ir.Constant(INDEX, 0))) as (then, otherwise):
                with then:
                    build.call(_block(module, programs[lanes], memory, lanes, tile), args)
                with otherwise:
                    build.call(_block(module, programs[lanes], plain, lanes, tile), args)
        first, here = build.add(first, count), build.sub(here, count)
    build.ret_void()


def _streams(array: Any) -> bool:
    """Whether it is written past the caches: the rows of such an array begin where vectors do."""
    size, whole = np.dtype(array.dtype).itemsize, LANES
    return (
        array.ndim == 2 and array.size * size >= STREAMED and array.shape[-1] * size % VECTOR_BYTES == 0 and size == 4
    )


def _block(module: ir.Module, program: ClosedJaxpr, memory: list[Memory], lanes: int, tile: int) -> ir.Function:
    kind = ir.FunctionType(ir.VoidType(), [*(POINTER for _ in memory), INDEX, INDEX])
    function = ir.Function(module, kind, f"by_{lanes}{'_streaming' if any(m.streams for m in memory) else ''}")
    function.linkage = "private"
    for pointer in function.args[:-2]:
        pointer.add_attribute("noalias")
    Tile(function, program, memory, lanes, tile)
    return function


def _compiled(text: str) -> Any:
    module = llvm.parse_assembly(text)
    module.link_in(llvm.parse_assembly(resources.files(__package__).joinpath("handler.ll").read_text()))
    module.verify()
    passes = llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, _machine())
    engine.finalize_object()
    return engine


@cache
def _machine() -> llvm.TargetMachine:
    """The processor of this machine, with all that it can do."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
    )
