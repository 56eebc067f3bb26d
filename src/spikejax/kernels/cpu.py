"""The CPU back end: kernels as machine code that LLVM makes from the equations of a cell."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from spikejax.cells import ChargeFireReset
from spikejax.jaxpr import operations
from spikejax.kernels import xla
from spikejax.kernels.blocks import BlockEquations
from spikejax.kernels.blockwise import Blockwise
from spikejax.kernels.machine_code import why_no_machine_code
from spikejax.kernels.packed import Packed
from spikejax.kernels.single_cpu import on_single_cpu
from spikejax.kernels.template import Cotangents, Floats
from spikejax.sequence import Sequence
from spikejax.typing import Array, State


def _one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jax.vmap`, one step after another: the random numbers of a step stay in the cache until they are used."""
    return lambda *over_time: lax.map(lambda at_step: function(*at_step), over_time)


class CPUBackend(Blockwise):
    """The back end for one CPU; elsewhere the loops of the XLA back end run in its place."""

    over_steps = _one_by_one

    def missing(self, blocks: BlockEquations) -> str | None:
        """The reason for which it has no kernel with these equations, as the end of a sentence, or None."""
        reason = why_no_machine_code()
        if reason:
            return reason
        from spikejax.kernels.llvm import missing_operation

        parts = blocks.charge, blocks.fire_reset, blocks.charge_vjp, blocks.fire_reset_vjp
        operation = missing_operation(chain.from_iterable(operations(part.program) for part in parts))
        return operation and f"its equations use {operation}, for which the CPU kernel has no instructions"

    def infer(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
        """The last state and the outputs `[T, N, *]`, for runs without a backward pass."""
        return on_single_cpu(super().infer, xla.infer, cell, state, xs)

    def forward(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
        """The last state, the outputs and the charged states h `[T, N, *]`."""
        return on_single_cpu(super().forward, xla.forward, cell, state, xs)

    def packed(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
        """The last state, the outputs, and the run as `pack_run` gives it, written by the kernel itself."""
        return on_single_cpu(super().packed, xla.packed, cell, state, xs)

    def backward(
        self, cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
    ) -> tuple[Floats, Floats, Floats]:
        """The cotangents of the cell, of the state and of the input; computes h again if it is None."""
        return on_single_cpu(super().backward, xla.backward, cell, state, xs, hs, cotangents)

    def _launch(
        self,
        kernel: Callable[..., None],
        name: str,
        inputs: list[Array],
        outputs: list[jax.ShapeDtypeStruct],
        register_steps: int,
    ) -> list[Array]:
        from spikejax.kernels.llvm import call_on_neurons

        size = inputs[0].shape[-1]

        @custom_vmap
        def call(*inputs: Array) -> list[Array]:
            return call_on_neurons(kernel, name, inputs, outputs)

        @call.def_vmap
        def over_batch(count: int, batched: list[bool], *inputs: Array) -> tuple[list[Array], list[bool]]:
            """More neurons in a row."""
            many = [
                a if is_batched else jnp.broadcast_to(a, (count, *a.shape))
                for a, is_batched in zip(inputs, batched, strict=True)
            ]
            longer = [jax.ShapeDtypeStruct((*a.shape[:-1], count * size), a.dtype) for a in outputs]
            rows = self._launch(kernel, name, [_in_row(a) for a in many], longer, register_steps)
            split = [a.reshape(*a.shape[:-1], count, size) for a in rows]
            return [jnp.moveaxis(a, -2, 0) for a in split], [True] * len(rows)

        return call(*inputs)


def _in_row(many: Array) -> Array:
    """`[T, B M]` from `[B, T, M]`, and `[B M]` from `[B, M]`."""
    rows = jnp.moveaxis(many, 0, -2)
    return rows.reshape(*rows.shape[:-2], -1)


CPU = CPUBackend()
"""Kernels compiled for the processor of this machine, as functions that XLA calls."""
