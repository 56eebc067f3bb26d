"""The kernels: a block of neurons over all of time, forward and backward, for every back end that runs on blocks.

A back end has a `BlockAccess`, which reads and writes blocks and repeats steps; the computation is written once, here.
Arrays lie as `[T, M]`, M neurons in a row.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from spikejax.kernels.blocks import BlockEquations, Drives
from spikejax.kernels.template import Floats, Tree, add, back_through_time
from spikejax.typing import Array

MAX_REGISTER_STEPS = 32
"""Most steps of which the backward kernel computes every h anew and has it in registers, if memory has none."""

Refs: TypeAlias = Any
"""A tree of references to arrays."""

Carried: TypeAlias = Any
"""A tree of blocks, which a step hands to the next."""

Step: TypeAlias = Array | int
"""The number of a step."""


class BlockAccess:
    """Reads and writes the block of a kernel in arrays `[T, M]` at step t, or `[M]`, and repeats steps.

    A value that is the same at every step is an array `[M]`, which is read at any t.

    Attributes:
        block: number of neurons in a block.
    """

    block: int

    def read(self, refs: Refs, t: Step | None = None) -> Any:
        """The blocks of all `refs`."""
        return jax.tree.map(lambda ref: self._read(ref, t), refs)

    def write(self, refs: Refs, values: Tree, t: Step | None = None) -> None:
        """Sets the blocks of all `refs`."""
        for ref, value in zip(jax.tree.leaves(refs), jax.tree.leaves(values), strict=True):
            self._write(ref, t, value.astype(ref.dtype))

    def zeros(self, dtypes: Sequence[DTypeLike]) -> Floats:
        """Blocks of zeros in the layout of a loop."""
        return self.in_loop_layout([jnp.zeros(self.block, dtype) for dtype in dtypes])

    def in_loop_layout(self, blocks: Floats) -> Floats:
        """The same values, in the layout that a loop needs for what it carries."""
        return blocks

    def loop(self, start: int, stop: int, body: Callable[[Any, Carried], Carried], carry: Carried) -> Carried:
        """`lax.fori_loop`."""
        return lax.fori_loop(start, stop, body, carry)

    def _read(self, ref: Refs, t: Step | None) -> Array:
        raise NotImplementedError

    def _write(self, ref: Refs, t: Step | None, value: Array) -> None:
        raise NotImplementedError


def forward_kernel(blocks: BlockEquations, steps: int, access: BlockAccess, ins: Refs, outs: Refs) -> None:
    """Runs a block from the first step to the last; writes h, and the spikes as bits, if `outs` has arrays for them."""
    (params, state, xs, drives), (last, ys, hs, bits) = ins, outs
    params = access.read(params)

    def body(t: Array, carry: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        state, bytes_ = carry
        x = access.read(xs, t)
        h = blocks.charge(access.read(drives.charge, t), (params, state, x))
        state, s = blocks.fire_reset(access.read(drives.fire_reset, t), (params, h))
        access.write(ys, s, t)
        if hs:
            access.write(hs, h, t)
        if bits:
            so_far = 2 * bytes_[0] + (s != 0).astype(jnp.int32)
            access.write(bits, [so_far], lax.div(t, jnp.int32(8)))  # eight times, of which the cache takes seven
            more = (lax.rem(t, jnp.int32(8)) != 7).astype(jnp.int32)
            bytes_ = [so_far * jnp.broadcast_to(more, (access.block,))]
        return state, bytes_

    empty = access.zeros([jnp.int32 for _ in bits])
    state, bytes_ = access.loop(0, steps, body, (access.read(state), empty))
    access.write(last, state)
    if bits and steps % 8:
        access.write(bits, [bytes_[0] * 2 ** (-steps % 8)], steps // 8)


def backward_kernel(blocks: BlockEquations, steps: int, access: BlockAccess, ins: Refs, outs: Refs) -> None:
    """Runs a block from the last step back to the first."""
    params, state, xs, drives, hs, cotangents = ins
    g_params, g_state, g_xs, g_drives = outs
    params, first = access.read(params), access.read(state)
    computed = None if hs else _charged(blocks, steps, access, params, first, xs, drives)

    def h_of(t: Any) -> Floats:
        return computed[t] if computed else access.read(hs, t)

    def start_of(t: Step) -> Floats:
        if isinstance(t, int) and t == 0:
            return first
        return blocks.fire_reset(access.read(drives.fire_reset, t - 1), (params, h_of(t - 1)))[0]

    def fire_reset_vjp_at(t: Step, g_state: Floats) -> tuple[Floats, Floats]:
        g_s = access.read(cotangents.ys, t).astype(blocks.s.dtype)
        at = params, h_of(t)
        of_drives, cotangent = blocks.fire_reset_vjp(access.read(drives.fire_reset, t), at, (g_state, g_s))
        access.write(g_drives.fire_reset, of_drives, t) if g_drives else None
        g_params, g_h = cotangent[: len(params)], cotangent[len(params) :]
        return access.in_loop_layout(g_params), add(g_h, access.read(cotangents.hs, t)) if cotangents.hs else g_h

    def charge_vjp_at(t: Step, start: Floats, g_h: Floats) -> tuple[Floats, Floats, Floats]:
        at = params, start, access.read(xs, t)
        of_drives, cotangent = blocks.charge_vjp(access.read(drives.charge, t), at, g_h)
        access.write(g_drives.charge, of_drives, t) if g_drives else None
        both = len(params) + len(start)
        return cotangent[: len(params)], cotangent[len(params) : both], cotangent[both:]

    def write_step(_: tuple[()], t: Step, g_x: Floats) -> tuple[()]:
        access.write(g_xs, g_x, t)
        return ()

    def add_step(total: Floats, _: Step, g_x: Floats) -> Floats:
        return add(total, g_x)

    is_static = bool(g_xs) and g_xs[0].ndim == 1
    gather, start = (add_step, access.zeros([ref.dtype for ref in g_xs])) if is_static else (write_step, ())
    g_last = access.read(cotangents.last)
    loop = _unrolled if computed else access.loop
    of_all = back_through_time(steps, g_last, start_of, fire_reset_vjp_at, charge_vjp_at, gather, start, loop)
    access.write((g_params, g_state), of_all[:2])
    if is_static:
        access.write(g_xs, of_all[2])


def _charged(
    blocks: BlockEquations, steps: int, access: BlockAccess, params: Floats, state: Floats, xs: Refs, drives: Drives
) -> list[Floats]:
    """The h of every step, in registers."""
    hs = []
    for t in range(steps):
        hs.append(blocks.charge(access.read(drives.charge, t), (params, state, access.read(xs, t))))
        state, _ = blocks.fire_reset(access.read(drives.fire_reset, t), (params, hs[-1]))
    return hs


def _unrolled(start: int, stop: int, body: Callable[[Any, Carried], Carried], carry: Carried) -> Carried:
    for i in range(start, stop):
        carry = body(i, carry)
    return carry
