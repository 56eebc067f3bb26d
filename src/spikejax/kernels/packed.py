"""Residuals in half the memory: charged states in bfloat16, and one bit a spike.

A rounded state may lie on the other side of the threshold, so the spikes are saved beside it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import Cotangents, floats, with_floats
from spikejax.typing import Array, State


class Packed(NamedTuple):
    """A run as it is saved for the backward pass.

    Attributes:
        hs: the charged states `[T, N, *]`, floating point in bfloat16.
        bits: the spikes, eight steps a byte, `[ceil(T / 8), N, *]`.
    """

    hs: State
    bits: Array


class KnownState(NamedTuple):
    """A state, or a charged state, and the spikes that follow from it `[N, *]`."""

    state: State
    s: Array


class KnownSpikes(ChargeFireReset):
    """A cell whose spikes are known; its gradients are those of the cell inside."""

    cell: ChargeFireReset

    def charged(self, state: KnownState, x: Array) -> KnownState:
        """The cell's charge."""
        return state._replace(state=self.cell.charged(state.state, x))

    def fire(self, h: KnownState) -> Array:
        """The known spikes, with the gradient of those of the cell."""
        s = self.cell.fire(h.state)
        return s + jax.lax.stop_gradient(h.s - s)

    def reset(self, h: KnownState, s: Array) -> KnownState:
        """The cell's reset."""
        return h._replace(state=self.cell.reset(h.state, s))


def pack_run(hs: State, ys: Array) -> Packed:
    """Rounds the charged states, and packs the spikes."""
    return Packed(in_bfloat16(hs), jnp.packbits(ys != 0, axis=0))


def in_bfloat16(hs: State) -> State:
    """The charged states with their floating-point leaves rounded."""
    return with_floats(hs, [a.astype(jnp.bfloat16) for a in floats(hs)])


def known_run(
    cell: ChargeFireReset, state: State, packed: Packed, cotangents: Cotangents
) -> tuple[KnownSpikes, KnownState, KnownState, Cotangents]:
    """A packed run as one of a cell whose spikes are known: cell, first state, charged states, cotangents."""
    ys = cotangents.ys
    s = jnp.unpackbits(packed.bits, axis=0, count=ys.shape[0]).astype(floats(state)[0].dtype)
    wide = [a.astype(b.dtype) for a, b in zip(floats(packed.hs), floats(state), strict=True)]
    none = jnp.zeros_like(s[0])
    of_hs = None if cotangents.hs is None else [*cotangents.hs, jnp.zeros_like(s)]
    of_run = cotangents._replace(last=[*cotangents.last, none], hs=of_hs)
    hs = KnownState(with_floats(packed.hs, wide), s)
    return KnownSpikes(cell=cell), KnownState(state, none), hs, of_run
