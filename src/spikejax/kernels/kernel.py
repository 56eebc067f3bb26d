"""The kernels: a block of neurons through all of time, forward and backward, for every back end that runs on blocks.

A back end says how a block is read and written and how a step is repeated (`Access`); what is computed is written
once. Arrays lie as `[T, M]`, M neurons in a row.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.kernels.blocks import Blocks, Drives
from spikejax.kernels.template import Floats, add, back_through_time
from spikejax.typing import Array

REGISTERS = 32
"""Most steps of which the backward kernel holds every h in registers, where h was not kept in memory."""


class Access:
    """How a kernel reads and writes its block of arrays `[T, M]` at step t, or `[M]`, and how it repeats a step.

    What is the same at every step is an array `[M]`, whatever t.

    Attributes:
        block: number of neurons in a block.
    """

    block: int

    def read(self, refs: Any, t: Any = None) -> Any:
        """The blocks of all `refs`."""
        return jax.tree.map(lambda ref: self._read(ref, t), refs)

    def write(self, refs: Any, values: Any, t: Any = None) -> None:
        """Sets the blocks of all `refs`."""
        for ref, value in zip(jax.tree.leaves(refs), jax.tree.leaves(values), strict=True):
            self._write(ref, t, value.astype(ref.dtype))

    def zeros(self, dtypes: list[Any]) -> Floats:
        """Blocks of zeros, as `settle` gives them."""
        return self.settle([jnp.zeros(self.block, dtype) for dtype in dtypes])

    def settle(self, blocks: Floats) -> Floats:
        """The same values, in the layout that they keep through a loop."""
        return blocks

    def loop(self, start: int, stop: int, body: Any, carry: Any) -> Any:
        """`lax.fori_loop`."""
        return lax.fori_loop(start, stop, body, carry)

    def _read(self, ref: Any, t: Any) -> Array:
        raise NotImplementedError

    def _write(self, ref: Any, t: Any, value: Array) -> None:
        raise NotImplementedError


def forward_kernel(blocks: Blocks, steps: int, access: Access, ins: Any, outs: Any) -> None:
    """Takes a block from the first step to the last; writes h, and the spikes as bits, where there is room for them."""
    (params, own, xs, drives), (last, ys, hs, bits) = ins, outs
    params = access.read(params)

    def body(t: Array, carry: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        own, bytes_ = carry
        x = access.read(xs, t)
        h = blocks.charge(access.read(drives.charge, t), (params, own, x))
        own, s = blocks.emit(access.read(drives.emit, t), (params, h))
        access.write(ys, s, t)
        if hs:
            access.write(hs, h, t)
        if bits:
            so_far = 2 * bytes_[0] + (s != 0).astype(jnp.int32)
            access.write(bits, [so_far], lax.div(t, jnp.int32(8)))  # the cache takes what is written again
            more = (lax.rem(t, jnp.int32(8)) != 7).astype(jnp.int32)
            bytes_ = [so_far * jnp.broadcast_to(more, (access.block,))]
        return own, bytes_

    empty = access.zeros([jnp.int32 for _ in bits])
    own, bytes_ = access.loop(0, steps, body, (access.read(own), empty))
    access.write(last, own)
    if bits and steps % 8:
        access.write(bits, [bytes_[0] * 2 ** (-steps % 8)], steps // 8)


def backward_kernel(blocks: Blocks, steps: int, access: Access, ins: Any, outs: Any) -> None:
    """Takes a block from the last step to the first."""
    params, own, xs, drives, hs, cotangents = ins
    g_params, g_own, g_xs, g_drives = outs
    params, first = access.read(params), access.read(own)
    computed = None if hs else _charged(blocks, steps, access, params, first, xs, drives)

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
        at = params, start, access.read(xs, t)
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
    gather, room = (total, access.zeros([ref.dtype for ref in g_xs])) if still else (put, ())
    g_last = access.read(cotangents.last)
    loop = _unrolled if computed else access.loop
    found = back_through_time(steps, g_last, start_of, through_emit, through_charge, gather, room, loop)
    access.write((g_params, g_own), found[:2])
    if still:
        access.write(g_xs, found[2])


def _charged(
    blocks: Blocks, steps: int, access: Access, params: Floats, own: Floats, xs: Any, drives: Drives
) -> list[Floats]:
    """The h of every step, in registers."""
    hs = []
    for t in range(steps):
        hs.append(blocks.charge(access.read(drives.charge, t), (params, own, access.read(xs, t))))
        own, _ = blocks.emit(access.read(drives.emit, t), (params, hs[-1]))
    return hs


def _unrolled(start: int, stop: int, body: Any, carry: Any) -> Any:
    for i in range(start, stop):
        carry = body(i, carry)
    return carry
