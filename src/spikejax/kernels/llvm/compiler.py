"""Kernels compiled for the processor of this machine, as functions that XLA calls."""

import ctypes
import hashlib
from importlib import resources
from threading import Lock
from typing import Any

import jax
import llvmlite.binding as llvm
from llvmlite import ir

from spikejax.kernels.llvm.loops import INDEX, index

SHARED = 2**18
"""Elements of an array from which on threads share a kernel: handing over to one takes some microseconds."""

POINTER = ir.PointerType()
TILE = ir.FunctionType(ir.VoidType(), [POINTER, INDEX])
"""What a module must define under the name "tile": takes one tile, given its number, of the arrays at the addresses."""

_engines: dict[str, Any] = {}
_lock = Lock()


def describe(module: ir.Module, *, given: int, wanted: int, tiles: int, elements: int) -> None:
    """Writes into a module what else `handler.ll` wants of it.

    Args:
        module: the module.
        given: number of arrays that it reads, the first ones.
        wanted: number of arrays that it writes.
        tiles: number of tiles.
        elements: of its largest array, which say whether other threads may join the one that is called.
    """
    helpers = tiles - 1 if elements >= SHARED else 0
    for name, number in (("given", given), ("wanted", wanted), ("tiles", tiles), ("helpers", helpers)):
        value: Any = ir.GlobalVariable(module, INDEX, name)
        value.global_constant, value.initializer = True, index(number)


def addresses(build: ir.IRBuilder, arrays: Any, count: int) -> list[Any]:
    """Where the arrays lie, from the first argument of "tile"."""
    places = (build.gep(arrays, [index(i)], source_etype=POINTER) for i in range(count))
    return [build.load(place, typ=POINTER) for place in places]


def target_of(name: str, module: ir.Module) -> str:
    """Compiles a kernel; the name by which XLA knows it, which begins with `name`."""
    text = str(module)
    target = f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    with _lock:
        if target not in _engines:
            _engines[target] = engine = _compiled(text)
            handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("handler"))
            jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(handler), platform="cpu")
    return target


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
