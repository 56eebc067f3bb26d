"""The CPU back end: the kernels as machine code, made by LLVM from the equations of the cell."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from spikejax.cells import ChargeFireReset
from spikejax.kernels import xla
from spikejax.kernels.blocks import Blocks
from spikejax.kernels.blockwise import Blockwise
from spikejax.kernels.elementwise import REWRITES, operations
from spikejax.kernels.llvm.access import program_of
from spikejax.kernels.llvm.compiler import target_of
from spikejax.kernels.llvm.functions import FUNCTIONS
from spikejax.kernels.llvm.instructions import why_not
from spikejax.kernels.llvm.neurons import LANES, module_of
from spikejax.kernels.llvm.stand_in import either
from spikejax.kernels.packed import Packed
from spikejax.kernels.template import Cotangents, Floats
from spikejax.typing import Array, Sequence, State


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jax.vmap`, a step after another: what a step draws stays in the cache until it is used."""
    return lambda *over_time: lax.map(lambda at_step: function(*at_step), over_time)


class LLVM(Blockwise):
    """The back end; XLA's loops stand in for it where a kernel cannot be."""

    over_steps = _one_by_one

    def lacks(self, blocks: Blocks) -> str | None:
        """The first operation in the equations of a cell that it has no instructions for, or None."""
        parts = blocks.charge, blocks.emit, blocks.charge_back, blocks.emit_back
        found = (_lacking(equation) for part in parts for equation in operations(part.program.jaxpr))
        return next(filter(None, found), None)

    def infer(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
        """The last state and the outputs `[T, N, *]`, with nothing kept for a backward pass."""
        return either(super().infer, xla.infer, cell, state, xs)

    def forward(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
        """The last state, the outputs and the charged states h `[T, N, *]`."""
        return either(super().forward, xla.forward, cell, state, xs)

    def packed(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
        """The last state, the outputs, and what `pack` makes of a run, written by the kernel itself."""
        return either(super().packed, xla.packed, cell, state, xs)

    def backward(
        self, cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
    ) -> tuple[Floats, Floats, Floats]:
        """The cotangents of the cell, of the state and of the input; computes h again where it was not kept."""
        return either(super().backward, xla.backward, cell, state, xs, hs, cotangents)

    def _launch(self, on_refs: Any, name: str, given: list[Array], wanted: list[Any], held: int) -> list[Array]:
        size = given[0].shape[-1]
        arrays = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (*given, *wanted)]
        lanes = [n for n, some in ((LANES, size >= LANES), (1, size % LANES)) if some]
        programs = {n: program_of(on_refs, arrays, n) for n in lanes}
        target = target_of(name, module_of(programs, arrays, len(given)))
        outs = arrays[len(given) :]

        @custom_vmap
        def call(*given: Array) -> list[Array]:
            return list(jax.ffi.ffi_call(target, outs)(*given))

        @call.def_vmap
        def over_batch(count: int, batched: list[bool], *given: Array) -> tuple[list[Array], list[bool]]:
            """More neurons in a row."""
            many = [a if yes else jnp.broadcast_to(a, (count, *a.shape)) for a, yes in zip(given, batched, strict=True)]
            longer = [jax.ShapeDtypeStruct((*a.shape[:-1], count * size), a.dtype) for a in wanted]
            found = self._launch(on_refs, name, [_in_row(a) for a in many], longer, held)
            split = [a.reshape(*a.shape[:-1], count, size) for a in found]
            return [jnp.moveaxis(a, -2, 0) for a in split], [True] * len(found)

        return call(*given)


def _lacking(equation: Any) -> str | None:
    name, dtypes = equation.primitive.name, [a.aval.dtype for a in equation.invars]
    if name == "broadcast_in_dim" or name in REWRITES:
        return None
    out = equation.outvars[0].aval.dtype
    return None if name in FUNCTIONS and out == jnp.float32 else why_not(name, dtypes, out)


def _in_row(many: Array) -> Array:
    """`[T, B M]` from `[B, T, M]`, and `[B M]` from `[B, M]`."""
    rows = jnp.moveaxis(many, 0, -2)
    return rows.reshape(*rows.shape[:-2], -1)


CPU = LLVM()
