"""The Pallas back end for GPUs: one kernel forward, one backward, for every cell whose equations are elementwise.

A program instance owns a block of neurons and takes them through all of time, their state in registers. Arrays lie as
`[T, M]`, M neurons in a row; the tail of a last block that is not full is masked.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu, triton

from spikejax.cells import ChargeFireReset
from spikejax.kernels.blocks import Blocks, Drives, blocks_of
from spikejax.kernels.packed import Packed, in_bfloat16
from spikejax.kernels.template import (
    Cotangents,
    Floats,
    add,
    as_cotangent,
    back_through_time,
    floats,
    has_gradient,
    steps_of,
    with_floats,
)
from spikejax.typing import Array, Sequence, State, Static

BLOCK = 512
"""Neurons a program instance: 4 for each of 128 threads, whose loads are 16 bytes wide."""

REGISTERS = 32
"""Most steps of which the backward kernel holds every h in registers, where h was not kept in memory."""


class Input(NamedTuple):
    """The input, by the way it goes over time: `[T, M]`, `[M]` at every step, or nothing where nobody reads it."""

    moving: Array | None
    still: Array | None


class Access:
    """How a program instance reads and writes its block of arrays `[M]`, or of `[T, M]` at step t, M neurons."""

    def __init__(self, size: int) -> None:
        start = self.index() * BLOCK
        self._block = pl.ds(start, BLOCK)
        self._mask = None if size % BLOCK == 0 else start + jnp.arange(BLOCK) < size

    def index(self) -> Any:
        """Which block it is."""
        return pl.program_id(0)

    def read(self, refs: Any, t: Any = None) -> Any:
        """The blocks of all `refs`."""
        return jax.tree.map(lambda ref: self._read(self._at(ref, t)), refs)

    def write(self, refs: Any, values: Any, t: Any = None) -> None:
        """Sets the blocks of all `refs`."""
        for ref, value in zip(jax.tree.leaves(refs), jax.tree.leaves(values), strict=True):
            self._write(self._at(ref, t), value.astype(ref.dtype))

    def settle(self, blocks: Floats) -> Floats:
        """The same values, in the layout that they keep through a loop."""
        return blocks

    def read_input(self, given: Input, t: Any) -> Array:
        """The input of step t, or 0 where it is not given."""
        if given.moving is not None:
            return self.read(given.moving, t)
        return jnp.zeros((), jnp.float32) if given.still is None else self.read(given.still)

    def _at(self, ref: Any, t: Any) -> Any:
        return ref.at[self._block] if t is None else ref.at[jnp.int32(t), self._block]

    def _read(self, ref: Any) -> Array:
        return triton.load(ref, mask=self._mask, other=None if self._mask is None else 0)

    def _write(self, ref: Any, value: Array) -> None:
        triton.store(ref, value, mask=self._mask)


class MosaicAccess(Access):
    """The same in the Mosaic GPU language, which knows no masks: `size` must be a multiple of the block."""

    _layout = mosaic_gpu.Layout.WG_STRIDED((BLOCK,), vec_size=4)

    def index(self) -> Any:
        """Which block it is."""
        return lax.axis_index("block")

    def settle(self, blocks: Floats) -> Floats:
        """The same values, one after another over the threads."""
        return [mosaic_gpu.layout_cast(a, self._layout) for a in blocks]

    def _read(self, ref: Any) -> Array:
        return mosaic_gpu.layout_cast(ref[...], self._layout)

    def _write(self, ref: Any, value: Array) -> None:
        ref[...] = value


def forward_kernel(blocks: Blocks, steps: int, access: Access, ins: Any, outs: Any) -> None:
    """Takes a block from the first step to the last; writes h, and the spikes as bits, where there is room for them."""
    (params, own, given, drives), (last, ys, hs, bits) = ins, outs
    params = access.read(params)

    def body(t: Array, carry: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        own, bytes_ = carry
        x = access.read_input(given, t)
        h = blocks.charge(access.read(drives.charge, t), (params, own, x))
        own, s = blocks.emit(access.read(drives.emit, t), (params, h))
        access.write(ys, s, t)
        if hs:
            access.write(hs, h, t)
        if bits:
            so_far = 2 * bytes_[0] + (s != 0).astype(jnp.int32)
            access.write(bits, [so_far], lax.div(t, jnp.int32(8)))  # the cache takes what is written again
            more = (lax.rem(t, jnp.int32(8)) != 7).astype(jnp.int32)
            bytes_ = [so_far * jnp.broadcast_to(more, (BLOCK,))]
        return own, bytes_

    empty = access.settle([jnp.zeros(BLOCK, jnp.int32) for _ in bits])
    own, bytes_ = lax.fori_loop(0, steps, body, (access.read(own), empty))
    access.write(last, own)
    if bits and steps % 8:
        access.write(bits, [bytes_[0] * 2 ** (-steps % 8)], steps // 8)


def backward_kernel(blocks: Blocks, steps: int, access: Access, ins: Any, outs: Any) -> None:
    """Takes a block from the last step to the first."""
    params, own, given, drives, hs, cotangents = ins
    g_params, g_own, g_xs, g_drives = outs
    params, first = access.read(params), access.read(own)
    computed = None if hs else _charged(blocks, steps, access, params, first, given, drives)

    def h_of(t: Any) -> Floats:
        return computed[t] if computed else access.read(hs, t)

    def start_of(t: Any) -> Floats:
        if isinstance(t, int) and t == 0:
            return first
        return blocks.emit(access.read(drives.emit, t - 1), (params, h_of(t - 1)))[0]

    def through_emit(t: Any, g_state: Floats) -> tuple[Floats, Floats]:
        g_s = access.read(cotangents.ys, t).astype(blocks.s.dtype)
        at = params, h_of(t)
        of_drives, found = blocks.emit_back(access.read(drives.emit, t), at, (g_state, g_s))
        access.write(g_drives.emit, of_drives, t) if g_drives else None
        g_params, g_h = found[: len(params)], found[len(params) :]
        return access.settle(g_params), add(g_h, access.read(cotangents.hs, t)) if cotangents.hs else g_h

    def through_charge(t: Any, start: Floats, g_h: Floats) -> tuple[Floats, Floats, Floats]:
        at = params, start, access.read_input(given, t)
        of_drives, found = blocks.charge_back(access.read(drives.charge, t), at, g_h)
        access.write(g_drives.charge, of_drives, t) if g_drives else None
        both = len(params) + len(start)
        return found[: len(params)], found[len(params) : both], found[both:]

    def put(_: Any, t: Any, g_x: Floats) -> tuple[()]:
        access.write(g_xs, g_x, t)
        return ()

    def total(so_far: Floats, t: Any, g_x: Floats) -> Floats:
        return add(so_far, g_x)

    still = bool(g_xs) and g_xs[0].ndim == 1
    gather, room = (total, access.settle([jnp.zeros(BLOCK, ref.dtype) for ref in g_xs])) if still else (put, ())
    g_last = access.read(cotangents.last)
    loop = _unrolled if computed else lax.fori_loop
    found = back_through_time(steps, g_last, start_of, through_emit, through_charge, gather, room, loop)
    access.write((g_params, g_own), found[:2])
    if still:
        access.write(g_xs, found[2])


def _charged(
    blocks: Blocks, steps: int, access: Access, params: Floats, own: Floats, given: Input, drives: Drives
) -> list[Floats]:
    """The h of every step, in registers."""
    hs = []
    for t in range(steps):
        hs.append(blocks.charge(access.read(drives.charge, t), (params, own, access.read_input(given, t))))
        own, _ = blocks.emit(access.read(drives.emit, t), (params, hs[-1]))
    return hs


def _unrolled(start: int, stop: int, body: Any, carry: Any) -> Any:
    for i in range(start, stop):
        carry = body(i, carry)
    return carry


class Pallas:
    """The back end, in the Triton language.

    Args:
        interpret: True runs the kernels on a CPU, slowly, for tests.
    """

    def __init__(self, interpret: bool = False) -> None:
        self._interpret = interpret

    def infer(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
        """The last state and the outputs `[T, N, *]`, with nothing kept for a backward pass."""
        last, ys, _, _ = self._run(cell, state, xs)
        return last, ys

    def forward(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
        """The last state, the outputs and the charged states h `[T, N, *]`."""
        return self._run(cell, state, xs, keep="h")[:3]

    def packed(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, Packed]:
        """The last state, the outputs, and what `pack` makes of a run, written by the kernel itself."""
        last, ys, hs, bits = self._run(cell, state, xs, keep="packed")
        return last, ys, Packed(in_bfloat16(hs), bits[0])

    def _run(
        self, cell: ChargeFireReset, state: State, xs: Sequence, keep: str = ""
    ) -> tuple[State, Array, State, list[Array]]:
        blocks, steps = blocks_of(cell, state, xs), steps_of(xs)
        (params, tables), (own, _) = blocks.layout.of_cell(cell), blocks.layout.of_state(state)
        charged, last_shared = blocks.shared
        kept = {"h": lambda a: a.dtype, "packed": lambda _: jnp.bfloat16}.get(keep)
        hs = [jax.ShapeDtypeStruct((steps, *a.shape), kept(a)) for a in own] if kept else []
        eighth = jax.ShapeDtypeStruct((pl.cdiv(steps, 8), *blocks.s.shape), jnp.uint8)
        ys = jax.ShapeDtypeStruct((steps, *blocks.s.shape), blocks.s.dtype)
        ins = params, own, _input(xs), blocks.drives(tables)
        outs = own, ys, hs, [eighth] if keep == "packed" else []
        last, ys, hs, bits = self._call(forward_kernel, blocks, xs, ins, outs)
        join = blocks.layout.state
        return join(last, last_shared), ys, join(hs, charged) if keep else None, bits

    def backward(
        self, cell: ChargeFireReset, state: State, xs: Sequence, hs: State | None, cotangents: Cotangents
    ) -> tuple[Floats, Floats, Floats]:
        """The cotangents of the cell, of the state and of the input; computes h again where it was not kept."""
        if hs is None and steps_of(xs) > REGISTERS:
            hs = self.forward(cell, state, xs)[2]
        blocks = blocks_of(cell, state, xs)
        own_of = blocks.layout.of_state
        (params, tables), pull_cell = jax.vjp(blocks.layout.of_cell, cell)
        drives, pull_drives = jax.vjp(blocks.drives, tables)
        own, shared = own_of(state)
        of_last = own_of(with_floats(state, cotangents.last))[0]
        own_hs = [] if hs is None else own_of(hs)[0]
        of_hs = own_of(with_floats(state, cotangents.hs))[0] if cotangents.hs else None
        given = _input(xs) if blocks.needs_input or hs is None else Input(None, None)
        ins = params, own, given, drives, own_hs, Cotangents(of_last, cotangents.ys, of_hs)
        g_drives = Drives(*map(floats, drives)) if floats(tables) else None
        outs = params, own, floats(xs), g_drives
        g_params, g_own, g_xs, g_drives = self._call(backward_kernel, blocks, xs, ins, outs)
        g_tables = pull_drives(as_cotangent(drives, floats(g_drives)))[0] if g_drives else as_cotangent(tables)
        (g_cell,) = pull_cell((g_params, g_tables))
        g_state = blocks.layout.state(g_own, [jnp.zeros_like(a) if has_gradient(a) else a for a in shared])
        return floats(g_cell), floats(g_state), g_xs

    def _call(self, kernel: Any, blocks: Blocks, xs: Sequence, ins: Any, outs: Any) -> Any:
        """Runs `kernel` on arrays that end in the shape of a step, for results like `outs`."""
        size, count = math.prod(blocks.s.shape), len(jax.tree.leaves(ins))

        def flat(a: Any) -> tuple[int, ...]:
            return *a.shape[: len(a.shape) - len(blocks.s.shape)], size

        def on_refs(access: type[Access], size: int, *refs: Any) -> None:
            trees = (jax.tree.structure(tree) for tree in (ins, outs))
            given = (tree.unflatten(part) for tree, part in zip(trees, (refs[:count], refs[count:]), strict=True))
            kernel(blocks, steps_of(xs), access(size), *given)

        given = [a.reshape(flat(a)) for a in jax.tree.leaves(ins)]
        wanted = [jax.ShapeDtypeStruct(flat(a), a.dtype) for a in jax.tree.leaves(outs)]
        found = self._launch(on_refs, f"spikejax_{kernel.__name__}", size, given, wanted)
        leaves = [a.reshape(out.shape) for a, out in zip(found, jax.tree.leaves(outs), strict=True)]
        return jax.tree.unflatten(jax.tree.structure(outs), leaves)

    def _launch(self, on_refs: Any, name: str, size: int, given: list[Array], wanted: list[Any]) -> list[Array]:
        return pl.pallas_call(
            partial(on_refs, Access, size),
            out_shape=wanted,
            grid=(pl.cdiv(size, BLOCK),),
            interpret=self._interpret,
            compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
            name=name,
        )(*given)


class Mosaic(Pallas):
    """The back end in the Mosaic GPU language, for the day when JAX no longer has Triton."""

    def _launch(self, on_refs: Any, name: str, size: int, given: list[Array], wanted: list[Any]) -> list[Array]:
        rows = pl.cdiv(size, BLOCK)
        padded = [jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, rows * BLOCK - size)]) for a in given]
        outs = [jax.ShapeDtypeStruct((*a.shape[:-1], rows * BLOCK), a.dtype) for a in wanted]
        like: dict[str, Any] = {"out_type" if jax.__version_info__ >= (0, 11) else "out_shape": outs}
        kernel = mosaic_gpu.kernel(
            partial(on_refs, MosaicAccess, rows * BLOCK), **like, grid=(rows,), grid_names=("block",)
        )
        return [a[..., :size] for a in kernel(*padded)]


TRITON, MOSAIC, INTERPRET = Pallas(), Mosaic(), Pallas(interpret=True)


def _input(xs: Sequence) -> Input:
    return Input(None, xs.value) if isinstance(xs, Static) else Input(xs, None)
