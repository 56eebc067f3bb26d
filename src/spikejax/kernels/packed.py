"""Half the memory for the backward pass: charged states in bfloat16, and one bit a spike.

Rounded, a charged state may lie on the other side of the threshold, so the spikes are kept beside it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import Cotangents, floats, with_floats
from spikejax.typing import Array, State


class Packed(NamedTuple):
    """What is kept of a run.

    Attributes:
        hs: the charged states `[T, N, *]`, floating point in bfloat16.
        bits: the spikes, eight steps a byte, `[ceil(T / 8), N, *]`.
    """

    hs: State
    bits: Array


class Known(NamedTuple):
    """A state, or a charged state, and the spikes that it gave `[N, *]`."""

    state: State
    s: Array


class KnownSpikes(ChargeFireReset):
    """A cell that fires where it is known to have fired; gradients are the cell's own."""

    cell: ChargeFireReset

    def charged(self, state: Known, x: Array) -> Known:
        """The cell's charge."""
        return state._replace(state=self.cell.charged(state.state, x))

    def fire(self, h: Known) -> Array:
        """The known spikes, with the gradient of the cell's."""
        s = self.cell.fire(h.state)
        return s + jax.lax.stop_gradient(h.s - s)

    def reset(self, h: Known, s: Array) -> Known:
        """The cell's reset."""
        return h._replace(state=self.cell.reset(h.state, s))


def pack(hs: State, ys: Array) -> Packed:
    """Rounds the charged states, and packs the spikes."""
    return Packed(in_bfloat16(hs), jnp.packbits(ys != 0, axis=0))


def in_bfloat16(hs: State) -> State:
    """The charged states with their floating-point leaves rounded."""
    return with_floats(hs, [a.astype(jnp.bfloat16) for a in floats(hs)])


def known_run(
    cell: ChargeFireReset, state: State, packed: Packed, cotangents: Cotangents
) -> tuple[KnownSpikes, Known, Known, Cotangents]:
    """The run again, as one of a cell whose spikes are known: cell, first state, charged states, cotangents."""
    ys = cotangents.ys
    s = jnp.unpackbits(packed.bits, axis=0, count=ys.shape[0]).astype(floats(state)[0].dtype)
    wide = [a.astype(b.dtype) for a, b in zip(floats(packed.hs), floats(state), strict=True)]
    none = jnp.zeros_like(s[0])
    of_hs = None if cotangents.hs is None else [*cotangents.hs, jnp.zeros_like(s)]
    given = cotangents._replace(last=[*cotangents.last, none], hs=of_hs)
    return KnownSpikes(cell=cell), Known(state, none), Known(with_floats(packed.hs, wide), s), given
