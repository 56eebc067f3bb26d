"""Machine code for this machine's processor, made by LLVM from modules that define a function "tile"."""

from functools import cache

import llvmlite.binding as llvm
from llvmlite import ir

from spikejax.kernels.llvm.loops import INDEX, LLVMValue, index

POINTER = ir.PointerType()
TILE = ir.FunctionType(ir.VoidType(), [POINTER, INDEX])
"""The function that a module defines under the name "tile": it computes one tile of the arrays at the addresses."""


def addresses(build: ir.IRBuilder, arrays: LLVMValue, count: int) -> list[LLVMValue]:
    """The addresses of the arrays, from the first argument of "tile"."""
    places = (build.gep(arrays, [index(i)], source_etype=POINTER) for i in range(count))
    return [build.load(place, typ=POINTER) for place in places]


def compiled(text: str) -> llvm.ExecutionEngine:
    """The engine that holds the machine code of a module; it owns the target machine, and frees both when it dies."""
    _initialize()
    features, target = llvm.get_host_cpu_features().flatten(), llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
    module = llvm.parse_assembly(text)
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
