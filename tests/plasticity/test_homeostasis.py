"""Rules that keep a firing rate, and synapses that tire."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.nn.linear_layers import activity, make, spikes

import spikejax as sx
from spikejax.plasticity import SynapticScaling, ThresholdHomeostasis, TsodyksMarkram, learn


@pytest.mark.parametrize("synapse", ["dense", "conv2d"])
def test_the_rate_by_a_loop(synapse):
    layer, shape = make(synapse)
    pre, post = activity(layer, shape, steps=6)
    scaling, threshold = SynapticScaling(0.3, 4.0), ThresholdHomeostasis(0.3, 4.0)
    rate, error = np.full(post.shape[-1], 0.3), 0.0
    for now in np.asarray(post):
        rate += (now.reshape(-1, post.shape[-1]).mean(0) - rate) / 4
        error = error + 0.3 - rate
    state, change = scaling.steps(scaling.init_state(layer, pre.shape[1:]), layer, pre, post)
    np.testing.assert_allclose(state.rate, rate, rtol=1e-5)
    np.testing.assert_allclose(change, layer.kernel[...] * error, rtol=1e-4)
    state, change = threshold.steps(threshold.init_state(None, post.shape[1:]), None, pre, post)
    np.testing.assert_allclose(change, -error, rtol=1e-4)
    half, first = threshold.steps(threshold.init_state(None, post.shape[1:]), None, pre[:2], post[:2])
    for x, y in zip(pre[2:], post[2:], strict=True):
        half, more = threshold.step(half, None, x, y)
        first += more
    np.testing.assert_allclose(first, change, rtol=1e-4)


@pytest.mark.parametrize(("name", "rule"), [("0", SynapticScaling(0.2, 50.0)), ("1", ThresholdHomeostasis(0.2, 50.0))])
def test_they_bring_the_rate_to_the_target(name, rule):
    kernel = nnx.initializers.uniform(0.3)
    net = sx.nn.Sequential(
        nnx.Linear(20, 5, kernel_init=kernel, rngs=nnx.Rngs(0)), sx.LIF(v_threshold=jnp.linspace(0.1, 3.0, 5))
    )
    optimizer = optax.sgd(0.02)

    @jax.jit
    def train(params, opt_state, xs):
        learned = learn(nnx.merge(nnx.graphdef(net), params), {name: rule}, xs)
        updates, opt_state = optimizer.update(learned.updates, opt_state)
        return optax.apply_updates(params, updates), opt_state, learned.ys.mean((0, 1))

    params = nnx.state(net)
    opt_state, xs = optimizer.init(params), spikes(0, 20, 8, 20)
    _, _, before = train(params, opt_state, xs)
    rates = before
    for _ in range(150):
        params, opt_state, rates = train(params, opt_state, xs)
    assert np.ptp(before) > 0.3
    np.testing.assert_allclose(rates, 0.2, atol=0.05)


def test_short_term_plasticity_by_a_loop():
    share = jnp.array([0.5, 0.1])
    cell = TsodyksMarkram(share, tau_facilitation=20.0, tau_depression=jnp.array([100.0, 5.0]))
    xs = np.asarray(spikes(1, 30, 3, 2))
    u, r, want = np.zeros((3, 2)), np.ones((3, 2)), []
    for s in xs:
        u, r = u * np.exp(-1 / 20), 1 - (1 - r) * np.exp([-1 / 100, -1 / 5])
        u += np.asarray(share) * (1 - u) * s
        want.append(u * r * s)
        r = r - want[-1]
    for chunk in (1, 7, 30):
        state, ys = sx.run(sx.nn.Sequential(cell), xs, chunk=chunk)
        np.testing.assert_allclose(ys, want, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(state[0].r, r, rtol=1e-4)


def test_depression_and_facilitation():
    regular = jnp.ones((12, 1, 1))
    _, tires = sx.run(TsodyksMarkram(0.5, tau_facilitation=0.1, tau_depression=50.0), regular)
    _, grows = sx.run(TsodyksMarkram(0.1, tau_facilitation=50.0, tau_depression=0.5), regular)
    assert (np.diff(tires[:5, 0, 0]) < 0).all()
    assert (np.diff(grows[:5, 0, 0]) > 0).all()
    assert tires[0] == 0.5


def test_errors():
    with pytest.raises(ValueError, match=r"`target` must be within \[0, 1\], got 2.0: in spikes a step"):
        SynapticScaling(2.0)
    with pytest.raises(ValueError, match=r"`tau` must be >= 1, got 0.0"):
        ThresholdHomeostasis(tau=0.0)
    with pytest.raises(ValueError, match=r"`U` must be within \(0, 1\], got 0.0"):
        TsodyksMarkram(0.0)
    with pytest.raises(ValueError, match=r"`tau_depression` must be > 0, got 0.0"):
        TsodyksMarkram(tau_depression=0.0)
