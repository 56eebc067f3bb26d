"""Neurons that compete."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import Sequential, WinnerTakeAll

XS = jax.random.uniform(jax.random.key(0), (12, 3, 5))


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_by_a_loop(v_reset):
    threshold = np.linspace(0.8, 1.2, 5)
    net = WinnerTakeAll(sx.LIF(tau=4.0, decay_input=False, v_threshold=jnp.array(threshold), v_reset=v_reset))
    v, want = np.zeros((3, 5)), []
    for x in np.asarray(XS):
        h = v + x - v / 4
        above = h - threshold
        spikes = (above >= 0) & (above == above.max(-1, keepdims=True))
        fired = spikes.any(-1, keepdims=True)
        v = np.where(fired, 0.0 if v_reset is not None else h - threshold, h)
        want.append(spikes)
    state, ys = sx.run(net, XS)
    np.testing.assert_array_equal(ys, want)
    np.testing.assert_allclose(state.v, v, rtol=1e-5, atol=1e-6)
    assert np.sum(want) > 10
    _, (_, kept) = sx.run(Sequential(net), XS, chunk=5, record="membrane")
    np.testing.assert_allclose(kept["0.membrane"][-1], v, rtol=1e-5, atol=1e-6)


def test_at_most_one_fires_where_two_are_equal():
    _, ys = sx.run(WinnerTakeAll(sx.IF()), jnp.full((3, 1, 4), 1.5))
    np.testing.assert_array_equal(ys[:, 0], [[1, 0, 0, 0]] * 3)


def test_its_parameters_are_trained():
    net = Sequential(nnx.Linear(5, 4, rngs=nnx.Rngs(0)), WinnerTakeAll(sx.LIF(v_threshold=jnp.full(4, 0.1))))
    grads = nnx.grad(lambda net: sx.run(net, XS)[1].sum())(net)
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))


def test_errors():
    with pytest.raises(TypeError, match=r"`cell` must be a spiking neuron such as sx.LIF\(\), got LeakyIntegrator"):
        WinnerTakeAll(sx.LeakyIntegrator())
