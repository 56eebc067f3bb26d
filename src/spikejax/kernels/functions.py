"""Elementary functions of float32 in the operations that every vector unit has.

Each is straight-line code in additions, products, quotients, comparisons, choices and the bits of a number: no table, no
loop, no fused multiply-add. Errors are the largest seen against float64, in units in the last place (ulp) of the result.
Numbers below 2^-126 may count as 0, as arguments and as results.

Source: the reductions and special cases are those of Cody and Waite, "Software Manual for the Elementary Functions",
1980; the split of a product in two, Dekker, "A Floating-Point Technique for Extending the Available Precision", 1971. The
coefficients are least maximum fits of the form that each docstring gives.
"""

from collections.abc import Callable
from functools import reduce

import jax.numpy as jnp
from jax import lax

from spikejax.kernels.elementwise import integer_power
from spikejax.typing import Array

TINY = 2.0**-126
"""The least normal number."""

INF, NAN = float("inf"), float("nan")

ROUND = 1.5 * 2**23
"""Added to a number below 2^22, it leaves the nearest integer in the low bits of the sum."""

SIGN = -(2**31)
"""The bit of the sign."""

LOG2E = 1.4426950408889634
TWO_LOG2E = 2.884765625, 0.0006244567779268
LN2 = 0.693145751953125, 1.4286068203094173e-06
"""ln 2 in two parts; the first has 15 bits, so that its product with an exponent is exact."""

HALF_PI = 1.5703125, 0.0004837512969970703, 7.549533620476723e-08, 2.563344151594519e-12
"""π/2 in four parts; the first three have 11 bits at most, so that their products with an integer below 2^13 are exact."""


def exp(x: Array) -> Array:
    """e^x."""
    return _exp_of(*_without_ln2(x))


def exp2(x: Array) -> Array:
    """2^x."""
    x = jnp.maximum(x, -127)
    k, n = _nearest(jnp.minimum(x, 127))
    return _exp_of((x - k) * sum(LN2), n)


def expm1(x: Array) -> Array:
    """e^x - 1."""
    return jnp.where(x == 0, x, _expm1(x))


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return 1 / (1 + exp(-x))


def sinh(x: Array) -> Array:
    """(e^x - e^-x) / 2; below 1, x + x³ S(x²)."""
    a = abs(x)
    quarter = _quarter_of_exp(a)
    z = a * a
    small = a + a * z * _horner(z, 0.16666716, 0.00833028372, 0.000203721942)
    return _with_sign_of(x, jnp.where(a < 1, small, 2 * quarter - 0.125 / quarter))


def cosh(x: Array) -> Array:
    """(e^x + e^-x) / 2."""
    quarter = _quarter_of_exp(abs(x))
    return 2 * quarter + 0.125 / quarter


def tanh(x: Array) -> Array:
    """(1 - u) / (1 + u), u = e^(-2 |x|), with the sign of x."""
    u_less_1 = _expm1(-2 * abs(x))
    return _with_sign_of(x, -u_less_1 / (2 + u_less_1))


def log(x: Array) -> Array:
    """ln x."""
    return _log_at_ends(x, _log_of_normal(x))


def log1p(x: Array) -> Array:
    """ln(1 + x) = ln u + (x - (u - 1)) / u, where u is 1 + x rounded."""
    u = 1 + x
    return jnp.where(x == 0, x, _log_at_ends(u, _log_of_normal(u) + (x - (u - 1)) / u))


def power(x: Array, y: Array) -> Array:
    """x^y = 2^(y log2 x), the logarithm and its product with y in two parts."""
    y, a = y.astype(x.dtype), abs(x)
    high, low = _log2_parts(a)
    times = lax.clamp(-(2.0**40), y, 2.0**40)  # keeps the products finite
    y_high = _high(times)
    rest = (times - y_high) * high + times * low
    product, rest = lax.clamp(-127.2, y_high * high, 130.0), lax.clamp(-0.25, rest, 0.25)
    k, n = _nearest(jnp.minimum(product + rest, 127))
    normal = (a >= TINY) & (a < INF)
    size = jnp.where(normal, _exp_of(((product - k) + rest) * sum(LN2), n), jnp.where(y < 0, 1 / a, a))
    whole, half = jnp.floor(y) == y, 0.5 * y
    odd = whole & (jnp.floor(half) != half)
    signed = jnp.where(odd & (_bits(x) < 0), -size, size)
    defined = jnp.where((x < 0) & (a < INF) & ~whole, NAN, signed)
    return jnp.where((x == 1) | (y == 0), 1.0, defined)


def cbrt(x: Array) -> Array:
    """∛x = |x| w², where w approaches |x|^(-1/3) twice by w ← w (1 + e/3 + 2e²/9), e = 1 - |x| w³."""
    a = abs(x)
    w = _float(0x54A2FA8C - (_bits(a).astype(x.dtype) * (1 / 3)).astype(jnp.int32))
    for _ in range(2):
        e = 1 - a * w * w * w
        w = w + w * e * (1 / 3 + 2 / 9 * e)
    return jnp.where((a >= TINY) & (a < INF), _with_sign_of(x, a * w * w), x)


def sin(x: Array) -> Array:
    """sin x; beyond 1e4 less and less exact."""
    return _sine(x, 0)


def cos(x: Array) -> Array:
    """cos x = sin(x + π/2); beyond 1e4 less and less exact."""
    return _sine(x, 1)


def tan(x: Array) -> Array:
    """sin x / cos x; beyond 1e4 less and less exact."""
    r, quarters = _quarter_turns(x)
    odd = quarters & 1 != 0
    s, c = _sin_cos(r)
    return _flip(jnp.where(odd, c, s) / jnp.where(odd, s, c), quarters << 31)


def atan(x: Array) -> Array:
    """The angle of (1, x)."""
    a = abs(x)
    return _with_sign_of(x, _angle(jnp.minimum(a, 1) / jnp.maximum(a, 1), a > 1))


def atan2(y: Array, x: Array) -> Array:
    """The angle of (x, y)."""
    a, b = abs(x), abs(y)
    low, high = jnp.minimum(a, b), jnp.maximum(jnp.maximum(a, b), TINY)
    angle = _angle(jnp.where(low == high, 1.0, low / high), b > a)
    return _with_sign_of(y, jnp.where(_bits(x) < 0, jnp.pi - angle, angle))


def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^(-t²) dt = x P(x²) / Q(x²)."""
    x = lax.clamp(-3.93, x, 3.93)
    z = x * x
    p = _horner(z, 1.12837915, 0.190782385, 0.0527900836, 0.00377954497, 0.000284806803, 2.04197675e-06)
    q = _horner(z, 1, 0.502409207, 0.114256915, 0.0149973079, 0.00116519654, 3.80040438e-05)
    return lax.clamp(-1.0, x * p / q, 1.0)


def erfc(x: Array) -> Array:
    """1 - erf x; for x = a ≥ 0, e^(-a²) G(t) / (1 + 2a), t = (a - 2) / (a + 2).

    Source: Shepherd and Laframboise, "Chebyshev Approximation of (1 + 2x) exp(x²) erfc x", 1981, the form.
    """
    a = jnp.minimum(abs(x), 10.1)
    high = _high(a)
    r, n = _without_ln2(-high * high, (high - a) * (high + a))
    t = (a - 2) / (a + 2)
    g = (1.27697839, -0.0927639808, -0.166031425, 0.164055347, -0.0542042983)
    g = _horner(t, *g, -0.00805987509, 0.00863168072, 0.00131352264, -0.00122992718, -0.000400576677)
    tail = _exp_of(r, n) * g / (1 + 2 * a)
    return jnp.where(x < 0, 2 - tail, tail)


def rsqrt(x: Array) -> Array:
    """1 / √x."""
    return 1 / jnp.sqrt(x)


def remainder(x: Array, y: Array) -> Array:
    """x - y trunc(x / y), exact where |x / y| < 2^10."""
    a, b = abs(x), abs(y)
    whole = jnp.floor(a / b)
    high = _high(b)
    rest = (a - whole * high) - whole * (b - high)
    rest = jnp.where(rest < 0, rest + b, rest)  # the quotient was rounded up to an integer
    return jnp.where(a < b, x, _with_sign_of(x, rest))


def _bits(a: Array) -> Array:
    return lax.bitcast_convert_type(a, jnp.int32)


def _float(bits: Array) -> Array:
    return lax.bitcast_convert_type(bits, jnp.float32)


def _high(a: Array) -> Array:
    """The first 12 bits of a: the product of two such numbers is exact."""
    return _float(_bits(a) & -(2**12))


def _flip(a: Array, bits: Array) -> Array:
    """-a where the highest of `bits` is set."""
    return _float(_bits(a) ^ (bits & SIGN))


def _with_sign_of(x: Array, a: Array) -> Array:
    """±a for a ≥ 0."""
    return _float(_bits(a) | (_bits(x) & SIGN))


def _horner(z: Array, *coefficients: float) -> Array:
    """The polynomial of z, its lowest coefficient first."""
    return reduce(lambda total, c: total * z + c, coefficients[::-1])


def _nearest(t: Array) -> tuple[Array, Array]:
    """The integer nearest to t, below 2^22: as a float, and as the low 22 bits of an int32."""
    shifted = t + ROUND
    return shifted - ROUND, _bits(shifted)


def _two_to(n: Array) -> Array:
    """2^n for n from -126 to 127; 0 for n = -127."""
    return _float((n + 127) << 23)


def _reduced_expm1(r: Array) -> Array:
    """e^r - 1 = r + r² E(r) for r from -ln 2 / 2 to ln 2."""
    return r + r * r * _horner(r, 0.500001394, 0.166667658, 0.0416300657, 0.00834210462, 0.00159452914)


def _exp_of(r: Array, n: Array) -> Array:
    """e^r 2^n."""
    return (1 + _reduced_expm1(r)) * _two_to(n)


def _without_ln2(x: Array, rest: Array | None = None, most: int = 127) -> tuple[Array, Array]:
    """r and n such that x + rest = r + n ln 2, n at most `most`, and -127 where e^x is too small a number."""
    x = jnp.maximum(x, -88)
    k, n = _nearest(jnp.minimum((x if rest is None else x + rest) * LOG2E, most))
    r = x - k * LN2[0] - k * LN2[1]
    return r if rest is None else r + rest, n


def _expm1(x: Array) -> Array:
    """e^x - 1, but for the sign of 0."""
    r, n = _without_ln2(x)
    scale = _two_to(n)
    return _reduced_expm1(r) * scale + (scale - 1)


def _quarter_of_exp(a: Array) -> Array:
    """e^a / 4 for a ≥ 0, finite where cosh a is."""
    r, n = _without_ln2(a, most=129)
    return _exp_of(r, n - 2)


def _log_parts(x: Array) -> tuple[Array, Array]:
    """k, as a float, and m from √½ to √2 such that x = 2^k m, for normal x > 0."""
    bits = _bits(x)
    k = (bits - 0x3F3504F3) >> 23
    return k.astype(x.dtype), _float(bits - (k << 23))


def _atanh_tail(z: Array) -> Array:
    """R(z) of artanh s = s + s R(s²) / 2, for |s| ≤ 0.172."""
    return z * _horner(z, 0.666667781, 0.399773118, 0.298784357)


def _log_of_normal(x: Array) -> Array:
    """ln x = k ln 2 + f - s (f - R(s²)), f = m - 1, s = f / (2 + f)."""
    k, m = _log_parts(x)
    f = m - 1
    s = f / (2 + f)
    half = 0.5 * f * f
    return k * LN2[0] + (f - (half - (s * (half + _atanh_tail(s * s)) + k * LN2[1])))


def _log_at_ends(x: Array, normal: Array) -> Array:
    """`normal`, or ln x where x is none."""
    return jnp.where(x < TINY, jnp.where(x < 0, NAN, -INF), jnp.where(x < INF, normal, x))


def _log2_parts(x: Array) -> tuple[Array, Array]:
    """log2 x in two parts, the first of 12 bits: k + (2 s + s R(s²)) / ln 2, s = (m - 1) / (m + 1) in two parts too."""
    k, m = _log_parts(x)
    above, below = m - 1, m + 1
    below_high = _high(below)
    s = above / below
    s_high = _high(s)
    s_low = ((above - s_high * below_high) - s_high * (m - (below_high - 1))) / below
    first = s_high * TWO_LOG2E[0]
    second = s_high * TWO_LOG2E[1] + (2 * LOG2E) * s_low + LOG2E * s * _atanh_tail(s * s)
    high = _high(k + (first + second))
    return high, second - ((high - k) - first)


def _quarter_turns(x: Array) -> tuple[Array, Array]:
    """r from -π/4 to π/4, and how many times π/2 lies between it and x, modulo 4."""
    k, n = _nearest(x * (2 / jnp.pi))
    for part in HALF_PI:
        x = x - k * part
    return lax.clamp(-0.79, x, 0.79), n


def _sin_cos(r: Array) -> tuple[Array, Array]:
    """r (1 + r² S(r²)) and 1 - r² / 2 + r⁴ C(r²)."""
    z = r * r
    s = r * (1 + z * _horner(z, -0.166666546, 0.00833215716, -0.000195147842))
    return s, 1 - (0.5 * z - z * z * _horner(z, 0.0416666456, -0.00138873114, 2.44325869e-05))


def _sine(x: Array, ahead: int) -> Array:
    """sin(x + π/2 ahead)."""
    r, n = _quarter_turns(x)
    s, c = _sin_cos(r)
    n = n + ahead if ahead else n
    return _flip(jnp.where(n & 1 != 0, c, s), n << 30)


def _angle(q: Array, steep: Array) -> Array:
    """The angle of (1, q) = q + q³ A(q²) for q from 0 to 1, or of (q, 1) where `steep`."""
    z = q * q
    a = (-0.333331527, 0.199937728, -0.142110553, 0.106660046)
    angle = q + q * z * _horner(z, *a, -0.0755221415, 0.0432118589, -0.0163679267, 0.00292069188)
    return jnp.where(steep, 0.5 * jnp.pi - angle, angle)


def _primitive(function: Callable[..., Array]) -> Callable[..., Array]:
    """`function` with the parameters of a primitive, of which none matters."""
    return lambda *args, **_: function(*args)


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "atan": _primitive(atan),
    "atan2": _primitive(atan2),
    "cbrt": _primitive(cbrt),
    "cos": _primitive(cos),
    "cosh": _primitive(cosh),
    "erf": _primitive(erf),
    "erfc": _primitive(erfc),
    "exp": _primitive(exp),
    "exp2": _primitive(exp2),
    "expm1": _primitive(expm1),
    "integer_pow": integer_power,
    "log": _primitive(log),
    "log1p": _primitive(log1p),
    "logistic": _primitive(logistic),
    "pow": _primitive(power),
    "rem": _primitive(remainder),
    "rsqrt": _primitive(rsqrt),
    "sin": _primitive(sin),
    "sinh": _primitive(sinh),
    "square": lambda x, **_: integer_power(x, 2),
    "tan": _primitive(tan),
    "tanh": _primitive(tanh),
}
"""JAX's primitives, by name, of the same arguments and parameters."""
