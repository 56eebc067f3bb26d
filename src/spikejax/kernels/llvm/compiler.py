"""Kernels compiled for the processor of this machine, as functions that XLA calls."""

import ctypes
import hashlib
from functools import reduce
from importlib import resources
from threading import Lock
from typing import Any

import jax
import llvmlite.binding as llvm
import numpy as np
from jax.extend.core import ClosedJaxpr
from llvmlite import ir

from spikejax.kernels.llvm.code import ALIGNED, INDEX, Memory, Tile

LANES = ALIGNED // 4
"""Neurons in a vector of float32. Where the processor's vectors are narrower, LLVM takes several."""

STREAMED = 2**23
"""Bytes from which on an array is written past the caches, in which little of it would be found again."""

SHARED = 2**18
"""Neurons times steps from which on threads share a kernel: handing over to one takes some microseconds."""

FEWEST, MOST = 256, 1024
"""Neurons in a tile: few enough that what they keep from step to step stays in the first cache, or near it."""

POINTER = ir.PointerType()

_engines: dict[str, Any] = {}
_lock = Lock()


def target_of(name: str, programs: dict[int, ClosedJaxpr], arrays: list[Any], given: int) -> str:
    """Compiles a kernel; the name by which XLA knows it.

    Args:
        name: what that begins with.
        programs: what it does with a block of that many neurons; the neurons are shared out among them, largest first.
        arrays: shapes and dtypes of its arrays, `[T, M]` or `[M]`.
        given: number of arrays that it reads, the first ones.
    """
    text = str(_module(programs, arrays, given))
    target = f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    with _lock:
        if target not in _engines:
            _engines[target] = engine = _compiled(text)
            handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("handler"))
            jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(handler), platform="cpu")
    return target


def _module(programs: dict[int, ClosedJaxpr], arrays: list[Any], given: int) -> ir.Module:
    """All that `handler.ll` wants of a kernel."""
    module, size = ir.Module("kernel"), arrays[0].shape[-1]
    tile = min(MOST, max(FEWEST, -(-size // (8 * LANES)) * LANES))  # eight tiles to share, where there is enough
    tiles = -(-size // tile)
    numbers = {
        "given": given,
        "wanted": len(arrays) - given,
        "tiles": tiles,
        "helpers": tiles - 1 if max(a.size for a in arrays) >= SHARED else 0,
    }
    for name, number in numbers.items():
        value: Any = ir.GlobalVariable(module, INDEX, name)
        value.global_constant, value.initializer = True, _index(number)
    plain = [Memory(np.dtype(a.dtype), size, streams=False) for a in arrays]
    streamed = [m._replace(streams=_streams(a)) for m, a in zip(plain[given:], arrays[given:], strict=True)]
    _write_tile(module, programs, plain, plain[:given] + streamed, tile)
    return module


def _write_tile(
    module: ir.Module, programs: dict[int, ClosedJaxpr], plain: list[Memory], streamed: list[Memory], tile: int
) -> None:
    """The function that takes the tile of a number through the kernel: past the caches where the arrays let it."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER, INDEX]), "tile")
    (addresses, number), build = function.args, ir.IRBuilder(function.append_basic_block())
    places = [build.gep(addresses, [_index(i)], source_etype=POINTER) for i in range(len(plain))]
    pointers = [build.load(place, typ=POINTER) for place in places]
    first = build.mul(number, _index(tile))
    left = build.sub(_index(plain[0].row), first)
    left = build.select(build.icmp_unsigned("<", left, _index(tile)), left, _index(tile))
    streams = [build.ptrtoint(p, INDEX) for p, memory in zip(pointers, streamed, strict=True) if memory.streams]
    for lanes in sorted(programs, reverse=True):
        count = build.sub(left, build.urem(left, _index(lanes)))
        args = [*pointers, first, count]
        if streams:
            off = build.and_(reduce(build.or_, streams), _index(ALIGNED - 1))
            with build.if_else(build.icmp_unsigned("==", off, _index(0))) as (aligned, otherwise):
                with aligned:
                    build.call(_on_tile(module, f"streams_{lanes}", programs[lanes], streamed, lanes, tile), args)
                with otherwise:
                    build.call(_on_tile(module, f"plain_{lanes}", programs[lanes], plain, lanes, tile), args)
        else:
            build.call(_on_tile(module, f"plain_{lanes}", programs[lanes], plain, lanes, tile), args)
        first, left = build.add(first, count), build.sub(left, count)
    build.ret_void()


def _on_tile(
    module: ir.Module, name: str, program: ClosedJaxpr, memory: list[Memory], lanes: int, tile: int
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


def _index(value: int) -> ir.Constant:
    return ir.Constant(INDEX, value)


def _compiled(text: str) -> Any:
    """The engine that holds a module's machine code; it owns the target machine that it is given."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features, target = llvm.get_host_cpu_features().flatten(), llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
    module = llvm.parse_assembly(text)
    module.link_in(llvm.parse_assembly(resources.files(__name__.rpartition(".")[0]).joinpath("handler.ll").read_text()))
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine
