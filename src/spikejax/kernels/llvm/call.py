"""A call of a kernel in a program of JAX. The kernel is compiled when the program is lowered."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.ffi
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir

from spikejax.kernels.llvm.table import TARGET, KernelCode, kernel_table
from spikejax.typing import Array

_call = Primitive("spikejax_call")
_call.multiple_results = True


def call_kernel(code: KernelCode, results: Sequence[jax.ShapeDtypeStruct], *arrays: Array) -> list[Array]:
    """The results of a kernel; inside a function that XLA compiles, on one CPU.

    Args:
        code: the kernel.
        results: shapes and dtypes of the arrays that it writes.
        *arrays: the arrays that it reads.
    """
    return _call.bind(*arrays, code=code, results=tuple(results))


@_call.def_abstract_eval
def _(*_: ShapedArray, code: KernelCode, results: Sequence[jax.ShapeDtypeStruct]) -> list[ShapedArray]:
    return [ShapedArray(a.shape, a.dtype) for a in results]


def _lower(
    context: mlir.LoweringRuleContext, *arrays: Any, code: KernelCode, results: Sequence[jax.ShapeDtypeStruct]
) -> Sequence[Any]:
    table = kernel_table()
    if isinstance(table, str):
        raise NotImplementedError(table)
    kernel = table.add(code)
    context.module_context.add_keepalive(kernel)  # with the program, and what is compiled of it
    return jax.ffi.ffi_lowering(TARGET)(context, *arrays, key=np.int64(kernel.key), name=code.name)


mlir.register_lowering(_call, _lower, platform="cpu")
