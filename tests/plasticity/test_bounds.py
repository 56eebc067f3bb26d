"""Soft and hard bounds, and weights of a fixed sum."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spikejax.plasticity import SoftBound, keep_within, normalize


def test_a_soft_bound():
    weight = jnp.array([-0.5, 0.0, 0.36, 1.0, 1.5])
    np.testing.assert_allclose(SoftBound(1.0, 0.5)(weight), [0.75, 0.5, 0.32, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(SoftBound(0.0, 0.5, upper=False)(weight), [0, 0, 0.18, 0.5, 0.75], rtol=1e-6)
    np.testing.assert_allclose(SoftBound(1.0, 2.0, exponent=0.5)(weight)[2], 1.6, rtol=1e-6)
    np.testing.assert_array_equal(SoftBound(1.0, 2.0, exponent=0.0)(weight), [2, 2, 2, 0, 0])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_its_gradient_is_finite_at_the_bound(exponent):
    bound = SoftBound(jnp.array(1.0), jnp.array(0.5), jnp.array(exponent))
    grads = jax.grad(lambda bound, weight: bound(weight).sum(), (0, 1))(bound, jnp.array([0.5, 1.0, 1.5]))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert grads[0].amplitude > 0


def test_hard_bounds():
    params = {"a": jnp.array([0.1, 0.5, 0.9]), "b": jnp.array(0.0)}
    grads = {"a": jnp.array([1.0, -0.2, -3.0]), "b": jnp.array(0.3)}
    optimizer = optax.chain(optax.sgd(1.0), keep_within(0.0, 1.0))
    updates, _ = jax.jit(optimizer.update)(grads, optimizer.init(params), params)
    new = optax.apply_updates(params, updates)
    np.testing.assert_allclose(new["a"], [0, 0.7, 1], rtol=1e-6)
    assert new["b"] == 0


@pytest.mark.parametrize("shape", [(5, 3), (3, 3, 2, 4)])
def test_weights_of_a_fixed_sum(shape):
    weight = jax.random.normal(jax.random.key(0), shape).at[..., 0].set(0)
    optimizer = optax.chain(optax.sgd(0.1), normalize(7.0))
    updates, _ = optimizer.update(jnp.ones(shape).at[..., 0].set(0), optimizer.init(weight), weight)
    new = optax.apply_updates(weight, updates)
    sums = np.abs(new).sum(tuple(range(len(shape) - 1)))
    np.testing.assert_allclose(sums, [0] + [7] * (shape[-1] - 1), rtol=1e-5)
    moved = (weight - 0.1)[..., 1]
    np.testing.assert_allclose(new[..., 1], moved * 7 / np.abs(moved).sum(), rtol=1e-4, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match=r"`exponent` must be >= 0, got -1.0"):
        SoftBound(exponent=-1.0)
    with pytest.raises(ValueError, match=r"`low` must be below `high`, got 1.0 and 0.0"):
        keep_within(1.0, 0.0)
    with pytest.raises(ValueError, match=r"`total` must be > 0, got 0.0"):
        normalize(0.0)
    with pytest.raises(ValueError, match=r"`params` must be given to the update of keep_within"):
        keep_within(0.0, 1.0).update(jnp.ones(2), optax.EmptyState())
