"""A call of a kernel in a program of JAX. The kernel is compiled when the program is lowered."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from spikejax.internals import handler_call
from spikejax.kernels.llvm.table import TARGET, KernelCode, LoweredKernel, kernel_table
from spikejax.typing import Array


def call_kernel(code: KernelCode, results: Sequence[jax.ShapeDtypeStruct], *arrays: Array) -> list[Array]:
    """The results of a kernel; inside a function that XLA compiles, on one CPU.

    Args:
        code: the kernel.
        results: shapes and dtypes of the arrays that it writes.
        *arrays: the arrays that it reads.
    """
    return _call(*arrays, results=results, code=code)


def _compile(code: KernelCode) -> tuple[LoweredKernel, Mapping[str, Any]]:
    table = kernel_table()
    if isinstance(table, str):
        raise NotImplementedError(table)
    kernel = table.add(code)
    return kernel, {"key": np.int64(kernel.key), "name": code.name}


_call = handler_call("spikejax_call", TARGET, _compile)
