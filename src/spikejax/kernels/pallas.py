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
from jax.experimental.pallas import triton

from spikejax.cells import ChargeFireReset
from spikejax.kernels.blocks import Blocks, Drives, blocks_of
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


class Input(NamedTuple):
    """The input, by the way it goes over time: `[T, M]`, `[M]` at every step, or nothing where nobody reads it."""

    moving: Array | None
    still: Array | None


class Access:
    """How a program instance reads and writes its block of arrays `[M]`, or of `[T, M]` at step t."""

    def __init__(self, size: int) -> None:
        start = pl.program_id(0) * BLOCK
        self._block = pl.ds(start, BLOCK)
        self._mask = None if size % BLOCK == 0 else start + jnp.arange(BLOCK) < size

    def read(self, refs: Any, t: Any = None) -> Any:
        """The blocks of all `refs`."""
        other = None if self._mask is None else 0
        return jax.tree.map(lambda ref: triton.load(self._at(ref, t), mask=self._mask, other=other), refs)

    def write(self, refs: Any, values: Any, t: Any = None) -> None:
        """Sets the blocks of all `refs`."""
        for ref, value in zip(jax.tree.leaves(refs), jax.tree.leaves(values), strict=True):
            triton.store(self._at(ref, t), value.astype(ref.dtype), mask=self._mask)

    def read_input(self, given: Input, t: Any) -> Array:
        """The input of step t, or 0 where it is not given."""
        if given.moving is not None:
            return self.read(given.moving, t)
        return jnp.zeros((), jnp.float32) if given.still is None else self.read(given.still)

    def _at(self, ref: Any, t: Any) -> Any:
        return ref.at[self._block] if t is None else ref.at[jnp.int32(t), self._block]


def forward_kernel(blocks: Blocks, steps: int, size: int, ins: Any, last: Any, ys: Any, hs: Any) -> None:
    """Takes a block from the first step to the last; writes h where there is room for it."""
    params, own, given, drives = ins
    access = Access(size)
    params = access.read(params)

    def body(t: Array, own: Floats) -> Floats:
        x = access.read_input(given, t)
        h = blocks.charge(access.read(drives.charge, t), (params, own, x))
        own, s = blocks.emit(access.read(drives.emit, t), (params, h))
        access.write(ys, s, t)
        if hs:
            access.write(hs, h, t)
        return own

    access.write(last, lax.fori_loop(0, steps, body, access.read(own)))


def backward_kernel(blocks: Blocks, steps: int, size: int, ins: Any, outs: Any) -> None:
    """Takes a block from the last step to the first."""
    params, own, given, drives, hs, cotangents = ins
    g_params, g_own, g_xs, g_drives = outs
    access = Access(size)
    params, first = access.read(params), access.read(own)

    def start_of(t: Any) -> Floats:
        if isinstance(t, int):
            return first
        return blocks.emit(access.read(drives.emit, t - 1), (params, access.read(hs, t - 1)))[0]

    def through_emit(t: Any, g_state: Floats) -> tuple[Floats, Floats]:
        g_s = access.read(cotangents.ys, t).astype(blocks.s.dtype)
        at = params, access.read(hs, t)
        of_drives, found = blocks.emit_back(access.read(drives.emit, t), at, (g_state, g_s))
        access.write(g_drives.emit, of_drives, t) if g_drives else None
        g_h = found[len(params) :]
        return found[: len(params)], add(g_h, access.read(cotangents.hs, t)) if cotangents.hs else g_h

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
    gather, room = (total, [jnp.zeros(BLOCK, ref.dtype) for ref in g_xs]) if still else (put, ())
    g_last = access.read(cotangents.last)
    found = back_through_time(steps, g_last, start_of, through_emit, through_charge, gather, room)
    access.write((g_params, g_own), found[:2])
    if still:
        access.write(g_xs, found[2])


class Pallas:
    """The back end; `interpret` runs the kernels on a CPU, slowly, for tests."""

    def __init__(self, interpret: bool = False) -> None:
        self._interpret = interpret

    def infer(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array]:
        """The last state and the outputs `[T, N, *]`, with nothing kept for a backward pass."""
        last, ys, _ = self._run(cell, state, xs, keep=False)
        return last, ys

    def forward(self, cell: ChargeFireReset, state: State, xs: Sequence) -> tuple[State, Array, State]:
        """The last state, the outputs and the charged states h `[T, N, *]`."""
        return self._run(cell, state, xs, keep=True)

    def _run(self, cell: ChargeFireReset, state: State, xs: Sequence, *, keep: bool) -> tuple[State, Array, State]:
        blocks, steps = blocks_of(cell, state, xs), steps_of(xs)
        (params, tables), (own, _) = blocks.layout.of_cell(cell), blocks.layout.of_state(state)
        charged, last_shared = blocks.shared
        over_time = [jax.ShapeDtypeStruct((steps, *a.shape), a.dtype) for a in own]
        ys = jax.ShapeDtypeStruct((steps, *blocks.s.shape), blocks.s.dtype)
        ins = params, own, _input(xs), blocks.drives(tables)
        outs = own, ys, over_time if keep else []
        last, ys, hs = self._call(forward_kernel, blocks, xs, ins, outs)
        join = blocks.layout.state
        return join(last, last_shared), ys, join(hs, charged) if keep else None

    def backward(
        self, cell: ChargeFireReset, state: State, xs: Sequence, hs: State, cotangents: Cotangents
    ) -> tuple[Floats, Floats, Floats]:
        """The cotangents of the cell, of the state and of the input."""
        blocks = blocks_of(cell, state, xs)
        own_of = blocks.layout.of_state
        (params, tables), pull_cell = jax.vjp(blocks.layout.of_cell, cell)
        drives, pull_drives = jax.vjp(blocks.drives, tables)
        own, shared = own_of(state)
        of_last = own_of(with_floats(state, cotangents.last))[0]
        of_hs = own_of(with_floats(hs, cotangents.hs))[0] if cotangents.hs else None
        given = _input(xs) if blocks.needs_input else Input(None, None)
        ins = params, own, given, drives, own_of(hs)[0], Cotangents(of_last, cotangents.ys, of_hs)
        g_drives = Drives(*map(floats, drives)) if floats(tables) else None
        outs = ((params, own, floats(xs), g_drives),)
        ((g_params, g_own, g_xs, g_drives),) = self._call(backward_kernel, blocks, xs, ins, outs)
        g_tables = pull_drives(as_cotangent(drives, floats(g_drives)))[0] if g_drives else as_cotangent(tables)
        (g_cell,) = pull_cell((g_params, g_tables))
        g_state = blocks.layout.state(g_own, [jnp.zeros_like(a) if has_gradient(a) else a for a in shared])
        return floats(g_cell), floats(g_state), g_xs

    def _call(self, kernel: Any, blocks: Blocks, xs: Sequence, ins: Any, outs: Any) -> Any:
        """Runs `kernel` on arrays that end in the shape of a step, for results like `outs`."""
        steps, shape = steps_of(xs), blocks.s.shape
        size = math.prod(shape)
        flat_ins = jax.tree.map(lambda a: a.reshape(*a.shape[: a.ndim - len(shape)], size), ins)
        flat_outs = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((*a.shape[: len(a.shape) - len(shape)], size), a.dtype), outs
        )
        found = pl.pallas_call(
            partial(kernel, blocks, steps, size),
            out_shape=flat_outs,
            grid=(pl.cdiv(size, BLOCK),),
            interpret=self._interpret,
            compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
            name=f"spikejax_{kernel.__name__}",
        )(flat_ins)
        return jax.tree.map(lambda flat, a: flat.reshape(a.shape), found, outs)


TRITON, INTERPRET = Pallas(), Pallas(interpret=True)


def _input(xs: Sequence) -> Input:
    return Input(None, xs.value) if isinstance(xs, Static) else Input(xs, None)
