"""Loihi's integer arithmetic, against integers of 64 bits."""

import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.export.netx import fixed

VALUES = np.concatenate(
    (np.arange(-70, 71), np.random.default_rng(0).integers(-(2**23) + 1, 2**23, 2000), [1 - 2**23, 2**23 - 1])
)


@pytest.mark.parametrize("decay", [0, 1, 7, 1024, 2049, 4095, 4096])
def test_a_decay_rounds_towards_zero(decay):
    got = fixed.decayed(jnp.asarray(VALUES, jnp.float32), jnp.float32(decay))
    np.testing.assert_array_equal(got, np.sign(VALUES) * (abs(VALUES) * (4096 - decay) >> 12))


def test_a_current_wraps_around():
    sums = np.random.default_rng(1).integers(-(2**17), 2**17, VALUES.size)
    got = fixed.add_wrapping(jnp.asarray(VALUES, jnp.float32), jnp.asarray(sums, jnp.float32))
    np.testing.assert_array_equal(got, (VALUES + 64 * sums + 2**23) % 2**24 - 2**23)


def test_a_membrane_is_clamped():
    values = jnp.array([-(2.0**24), 2.0**24, 5.0])
    np.testing.assert_array_equal(fixed.clamp(values), [1 - 2**23, 2**23 - 1, 5])


def test_weights_are_even_and_within_9_bits():
    weights = jnp.array([-2.0, -1.0, -0.011, 0.0, 0.025, 0.999, 2.0])
    np.testing.assert_array_equal(fixed.quantize_weights(weights, 128.0), [-256, -128, -2, 0, 4, 128, 254])
