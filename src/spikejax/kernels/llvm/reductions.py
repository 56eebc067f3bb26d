"""Parts of the elementary functions of float32: the bits of a number, and reductions to a short range.

Coefficients are least maximum fits of the polynomials that the docstrings name.

Source: Cody and Waite, "Software Manual for the Elementary Functions", 1980, the reductions; Dekker, "A Floating-Point
Technique for Extending the Available Precision", 1971, exact products of halves.
"""

from functools import reduce

import jax.numpy as jnp
from jax import lax

from spikejax.typing import Array

TINY = 2.0**-126
"""The least normal number."""

INF, NAN = float("inf"), float("nan")

ROUND = 1.5 * 2**23
"""Added to a number below 2^22, it leaves the nearest integer in the low bits of the sum."""

SIGN = -(2**31)
"""The bit of the sign."""

LOG2E = 1.4426950408889634
TWICE_LOG2E = 2.884765625, 0.000624456777926774
"""2 / ln 2 in two parts, the first of 12 bits."""

LN2 = 0.693145751953125, 1.4286068203094173e-06
"""ln 2 in two parts, the first of 15 bits: its product with an exponent is exact."""

HALF_PI = 1.5703125, 0.0004837512969970703, 7.549533620476723e-08, 2.563344151594519e-12
"""π/2 in four parts, the first three of 11 bits: their products with an integer below 2^13 are exact."""


def bits_of(a: Array) -> Array:
    """The bits of a as an int32."""
    return lax.bitcast_convert_type(a, jnp.int32)


def float_of(bits: Array) -> Array:
    """The float32 of these bits."""
    return lax.bitcast_convert_type(bits, jnp.float32)


def high_part(a: Array) -> Array:
    """The first 12 bits of a: the product of two such numbers is exact."""
    return float_of(bits_of(a) & -(2**12))


def negate_where(a: Array, bits: Array) -> Array:
    """The elements of a, negative for those of which the highest of `bits` is set."""
    return float_of(bits_of(a) ^ (bits & SIGN))


def with_sign_of(x: Array, a: Array) -> Array:
    """A ≥ 0 with the sign of x."""
    return float_of(bits_of(a) | (bits_of(x) & SIGN))


def polynomial(z: Array, *coefficients: float) -> Array:
    """The polynomial of z, its lowest coefficient first."""
    *others, second, first = coefficients
    return reduce(lambda total, c: total * z + c, others[::-1], first * z + second)


def nearest(t: Array) -> tuple[Array, Array]:
    """The integer nearest to t, below 2^22: as a float, and as the low 22 bits of an int32."""
    shifted = t + ROUND
    return shifted - ROUND, bits_of(shifted)


def two_to(n: Array) -> Array:
    """2^n for n from -126 to 127; 0 for n = -127."""
    return float_of((n + 127) << 23)


def reduced_expm1(r: Array) -> Array:
    """e^r - 1 = r + r² E(r) for r from -ln 2 / 2 to ln 2."""
    return r + r * r * polynomial(r, 0.500001394, 0.166667658, 0.0416300657, 0.00834210462, 0.00159452914)


def exp_of(r: Array, n: Array) -> Array:
    """e^r 2^n."""
    return (1 + reduced_expm1(r)) * two_to(n)


def without_ln2(x: Array, rest: Array | None = None, most: int = 127) -> tuple[Array, Array]:
    """The r and n for which x + rest = r + n ln 2; n is at most `most`, and -127 if e^x is below the normal numbers."""
    x = jnp.maximum(x, -88)
    k, n = nearest(jnp.minimum((x if rest is None else x + rest) * LOG2E, most))
    r = x - k * LN2[0] - k * LN2[1]
    return r if rest is None else r + rest, n


def log_parts(x: Array) -> tuple[Array, Array]:
    """The k, as a float, and m from √½ to √2 for which x = 2^k m, for normal x > 0."""
    bits = bits_of(x)
    k = (bits - 0x3F3504F3) >> 23
    return k.astype(x.dtype), float_of(bits - (k << 23))


def atanh_tail(z: Array) -> Array:
    """R(z) of artanh s = s + s R(s²) / 2, for |s| ≤ 0.172."""
    return z * polynomial(z, 0.666667781, 0.399773118, 0.298784357)


def log_of_normal(x: Array) -> Array:
    """The logarithm of x, k ln 2 + f - s (f - R(s²)), f = m - 1, s = f / (2 + f)."""
    k, m = log_parts(x)
    f = m - 1
    s = f / (2 + f)
    half = 0.5 * f * f
    return k * LN2[0] + (f - (half - (s * (half + atanh_tail(s * s)) + k * LN2[1])))


def log_at_ends(x: Array, normal: Array) -> Array:
    """`normal`, or ln x for every x that is not a normal number above 0."""
    return jnp.where(x < TINY, jnp.where(x < 0, NAN, -INF), jnp.where(x < INF, normal, x))


def log2_parts(x: Array) -> tuple[Array, Array]:
    """The binary logarithm k + (2 s + s R(s²)) / ln 2, s = (m - 1) / (m + 1), in two parts, the first of 12 bits."""
    k, m = log_parts(x)
    above, below = m - 1, m + 1
    below_high = high_part(below)
    s = above / below
    s_high = high_part(s)
    s_low = ((above - s_high * below_high) - s_high * (m - (below_high - 1))) / below
    first = s_high * TWICE_LOG2E[0]
    second = s_high * TWICE_LOG2E[1] + (2 * LOG2E) * s_low + LOG2E * s * atanh_tail(s * s)
    high = high_part(k + (first + second))
    return high, second - ((high - k) - first)


def quarter_turns(x: Array) -> tuple[Array, Array]:
    """The rest of x, from -π/4 to π/4, without the nearest multiple of π/2, and the multiplier, right modulo 4."""
    k, n = nearest(x * (2 / jnp.pi))
    for part in HALF_PI:
        x = x - k * part
    return lax.clamp(-0.79, x, 0.79), n


def sin_cos(r: Array) -> tuple[Array, Array]:
    """The sine r (1 + r² S(r²)) and the cosine 1 - r² / 2 + r⁴ C(r²) for r from -π/4 to π/4."""
    z = r * r
    s = r * (1 + z * polynomial(z, -0.166666546, 0.00833215716, -0.000195147842))
    return s, 1 - (0.5 * z - z * z * polynomial(z, 0.0416666456, -0.00138873114, 2.44325869e-05))
