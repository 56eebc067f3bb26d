"""Loihi's integers: exact in the forward pass, with the slopes of what they round in the backward pass.

Whole numbers are held in float32, which is exact up to 2**24, so that gradients pass; the arithmetic is int32.
"""

import jax
import jax.numpy as jnp

from spikejax.typing import Array

DECAY_BITS = 12
"""Decays are in units of 2**-12."""

SHIFT = 6
"""Sums of weights enter the current shifted by so many bits."""

LIMIT = 1 << 23
"""The current wraps around here, and the membrane is clamped below."""

WEIGHT_RANGE = 256
"""Weights lie within [-256, 256)."""

WEIGHT_STEP = 2
"""Weights of both signs have 8 bits: they are even."""


@jax.custom_jvp
def straight_through_round(x: Array) -> Array:
    """The nearest whole number, to even from halfway; slope 1."""
    return jnp.round(x)


straight_through_round.defjvps(lambda t, y, x: t)


def quantize_weights(w: Array, scale: float, step: int = WEIGHT_STEP) -> Array:
    """Weights as Loihi holds them: even whole numbers in [-256, 254]; slope `scale` inside the range, 0 outside.

        q = clip(step round(w scale / step), -256, 256 - step)

    Args:
        w: weights, any shape.
        scale: whole numbers that make 1.0, > 0.
        step: 2, or 1 for weights of one sign.
    """
    steps = WEIGHT_RANGE // step
    return jnp.clip(straight_through_round(w * (scale / step)), -steps, steps - 1) * step


@jax.custom_jvp
def decayed(x: Array, decay: Array) -> Array:
    """The part of `x` that a decay of `decay` / 4096 leaves, rounded towards zero: sgn(x) ((|x| (4096 - decay)) >> 12).

    Args:
        x: whole numbers below 2**24 in size.
        decay: whole numbers from 0 to 4096; broadcasts to `x`.
    """
    whole = x.astype(jnp.int32)
    size, rest = jnp.abs(whole), (1 << DECAY_BITS) - decay.astype(jnp.int32)
    low = size & ((1 << DECAY_BITS) - 1)
    left = (size >> DECAY_BITS) * rest + ((low * rest) >> DECAY_BITS)  # the product in two halves, as 36 bits
    return jnp.where(whole < 0, -left, left).astype(x.dtype)


@decayed.defjvp
def _decayed_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, decay), (of_x, of_decay) = primals, tangents
    unit = 1 << DECAY_BITS
    return decayed(x, decay), of_x * ((unit - decay) / unit) - x * (of_decay / unit)


@jax.custom_jvp
def add_wrapping(x: Array, a: Array) -> Array:
    """X + (a << 6) in 24 bits with sign, which wraps around."""
    total = x.astype(jnp.int32) + (a.astype(jnp.int32) << SHIFT)
    return (((total + LIMIT) & (2 * LIMIT - 1)) - LIMIT).astype(x.dtype)


add_wrapping.defjvps(lambda t, y, x, a: t, lambda t, y, x, a: t * (1 << SHIFT))


@jax.custom_jvp
def clamp(x: Array) -> Array:
    """`x` within 23 bits and a sign; slope 1."""
    return jnp.clip(x, -(LIMIT - 1), LIMIT - 1)


clamp.defjvps(lambda t, y, x: t)
