"""Elementary functions of float32 in the operations that every vector unit has.

Each is straight-line code in sums, products, quotients, comparisons, choices and the bits of a number: no table, no
loop. The docstrings give the largest error seen against float64, in units in the last place (ulp) of the result. At 0,
-0, ±∞ and NaN the results are those of NumPy. Arguments and results below 2^-126 may count as 0.

The functions need a compiler that keeps the order of operations. XLA does not: it computes a for (a + c) - c.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from spikejax.kernels.llvm.reductions import (
    INF,
    LN2,
    NAN,
    TINY,
    bits_of,
    exp_of,
    float_of,
    high_part,
    log2_parts,
    log_at_ends,
    log_of_normal,
    nearest,
    negate_where,
    polynomial,
    quarter_turns,
    reduced_expm1,
    sin_cos,
    two_to,
    with_sign_of,
    without_ln2,
)
from spikejax.typing import Array


def exp(x: Array) -> Array:
    """e^x, within 1.5 ulp below e^88, 3.1 ulp above; 0 below e^-87.7."""
    return exp_of(*without_ln2(x))


def exp2(x: Array) -> Array:
    """2^x, within 3.5 ulp; 0 below 2^-126.5."""
    x = jnp.maximum(x, -127)
    k, n = nearest(jnp.minimum(x, 127))
    return exp_of((x - k) * sum(LN2), n)


def expm1(x: Array) -> Array:
    """e^x - 1, within 3.4 ulp."""
    return jnp.where(x == 0, x, _expm1(x))


def logistic(x: Array) -> Array:
    """1 / (1 + e^-x), within 2.5 ulp; 0 below e^-88.7."""
    return 1 / (1 + exp(-x))


def sinh(x: Array) -> Array:
    """(e^x - e^-x) / 2, and x + x³ S(x²) below 1, within 2 ulp."""
    a = abs(x)
    quarter = _quarter_of_exp(a)
    z = a * a
    small = a + a * z * polynomial(z, 0.16666716, 0.00833028372, 0.000203721942)
    return with_sign_of(x, jnp.where(a < 1, small, 2 * quarter - 0.125 / quarter))


def cosh(x: Array) -> Array:
    """(e^x + e^-x) / 2, within 1.8 ulp."""
    quarter = _quarter_of_exp(abs(x))
    return 2 * quarter + 0.125 / quarter


def tanh(x: Array) -> Array:
    """The quotient u / (2 + u), u = e^(2 |x|) - 1, with the sign of x, within 3.7 ulp."""
    u = _expm1(jnp.minimum(2 * abs(x), 40))
    return with_sign_of(x, u / (2 + u))


def log(x: Array) -> Array:
    """The natural logarithm of x, within 0.9 ulp."""
    return log_at_ends(x, log_of_normal(x))


def log1p(x: Array) -> Array:
    """ln(1 + x) = ln u + (x - (u - 1)) / u, where u is 1 + x rounded, within 1.5 ulp."""
    u = 1 + x
    return jnp.where(x == 0, x, log_at_ends(u, log_of_normal(u) + (x - (u - 1)) / u))


def power(x: Array, y: Array) -> Array:
    """x^y = 2^(y log2 x), logarithm and product in two parts; within 4 ulp from 1e-30 to 1e30, 5.5 beyond."""
    y, a = y.astype(x.dtype), abs(x)
    high, low = log2_parts(a)
    times = lax.clamp(-(2.0**40), y, 2.0**40)  # keeps the products finite
    y_high = high_part(times)
    rest = (times - y_high) * high + times * low
    product, rest = lax.clamp(-127.2, y_high * high, 130.0), lax.clamp(-0.25, rest, 0.25)
    k, n = nearest(jnp.minimum(product + rest, 127))
    normal = (a >= TINY) & (a < INF) | (y != y)
    size = jnp.where(normal, exp_of(((product - k) + rest) * sum(LN2), n), jnp.where(y < 0, 1 / a, a))
    whole, half = jnp.floor(y) == y, 0.5 * y
    odd = whole & (jnp.floor(half) != half)
    signed = jnp.where(odd & (bits_of(x) < 0), -size, size)
    defined = jnp.where((x < 0) & (a < INF) & ~whole, NAN, signed)
    return jnp.where((x == 1) | (y == 0), 1.0, defined)


def cbrt(x: Array) -> Array:
    """∛x = |x| w², where w approaches |x|^(-1/3) twice by w ← w (1 + e/3 + 2e²/9), e = 1 - |x| w³; within 3.6 ulp."""
    a = abs(x)
    w = float_of(0x54A2FA8C - (bits_of(a).astype(x.dtype) * (1 / 3)).astype(jnp.int32))
    for _ in range(2):
        e = 1 - a * w * w * w
        w = w + w * e * (1 / 3 + 2 / 9 * e)
    return jnp.where(a >= TINY, with_sign_of(x, a * w * w), x)


def sin(x: Array) -> Array:
    """The sine of x, within 3 ulp up to 1e4; beyond, the result is only finite."""
    return _sine(x, 0)


def cos(x: Array) -> Array:
    """The cosine of x = sin(x + π/2), within 3 ulp up to 1e4; beyond, the result is only finite."""
    return _sine(x, 1)


def tan(x: Array) -> Array:
    """The tangent of x = ±(r + r³ T(r²)) or ∓1 over that, within 3.4 ulp up to 1e4; meaningless beyond."""
    r, quarters = quarter_turns(x)
    z = r * r
    t = polynomial(z, 0.333331555, 0.133388326, 0.0534086451, 0.0244393013, 0.00310543925, 0.00939390901)
    t = r + r * z * t
    return jnp.where(quarters & 1 != 0, -1 / t, t)


def atan(x: Array) -> Array:
    """The angle of (1, x), within 2 ulp."""
    a = abs(x)
    return with_sign_of(x, _angle(jnp.minimum(a, 1) / jnp.maximum(a, 1), a > 1))


def atan2(y: Array, x: Array) -> Array:
    """The angle of (x, y), within 2 ulp."""
    a, b = abs(x), abs(y)
    low, high = jnp.minimum(a, b), jnp.maximum(jnp.maximum(a, b), TINY)
    angle = _angle(jnp.where(low == high, 1.0, low / high), b > a)
    return with_sign_of(y, jnp.where(bits_of(x) < 0, jnp.pi - angle, angle))


def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^(-t²) dt = x + x S(x²) below 1.1, and 1 - 1 / L(x - 1)⁸ above, within 1.7 ulp, 1e-7."""
    a = abs(x)
    s = (0.128379166, -0.376126111, 0.112833641, -0.026843518, 0.00516773108, -0.000782473944, 7.23606863e-05)
    root = (1.26011133, 0.415692359, 0.201202825, 0.0585721955, 0.0138436258, 0.00601562252, -0.000615607307)
    root = polynomial(a - 1, *root, 0.000622654508)
    square = root * root
    fourth = square * square
    return with_sign_of(x, jnp.where(a < 1.1, a + a * polynomial(a * a, *s), 1 - 1 / (fourth * fourth)))


def erfc(x: Array) -> Array:
    """1 - erf x; for x = a ≥ 0, e^(-a²) G(t) / (1 + 2a), t = a / (a + 2); within 3.9 ulp.

    Source: Shepherd and Laframboise, "Chebyshev Approximation of (1 + 2x) exp(x²) erfc x", 1981, the form.
    """
    a = jnp.minimum(abs(x), 10.1)
    high = high_part(a)
    r, n = without_ln2(-high * high, (high - a) * (high + a))
    t = a / (a + 2)
    g = (1.0, 1.74324167, -3.28376293, 1.67026794, 0.54640311)
    g = polynomial(t, *g, -0.453388453, -0.0663621575, -0.442718744, 0.62406677, -0.209469587)
    tail = (g + g * reduced_expm1(r)) / (1 + 2 * a) * two_to(n)
    return jnp.where(x < 0, 2 - tail, tail)


def rsqrt(x: Array) -> Array:
    """1 / √x, within 1.5 ulp."""
    return 1 / jnp.sqrt(x)


def _expm1(x: Array) -> Array:
    """e^x - 1, without the sign of a zero."""
    r, n = without_ln2(x)
    scale = two_to(n)
    return reduced_expm1(r) * scale + (scale - 1)


def _quarter_of_exp(a: Array) -> Array:
    """e^a / 4 for a ≥ 0, finite for all a whose cosh is finite."""
    r, n = without_ln2(a, most=129)
    return exp_of(r, n - 2)


def _sine(x: Array, ahead: int) -> Array:
    """The sine of x + π/2 ahead."""
    r, n = quarter_turns(x)
    s, c = sin_cos(r)
    n = n + ahead if ahead else n
    return negate_where(jnp.where(n & 1 != 0, c, s), n << 30)


def _angle(q: Array, steep: Array) -> Array:
    """The angle of (1, q) = q + q³ A(q²) for q from 0 to 1, or of (q, 1) if `steep`."""
    z = q * q
    a = (-0.333331527, 0.199937728, -0.142110553, 0.106660046)
    angle = q + q * z * polynomial(z, *a, -0.0755221415, 0.0432118589, -0.0163679267, 0.00292069188)
    return jnp.where(steep, 0.5 * jnp.pi - angle, angle)


def _primitive(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function, which ignores the parameters of its primitive."""
    return lambda *args, **_: function(*args)


NAMED_AS_PRIMITIVES = (
    atan,
    atan2,
    cbrt,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    logistic,
    rsqrt,
    sin,
    sinh,
    tan,
    tanh,
)

FUNCTIONS: dict[str, Callable[..., Array]] = {
    **{function.__name__: _primitive(function) for function in NAMED_AS_PRIMITIVES},
    "pow": _primitive(power),
}
"""Primitives of JAX, by name, as functions of the same arguments and parameters."""

EXACT_PRODUCTS = ("erfc", "pow")
"""Functions that rely on the rounding of each product; in all others a product and a sum may be one operation."""
