"""The functions of float32 in plain operations, against float64.

Their programs are computed operation by operation, as float32 of NumPy, and as machine code, which may join a product
and a sum where the function lets it.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal
from tests.kernels.machine import by_machine_code

from spikejax.kernels.elementwise import floor_by_integers, integer_power, round_by_integers
from spikejax.kernels.llvm.functions import FUNCTIONS

COUNT = 20_000
TINY, MOST = 2.0**-126, float(np.finfo(np.float32).max)
CALLS = {"jit", "pjit"}
WITH_PARAMS = {"bitcast_convert_type", "broadcast_in_dim", "convert_element_type"}
PRIMITIVES: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "and": np.bitwise_and,
    "bitcast_convert_type": lambda a, new_dtype: a.view(new_dtype),
    "broadcast_in_dim": lambda a, shape, **_: np.broadcast_to(a, shape),
    "clamp": lambda low, a, high: np.minimum(np.maximum(low, a), high),
    "convert_element_type": lambda a, new_dtype, **_: a.astype(new_dtype),
    "div": np.divide,
    "eq": np.equal,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "select_n": lambda which, no, yes: np.where(which, yes, no),
    "shift_left": np.left_shift,
    "shift_right_arithmetic": np.right_shift,
    "sqrt": np.sqrt,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}
"""All that a function may be made of."""


def equations_of(program: ClosedJaxpr) -> Iterator[JaxprEqn]:
    for equation in program.jaxpr.eqns:
        if equation.primitive.name in CALLS:
            yield from equations_of(equation.params["jaxpr"])
        else:
            yield equation


def evaluate(program: ClosedJaxpr, *args: np.ndarray) -> list[np.ndarray]:
    values = dict(zip((*program.jaxpr.constvars, *program.jaxpr.invars), (*program.consts, *args), strict=True))

    def read(a: Any) -> np.ndarray:
        dtype = a.aval.dtype
        return np.asarray(a.val, dtype) if isinstance(a, Literal) else values[a]

    for equation in program.jaxpr.eqns:
        name, ins = equation.primitive.name, [read(a) for a in equation.invars]
        if name in CALLS:
            outs = evaluate(equation.params["jaxpr"], *ins)
        else:
            outs = [PRIMITIVES[name](*ins, **equation.params if name in WITH_PARAMS else {})]
        values.update(zip(equation.outvars, outs, strict=True))
    return [read(a) for a in program.jaxpr.outvars]


def traced(name: str, *args: Any, **params: Any) -> ClosedJaxpr:
    return jax.make_jaxpr(lambda *args: FUNCTIONS[name](*args, accuracy=None, **params))(*args)


def computed(name: str, *args: np.ndarray, **params: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        (found,) = evaluate(traced(name, *args, **params), *args)
    assert found.dtype == np.float32
    return found


def as_machine_code(name: str, *args: np.ndarray) -> np.ndarray:
    primitive = getattr(jax.lax, name)
    return by_machine_code(primitive, *args)


def expected(reference: Callable[..., np.ndarray], *args: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        want = reference(*(a.astype(np.float64) for a in args))
    return np.where(abs(want) > MOST, np.copysign(np.inf, want), want)


def ulps(found: np.ndarray, want: np.ndarray) -> np.ndarray:
    """How far apart they are; numbers below 2^-126 are 0, and 0 and infinity are like nothing but themselves."""
    found, want = (np.where(abs(a) < TINY, np.copysign(0, a), a) for a in (found.astype(np.float64), want))
    plain = np.isfinite(want) & (want != 0)
    unit = 2.0 ** (np.floor(np.log2(abs(np.where(plain, want, 1)))) - 23)
    same = (found == want) & (np.signbit(found) == np.signbit(want)) | np.isnan(found) & np.isnan(want)
    with np.errstate(invalid="ignore"):
        apart = np.where(plain, abs(found - want) / unit, np.inf)
    return np.where(same, 0, np.where(np.isnan(apart), np.inf, apart))


def on(*ranges: tuple[float, float]) -> np.ndarray:
    """Evenly over ranges."""
    return np.concatenate([np.linspace(*ends, COUNT) for ends in ranges]).astype(np.float32)


def sizes(least: float, most: float, signs: tuple[int, ...] = (1, -1)) -> np.ndarray:
    """Evenly over orders of magnitude."""
    return np.concatenate([sign * np.geomspace(least, most, COUNT) for sign in signs]).astype(np.float32)


def drawn(seed: int, least: float, most: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.choice([1, -1], COUNT) * np.exp(rng.uniform(*np.log([least, most]), COUNT))).astype(np.float32)


class Case(NamedTuple):
    name: str
    bound: float
    reference: Callable[..., np.ndarray]
    args: tuple[np.ndarray, ...]


BASES = np.concatenate([abs(drawn(0, 1e-30, 1e30)), on((0.9, 1.1))])
BASES = BASES[BASES != 1]
EXPONENTS = np.random.default_rng(1).uniform(-69, 69, BASES.size) / np.log(BASES.astype(np.float64))
SMALL = sizes(1.2e-38, 1)
TURNS = np.concatenate([on((-1e4, 1e4), (-7, 7)), np.float32(np.pi / 2 * np.arange(-6366, 6367)), SMALL])

TABLE = [
    Case("atan", 2, np.arctan, (np.concatenate([on((-10, 10)), sizes(1.2e-38, 3e38)]),)),
    Case("atan2", 2, np.arctan2, (drawn(4, 1e-10, 1e10), drawn(5, 1e-10, 1e10))),
    Case("cbrt", 3.6, np.cbrt, (np.concatenate([on((-10, 10)), sizes(1.2e-38, 3e38)]),)),
    Case("cos", 3, np.cos, (TURNS,)),
    Case("cosh", 1.8, np.cosh, (np.concatenate([on((-89.5, 89.5), (-2, 2)), SMALL]),)),
    Case("erf", 1.7, np.vectorize(math.erf), (np.concatenate([on((-5, 5)), SMALL]),)),
    Case("erfc", 3.9, np.vectorize(math.erfc), (np.concatenate([on((-5, 9.15)), SMALL]),)),
    Case("exp", 3.1, np.exp, (np.concatenate([on((-87.3, 89), (88, 89), (-1, 1)), SMALL]),)),
    Case("exp2", 4, np.exp2, (np.concatenate([on((-126, 129), (127, 128), (-1, 1)), SMALL]),)),
    Case("expm1", 3.4, np.expm1, (np.concatenate([on((-104, 89), (-1, 1)), SMALL]),)),
    Case("log", 0.9, np.log, (np.concatenate([on((0.5, 2)), sizes(1.2e-38, 3e38, (1,))]),)),
    Case("log1p", 1.5, np.log1p, (np.concatenate([on((-0.9999, 3)), sizes(1, 3e38, (1,)), SMALL]),)),
    Case("logistic", 2.5, lambda x: 1 / (1 + np.exp(-x)), (np.concatenate([on((-87.3, 120), (-1, 1)), SMALL]),)),
    Case("pow", 4, np.power, (BASES, np.clip(EXPONENTS, -1e9, 1e9).astype(np.float32))),
    Case("pow", 4, np.power, (drawn(6, 0.1, 10), np.arange(COUNT, dtype=np.int32) % 41 - 20)),
    Case("rsqrt", 1.5, lambda x: 1 / np.sqrt(x), (sizes(1.2e-38, 3e38, (1,)),)),
    Case("sin", 3, np.sin, (TURNS,)),
    Case("sinh", 2, np.sinh, (np.concatenate([on((-89.5, 89.5), (-2, 2)), SMALL]),)),
    Case("tan", 3.4, np.tan, (TURNS,)),
    Case("tanh", 3.7, np.tanh, (np.concatenate([on((-12, 12), (-1, 1)), SMALL]),)),
]
IDS = [f"{case.name}-{case.args[-1].dtype}" for case in TABLE]
ENDS = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, -2, 0.5, -0.5, 2.5, 3, -3, 89.5, -104, 128], np.float32)


def test_every_function_has_a_case():
    assert {case.name for case in TABLE} == set(FUNCTIONS)


@pytest.mark.parametrize("compute", [computed, as_machine_code])
@pytest.mark.parametrize("case", TABLE, ids=IDS)
def test_a_function_is_exact(case: Case, compute):
    apart = ulps(compute(case.name, *case.args), expected(case.reference, *case.args))
    worst = apart.argmax()
    assert apart[worst] <= case.bound, [a[worst] for a in case.args]


@pytest.mark.parametrize("compute", [computed, as_machine_code])
@pytest.mark.parametrize("case", TABLE, ids=IDS)
def test_a_function_is_right_at_its_ends(case: Case, compute):
    at = [a.ravel() for a in np.meshgrid(*[ENDS] * len(case.args))]
    if case.args[-1].dtype == np.int32:
        at[1] = np.where(np.isfinite(at[1]), at[1], 7).astype(np.int32)
    apart = ulps(compute(case.name, *at), expected(case.reference, *at))
    assert not [(*(a[i] for a in at), apart[i]) for i in np.flatnonzero(apart > max(case.bound, 0.5))]


@pytest.mark.parametrize("y", [-7, -2, -1, 0, 1, 2, 3, 10, 23])
def test_integer_powers(y):
    x = drawn(7, 0.1, 10)
    with np.errstate(all="ignore"):
        apart = ulps(evaluate(jax.make_jaxpr(partial(integer_power, y=y))(x), x)[0], x.astype(np.float64) ** y)
    assert apart.max() <= max(abs(y), 1)


def test_roundings_that_gpus_lack():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    x = jnp.concatenate((jnp.arange(-6, 6, 0.25), jnp.array([below, -below]), sizes(1e-3, 2.0**31)))
    np.testing.assert_array_equal(floor_by_integers(x), jnp.floor(x))
    for method in lax.RoundingMethod:
        np.testing.assert_array_equal(round_by_integers(x, method), lax.round(x, method))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sines_of_huge_angles_are_finite(name):
    assert abs(computed(name, sizes(1e4, MOST))).max() <= 1


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_made_of_plain_operations(name):
    x = np.ones(3, np.float32)
    program = traced(name, *[x] * (2 if name in ("atan2", "pow") else 1))
    equations: list[Any] = list(equations_of(program))
    assert {equation.primitive.name for equation in equations} <= set(PRIMITIVES)
    assert {a.aval.dtype.name for equation in equations for a in equation.outvars} <= {"float32", "int32", "bool"}
