"""What back ends that run the kernels on blocks of neurons share: which arrays go in, and what comes out."""

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.internals import varying_together
from spikejax.kernels.blocks import Blocks, Drives, OverSteps, blocks_of
from spikejax.kernels.elementwise import Rewrites
from spikejax.kernels.kernel import MAX_REGISTER_STEPS, BlockAccess, backward_kernel, forward_kernel
from spikejax.kernels.packed import Packed, in_bfloat16
from spikejax.kernels.template import Cotangents, Floats, as_cotangent, floats, has_gradient, with_floats
from spikejax.sequence import Sequence
from spikejax.typing import Array, Shape, State


class Blockwise:
    """A back end of one kernel forward and one backward, for every cell whose equations are elementwise.

    Attributes:
        rewrites: primitives that it lacks, in terms of those that it has.
        over_steps: how what follows from time alone is computed for all steps.
    """

    rewrites: ClassVar[Rewrites] = {}
    over_steps: ClassVar[OverSteps] = jax.vmap

    def infer(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
        """The last state and the outputs `[T, N, *]`, with nothing kept for a backward pass."""
        last, ys, _, _ = self._run(cell, state, xs)
        return last, ys

    def forward(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
        """The last state, the outputs and the charged states h `[T, N, *]`."""
        return self._run(cell, state, xs, keep="h")[:3]

    def packed(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
        """The last state, the outputs, and the run as `pack_run` gives it, written by the kernel itself."""
        last, ys, hs, bits = self._run(cell, state, xs, keep="packed")
        return last, ys, Packed(in_bfloat16(hs), bits[0])

    def _run(
        self, cell: ChargeFireReset, state: State, xs: Sequence, keep: str = ""
    ) -> tuple[State, Array, State, list[Array]]:
        blocks, steps = blocks_of(cell, state, xs).rewritten(self.rewrites), xs.steps
        (params, tables), (own, shared) = blocks.layout.of_cell(cell), blocks.layout.of_state(state)
        charged, last_shared = blocks.shared(tables, shared)
        kept = {"h": lambda a: a.dtype, "packed": lambda _: jnp.bfloat16}.get(keep)
        hs = [jax.ShapeDtypeStruct((steps, *a.shape), kept(a)) for a in own] if kept else []
        eighth = jax.ShapeDtypeStruct((-(-steps // 8), *blocks.s.shape), jnp.uint8)
        ys = jax.ShapeDtypeStruct((steps, *blocks.s.shape), blocks.s.dtype)
        ins = params, own, xs.data, blocks.drives(tables, shared, type(self).over_steps)
        outs = own, ys, hs, [eighth] if keep == "packed" else []
        last, ys, hs, bits = self._call(forward_kernel, blocks, xs, ins, outs)
        join = blocks.layout.state
        return join(last, last_shared), ys, join(hs, charged) if keep else None, bits

    def backward(
        self, cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
    ) -> tuple[Floats, Floats, Floats]:
        """The cotangents of the cell, of the state and of the input; computes h again where it was not kept."""
        if hs is None and xs.steps > MAX_REGISTER_STEPS:
            hs = self.forward(cell, state, xs)[2]
        blocks = blocks_of(cell, state, xs).rewritten(self.rewrites)
        own_of = blocks.layout.of_state
        (params, tables), pull_cell = jax.vjp(blocks.layout.of_cell, cell)
        own, shared = own_of(state)
        drives, pull_drives = jax.vjp(lambda tables: blocks.drives(tables, shared, type(self).over_steps), tables)
        of_last = own_of(with_floats(state, cotangents.last))[0]
        own_hs = [] if hs is None else own_of(hs)[0]
        of_hs = own_of(with_floats(state, cotangents.hs))[0] if cotangents.hs else None
        read = [True] * len(blocks.reads_back) if hs is None else blocks.reads_back
        *charge, given = _as_read(read, [*drives.charge, xs.data], blocks.x.shape)
        ins = params, own, given, drives._replace(charge=charge), own_hs, Cotangents(of_last, cotangents.ys, of_hs)
        g_drives = Drives(*map(floats, drives)) if floats(tables) else None
        outs = params, own, floats(xs), g_drives
        held = xs.steps if hs is None else 0
        g_params, g_own, g_xs, g_drives = self._call(backward_kernel, blocks, xs, ins, outs, held)
        g_tables = pull_drives(as_cotangent(drives, floats(g_drives)))[0] if g_drives else as_cotangent(tables)
        (g_cell,) = pull_cell((g_params, g_tables))
        g_state = blocks.layout.state(g_own, [jnp.zeros_like(a) if has_gradient(a) else a for a in shared])
        return floats(g_cell), floats(g_state), g_xs

    def _call(self, kernel: Any, blocks: Blocks, xs: Sequence, ins: Any, outs: Any, held: int = 0) -> Any:
        """Runs `kernel` on arrays that end in the shape of a step, for results like `outs`; `held` as in `_launch`."""
        size, count = math.prod(blocks.s.shape), len(jax.tree.leaves(ins))

        def flat(a: Any) -> tuple[int, ...]:
            return *a.shape[: len(a.shape) - len(blocks.s.shape)], size

        def on_refs(access: BlockAccess, *refs: Any) -> None:
            trees = (jax.tree.structure(tree) for tree in (ins, outs))
            given = (tree.unflatten(part) for tree, part in zip(trees, (refs[:count], refs[count:]), strict=True))
            kernel(blocks, xs.steps, access, *given)

        given = [a.reshape(flat(a)) for a in jax.tree.leaves(ins)]
        wanted = [jax.ShapeDtypeStruct(flat(a), a.dtype) for a in jax.tree.leaves(outs)]
        found = self._launch(on_refs, f"spikejax_{kernel.__name__}", given, wanted, held)
        found = varying_together((*found, *given))[: len(found)]  # who calls a kernel does not say which are varying
        leaves = [a.reshape(out.shape) for a, out in zip(found, jax.tree.leaves(outs), strict=True)]
        return jax.tree.unflatten(jax.tree.structure(outs), leaves)

    def _launch(self, on_refs: Any, name: str, given: list[Array], wanted: list[Any], held: int) -> list[Array]:
        """Runs a kernel over all blocks of arrays `[T, M]` and `[M]`.

        Args:
            on_refs: the kernel, from a `BlockAccess` and a reference to each of these arrays.
            name: of the kernel.
            given: the arrays that it reads.
            wanted: shapes and dtypes of those that it writes.
            held: steps of which it holds every h in registers.
        """
        raise NotImplementedError


def _as_read(read: list[bool], arrays: list[Array], shape: Shape) -> list[Array]:
    """The arrays, with a step of zeros in place of one that nobody reads, which is then not computed."""
    return [a if yes else jnp.zeros(shape, a.dtype) for yes, a in zip(read, arrays, strict=True)]
