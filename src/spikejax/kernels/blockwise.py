"""The base of back ends that run the kernels on blocks of neurons: the arrays of a kernel, and its results."""

import math
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.internals import varying_together
from spikejax.kernels.blocks import BlockEquations, Drives, OverSteps, block_equations
from spikejax.kernels.elementwise import Rewrites
from spikejax.kernels.kernel import MAX_REGISTER_STEPS, BlockAccess, Refs, backward_kernel, forward_kernel
from spikejax.kernels.packed import Packed, in_bfloat16
from spikejax.kernels.template import Cotangents, Floats, Tree, as_cotangent, floats, has_gradient, with_floats
from spikejax.sequence import Sequence
from spikejax.typing import Array, Shape, State


class BlockKernel(Protocol):
    """A kernel: `forward_kernel` or `backward_kernel`."""

    __name__: str

    def __call__(self, blocks: BlockEquations, steps: int, access: BlockAccess, ins: Refs, outs: Refs) -> None: ...


class Blockwise:
    """A back end of one kernel forward and one backward, for every cell whose equations are elementwise.

    Attributes:
        rewrites: primitives that it does not have, in terms of those that it has.
        over_steps: `jax.vmap`, or its like, for values that follow from time alone.
    """

    rewrites: ClassVar[Rewrites] = {}
    over_steps: ClassVar[OverSteps] = jax.vmap

    def infer(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
        """The last state and the outputs `[T, N, *]`, for runs without a backward pass."""
        last, ys, _, _ = self._run(cell, state, xs)
        return last, ys

    def forward(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
        """The last state, the outputs and the charged states h `[T, N, *]`."""
        return self._run(cell, state, xs, "h")[:3]

    def packed(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
        """The last state, the outputs, and the run as `pack_run` gives it, written by the kernel itself."""
        last, ys, hs, bits = self._run(cell, state, xs, "packed")
        return last, ys, Packed(in_bfloat16(hs), bits[0])

    def _run(
        self, cell: ChargeFireReset, state: State, xs: Sequence, residuals: str | None = None
    ) -> tuple[State, Array, State, list[Array]]:
        blocks, steps = block_equations(cell, state, xs).rewritten(self.rewrites), xs.steps
        (params, tables), (variables, shared) = blocks.layout.of_cell(cell), blocks.layout.of_state(state)
        charged, last_shared = blocks.shared(tables, shared)
        rounded = residuals == "packed"
        hs = [jax.ShapeDtypeStruct((steps, *a.shape), jnp.bfloat16 if rounded else a.dtype) for a in variables]
        eighth = jax.ShapeDtypeStruct((-(-steps // 8), *blocks.s.shape), jnp.uint8)
        ys = jax.ShapeDtypeStruct((steps, *blocks.s.shape), blocks.s.dtype)
        ins = params, variables, xs.data, blocks.drives(tables, shared, type(self).over_steps)
        outs = variables, ys, hs if residuals else [], [eighth] if rounded else []
        last, ys, hs, bits = self._call(forward_kernel, blocks, xs, ins, outs)
        join = blocks.layout.state
        return join(last, last_shared), ys, join(hs, charged) if residuals else None, bits

    def backward(
        self, cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
    ) -> tuple[Floats, Floats, Floats]:
        """The cotangents of the cell, of the state and of the input; computes h again if it is None."""
        if hs is None and xs.steps > MAX_REGISTER_STEPS:
            hs = self.forward(cell, state, xs)[2]
        blocks = block_equations(cell, state, xs).rewritten(self.rewrites)
        of_state = blocks.layout.of_state
        (params, tables), cell_vjp = jax.vjp(blocks.layout.of_cell, cell)
        variables, shared = of_state(state)
        drives, drives_vjp = jax.vjp(lambda tables: blocks.drives(tables, shared, type(self).over_steps), tables)
        g_last = of_state(with_floats(state, cotangents.last))[0]
        hs_variables = [] if hs is None else of_state(hs)[0]
        g_hs = of_state(with_floats(state, cotangents.hs))[0] if cotangents.hs else None
        read = [True] * len(blocks.vjp_reads) if hs is None else blocks.vjp_reads
        *charge, inputs = _as_read(read, [*drives.charge, xs.data], blocks.x.shape)
        drives_read, of_run = drives._replace(charge=charge), Cotangents(g_last, cotangents.ys, g_hs)
        ins = params, variables, inputs, drives_read, hs_variables, of_run
        g_drives = Drives(*map(floats, drives)) if floats(tables) else None
        outs = params, variables, floats(xs), g_drives
        register_steps = xs.steps if hs is None else 0
        g_params, g_variables, g_xs, g_drives = self._call(backward_kernel, blocks, xs, ins, outs, register_steps)
        g_tables = drives_vjp(as_cotangent(drives, floats(g_drives)))[0] if g_drives else as_cotangent(tables)
        (g_cell,) = cell_vjp((g_params, g_tables))
        g_state = blocks.layout.state(g_variables, [jnp.zeros_like(a) if has_gradient(a) else a for a in shared])
        return floats(g_cell), floats(g_state), g_xs

    def _call(
        self, kernel: BlockKernel, blocks: BlockEquations, xs: Sequence, ins: Tree, outs: Tree, register_steps: int = 0
    ) -> Any:
        """The results, like `outs`, of a kernel on arrays that end in the shape of a step."""
        size, count = math.prod(blocks.s.shape), len(jax.tree.leaves(ins))

        def flat(a: Array | jax.ShapeDtypeStruct) -> tuple[int, ...]:
            return *a.shape[: len(a.shape) - len(blocks.s.shape)], size

        def on_refs(access: BlockAccess, *refs: Any) -> None:
            trees = (jax.tree.structure(tree) for tree in (ins, outs))
            parts = (tree.unflatten(part) for tree, part in zip(trees, (refs[:count], refs[count:]), strict=True))
            kernel(blocks, xs.steps, access, *parts)

        inputs = [a.reshape(flat(a)) for a in jax.tree.leaves(ins)]
        outputs = [jax.ShapeDtypeStruct(flat(a), a.dtype) for a in jax.tree.leaves(outs)]
        results = self._launch(on_refs, f"spikejax_{kernel.__name__}", inputs, outputs, register_steps)
        results = varying_together((*results, *inputs))[: len(results)]  # a kernel does not say which ones vary
        leaves = [a.reshape(out.shape) for a, out in zip(results, jax.tree.leaves(outs), strict=True)]
        return jax.tree.unflatten(jax.tree.structure(outs), leaves)

    def _launch(
        self,
        kernel: Callable[..., None],
        name: str,
        inputs: list[Array],
        outputs: list[jax.ShapeDtypeStruct],
        register_steps: int,
    ) -> list[Array]:
        """The results of a kernel over all blocks of arrays `[T, M]` and `[M]`.

        Args:
            kernel: a function of a `BlockAccess` and a reference to each of these arrays.
            name: name of the kernel.
            inputs: the arrays that it reads.
            outputs: shapes and dtypes of those that it writes.
            register_steps: number of steps of which it has every h in registers.
        """
        raise NotImplementedError


def _as_read(is_read: list[bool], arrays: list[Array], shape: Shape) -> list[Array]:
    """The arrays, with a step of zeros in place of every one that no kernel reads, which is then not computed."""
    return [a if needed else jnp.zeros(shape, a.dtype) for needed, a in zip(is_read, arrays, strict=True)]
