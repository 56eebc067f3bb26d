import jax
import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.checks import (
    check_elements,
    check_integer,
    check_key,
    check_number,
    check_option,
    check_tau,
    check_type,
)

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "message"),
    [
        ({}, -1.5, NAN, "`x` must be finite, got nan"),
        ({"gt": 0}, 1e-9, 0.0, r"`x` must be > 0, got 0\.0"),
        ({"ge": 0}, 0, -1, "`x` must be >= 0, got -1"),
        ({"lt": 1}, -3.0, 1.0, r"`x` must be < 1, got 1\.0"),
        ({"le": 1}, 1.0, 1.5, r"`x` must be <= 1, got 1\.5"),
        ({"ge": 0, "lt": 1}, 0.0, 1.0, r"`x` must be within \[0, 1\), got 1\.0"),
        ({"gt": 0, "le": 1}, 1.0, 0.0, r"`x` must be within \(0, 1\], got 0\.0"),
        ({"gt": 0}, 1.0, INF, "`x` must be finite, got inf"),
        ({"gt": 0, "finite": False}, INF, NAN, "`x` must be > 0, got nan"),
        ({"ge": 1, "whole": True}, 2.0, 2.5, r"`x` must be an integer >= 1, got 2\.5"),
        ({"gt": 0, "remedy": "it is a rate"}, 1.0, -1.0, r"`x` must be > 0, got -1\.0: it is a rate"),
    ],
)
def test_numbers(bounds, good, bad, message):
    check_number("x", good, **bounds)
    check_number("x", np.full((2, 3), good), **bounds)
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_number("x", bad, **bounds)
    with pytest.raises(ValueError, match="got values from"):
        check_number("x", np.array([good, bad]), **bounds)
    jax.jit(lambda x: check_number("x", x, **bounds))(bad)  # a tracer passes


@pytest.mark.parametrize("value", ["1.0", (1.0, 2.0), [1.0], None, 1j])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match=r"`x` must be a number or an array, got .*: use jnp.array"):
        check_number("x", value)


def test_elements():
    check_elements("low", 0.0, lambda low: low < 1.0, "< high")
    with pytest.raises(ValueError, match=r"^`low` must be < high, got 2\.0: swap them$"):
        check_elements("low", 2.0, lambda low: low < 1.0, "< high", "swap them")
    with pytest.raises(ValueError, match=r"`low` of shape \(2,\) must be < high, but their shapes differ"):
        check_elements("low", np.zeros(2), lambda low: low < np.zeros(3), "< high")


def test_time_constants():
    check_tau("tau", INF, gt=1)
    check_tau("tau", 1.0, ge=1)
    with pytest.raises(ValueError, match=r"^`tau` must be > 1, got 1\.0: it is a time constant, in steps$"):
        check_tau("tau", jnp.float32(1.0).item(), gt=1)


@pytest.mark.parametrize("value", [0, 4, 2.0, True, "2", None, jnp.array(2)])
def test_integers(value):
    check_integer("n", np.int64(2), le=3)
    check_integer("n", 3, le=3)
    check_integer("n", 0, ge=0)
    with pytest.raises(ValueError, match=r"^`n` must be an integer from 1 to 3, got .*: why$"):
        check_integer("n", value, le=3, remedy="why")


def test_options():
    check_option("mode", None, (None, "a"))
    with pytest.raises(ValueError, match=r"^`mode` must be one of None, 'a', got 'b'$"):
        check_option("mode", "b", (None, "a"))


@pytest.mark.parametrize("value", [int, "3", None])
def test_types(value):
    check_type("n", 3, int, "a whole number")
    with pytest.raises(TypeError, match=r"^`n` must be a whole number, got"):
        check_type("n", value, int, "a whole number")


def test_long_values_are_shortened():
    with pytest.raises(TypeError) as error:
        check_type("n", "x" * 1000, int, "a whole number")
    assert len(str(error.value)) < 120


@pytest.mark.parametrize("key", [0, jnp.zeros(2, jnp.uint32), None])
def test_keys(key):
    check_key(jax.random.key(0))
    jax.jit(check_key)(jax.random.key(0))
    with pytest.raises(TypeError, match=r"`key` must be a jax\.random\.key, such as jax\.random\.key\(0\), got"):
        check_key(key)
