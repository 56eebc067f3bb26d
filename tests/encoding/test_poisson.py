"""Values to spikes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax.encoding import Poisson

VALUES = jnp.array([[0.0, 0.1, 0.5], [0.9, 1.0, 0.3]])


def start(key):
    return Poisson().init_state(VALUES.shape, key=key)


def same(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool(jnp.all(x == y)), a, b)))


def test_rate_is_the_value(key):
    steps = 4000
    _, spikes = sx.run(Poisson(), VALUES, start(key), steps=steps)
    assert set(np.unique(spikes)) == {0, 1}
    sigma = np.sqrt(VALUES * (1 - VALUES) / steps)
    assert np.all(abs(spikes.mean(0) - VALUES) <= 5 * sigma)


def test_steps_and_neurons_are_independent(key):
    steps = 4000
    _, spikes = sx.run(Poisson(), jnp.full((1, 4), 0.5), start(key), steps=steps)
    signs = 2 * np.asarray(spikes[:, 0]) - 1
    signs = np.concatenate((signs[1:], signs[:-1]), 1)
    correlations = signs.T @ signs / len(signs) - np.eye(8)
    assert np.all(abs(correlations) < 5 / np.sqrt(steps))


def test_zero_never_fires_and_one_always(key):
    _, spikes = sx.run(Poisson(), jnp.array([[0.0, 1.0]]).repeat(1000, 1), start(key), steps=100)
    np.testing.assert_array_equal(spikes, jnp.array([0.0, 1.0]).repeat(1000) * jnp.ones((100, 1, 1)))


def test_a_key_gives_the_same_spikes_every_time(key):
    state = start(key)
    xs = jnp.broadcast_to(VALUES, (13, 2, 3))
    last, want = sx.run(Poisson(), xs, state)
    for how in ({"chunk": 1}, {"chunk": 3, "remat": True}):
        again, spikes = sx.run(Poisson(), xs, state, **how)
        np.testing.assert_array_equal(spikes, want)
        assert same(again, last)
    _, static = sx.run(Poisson(), VALUES, state, steps=13, chunk=4)
    np.testing.assert_array_equal(static, want)
    for t in range(3):
        state, spikes = Poisson().step(state, VALUES)
        np.testing.assert_array_equal(spikes, want[t])


def test_other_keys_and_later_runs_give_other_spikes(key):
    xs = jnp.full((20, 1, 50), 0.5)
    state, first = sx.run(Poisson(), xs, start(key))
    _, later = sx.run(Poisson(), xs, state)
    _, other = sx.run(Poisson(), xs, start(jax.random.key(1)))
    assert not np.array_equal(first, later)
    assert not np.array_equal(first, other)


def test_two_encoders_of_a_network_draw_apart(key):
    net = sx.nn.Sequential(Poisson(), lambda x: 0 * x + 0.5, Poisson())
    state = net.init_state((1, 100), key=key)
    _, (ys, kept) = sx.run(net, jnp.full((5, 1, 100), 0.5), state, record=["0.spikes"])
    assert not np.array_equal(ys, kept["0.spikes"])


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_spikes_have_the_dtype_of_the_input(key, dtype):
    # 0.001 is below the resolution of uniform numbers drawn in half precision.
    _, spikes = sx.run(Poisson(), jnp.full((1, 2000), 0.001, dtype), start(key), steps=100)
    assert spikes.dtype == dtype
    assert abs(float(spikes.astype(jnp.float32).mean()) - 0.001) < 5 * np.sqrt(0.001 / 200_000)


def test_spikes_have_no_gradient(key):
    grad = jax.grad(lambda x: sx.run(Poisson(), x, start(key), steps=5)[1].sum())(VALUES)
    np.testing.assert_array_equal(grad, 0)


def test_without_a_key_the_error_says_how_to_give_one():
    for run in (
        lambda: Poisson().init_state((2, 3)),
        lambda: sx.run(Poisson(), VALUES, steps=3),
        lambda: sx.nn.Sequential(Poisson(), sx.IF()).init_state((2, 3)),
    ):
        with pytest.raises(ValueError, match=r"`key` must be given.*net.init_state\(shape, key=jax.random.key\(0\)\)"):
            run()


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_values_outside_0_1_are_refused(key, bad):
    state = start(key)
    with pytest.raises(ValueError, match=r"`x` must be (within \[0, 1\]|finite), got"):
        Poisson().step(state, VALUES.at[0, 0].set(bad))
    with pytest.raises(ValueError, match=r"`x` must be (within \[0, 1\]|finite), got"):
        sx.run(Poisson(), VALUES.at[0, 0].set(bad), state, steps=3)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32, jnp.bool_])
def test_integers_are_refused(key, dtype):
    with pytest.raises(TypeError, match=r"`x` must be floating point within \[0, 1\], got .*: scale it"):
        sx.run(Poisson(), VALUES.astype(dtype), start(key), steps=3)
