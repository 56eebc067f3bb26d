"""Synapses with a memory, with delays, and with masks, against their equations."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import Delay, DelayedLinear, DropConnectLinear, LearnedDelay, Sequential, SynapseFilter, set_sigma

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")
XS = np.float32(np.sin(np.arange(9 * 3 * 4) * 1.7) > 0).reshape(9, 3, 4)


@pytest.mark.parametrize("tau", [3.5, jnp.array(3.5)], ids=["constant", "trained"])
@pytest.mark.parametrize("method", ["fused", "scan", "associative"])
def test_synapse_filter_has_the_golden_values(tau, method):
    ys = sx.run(SynapseFilter(tau=tau), GOLDEN["_inputs/x"], method=method)[1]
    np.testing.assert_allclose(ys, GOLDEN["layer/SynapseFilter_tau3.5/y"], rtol=1e-6, atol=1e-6)


def test_synapse_filter_is_its_equation_and_stays_above_one():
    tau = np.array([1.5, 2.0, 10.0, 100.0])
    current, want = 0.0, []
    for s in np.float64(XS):
        current = current - (1 - s) * current / tau + s
        want.append(current)
    np.testing.assert_allclose(sx.run(SynapseFilter(tau=jnp.asarray(tau)), XS)[1], np.stack(want), rtol=1e-5)
    np.testing.assert_array_equal(sx.run(SynapseFilter(), XS)[1], sx.run(SynapseFilter(tau=100.0), XS)[1])
    net = Sequential(SynapseFilter(tau=jnp.array(1.2)))
    assert nnx.state(net, nnx.Param)["layers"][0]["w"].get_value().shape == ()
    grads = nnx.grad(lambda net: -sx.run(net, XS)[1].sum())(net)
    nnx.update(net, jax.tree.map(lambda w, g: w - 1e3 * jnp.sign(g), nnx.state(net), grads))
    assert 0 <= net[0].rate < 1e-3
    assert eval(repr(net[0]), {"jnp": jnp, "SynapseFilter": SynapseFilter}) == net[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 1.0}, "`tau` must be > 1"),
        ({"tau": jnp.array([2.0, 0.5])}, "`tau` must be > 1"),
        ({"tau": 2.0, "w": jnp.zeros(())}, "`tau` and `w` must not both be given"),
        ({"w": jnp.array(np.inf)}, "`w` must be finite"),
    ],
)
def test_wrong_filters(arguments, message):
    with pytest.raises(ValueError, match=message):
        SynapseFilter(**arguments)


def gaussian(delay, sigma, longest):
    """g[k, *], by NumPy."""
    k = np.arange(longest + 1).reshape(-1, *(1,) * np.ndim(delay))
    g = np.exp(-((k - np.float64(delay)) ** 2) / (2 * sigma**2))
    return g / g.sum(0)


def late(xs, k):
    """x[t - k], 0 before the first step."""
    return np.concatenate([np.zeros_like(xs[:k]), xs])[: len(xs)]


def test_learned_delays_are_their_equations():
    delay = np.array([0.0, 1.3, 2.0, 3.6])
    g = gaussian(delay, 0.8, 4)
    want = sum(g[k] * late(XS, k) for k in range(5))
    layer = LearnedDelay(4, 4, delay=delay, sigma=0.8)
    np.testing.assert_allclose(sx.run(layer, XS)[1], want, rtol=1e-5, atol=1e-6)
    many = DelayedLinear(4, 2, 4, sigma=0.8, rngs=nnx.Rngs(0))
    many.linear.bias[...] = jnp.array([0.5, -1.0])
    g = gaussian(many.delay[...], 0.8, 4)
    want = sum(late(XS, k) @ (g[k] * np.asarray(many.linear.kernel[...])) for k in range(5)) + np.array([0.5, -1.0])
    np.testing.assert_allclose(sx.run(many, XS)[1], want, rtol=1e-5, atol=1e-5)
    assert 0 <= many.delay[...].min() < many.delay[...].max() <= 4


def test_a_narrow_gaussian_is_the_rounded_delay_as_is_eval_mode():
    layer = LearnedDelay(4, 4, delay=[0.1, 1.3, 2.0, 3.6])
    assert layer.rounded() == Delay((0, 1, 2, 4))
    want = sx.run(layer.rounded(), XS)[1]
    net = Sequential(layer)
    assert np.abs(sx.run(net, XS)[1] - want).max() > 0.1
    set_sigma(net, 0.05)
    np.testing.assert_allclose(sx.run(net, XS)[1], want, atol=1e-5)
    net.eval()
    np.testing.assert_array_equal(sx.run(net, XS, chunk=2)[1], want)


def test_gradients_move_a_delay_to_where_it_belongs_and_back_inside():
    layer = LearnedDelay(1, 8, delay=[0.0], sigma=3.0)
    xs = jnp.zeros((20, 1, 1)).at[3].set(1)

    @jax.jit
    def step(delay, moments, sigma):
        def loss(delay):
            graph, params, rest = nnx.split(layer, nnx.Param, ...)
            net = nnx.merge(graph, jax.tree.map(lambda _: delay, params), rest, copy=True)
            set_sigma(net, sigma)
            return ((sx.run(net, xs)[1] - late_pulse) ** 2).sum()

        change, moments = optimizer.update(jax.grad(loss)(delay), moments)
        return delay + change, moments

    late_pulse, optimizer, delay = jnp.roll(xs, 5, 0), optax.adam(0.3), jnp.array([0.0])
    moments = optimizer.init(delay)
    for sigma in np.geomspace(3.0, 0.5, 40):
        delay, moments = step(delay, moments, sigma)
    assert delay[0] == pytest.approx(5, abs=0.3)
    assert step(jnp.array([9.0]), optimizer.init(delay), 2.0)[0][0] < 9  # beyond the longest, yet not stuck there
    assert layer.sigma[...] == 3
    layer.delay[...] = jnp.array([11.0])
    np.testing.assert_allclose(layer.taps(), gaussian([8.0], 3.0, 8), rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LearnedDelay(4, 0, rngs=nnx.Rngs(0)), "`max_delay` must be an integer >= 1, got 0"),
        (lambda: LearnedDelay(4, 3), "`rngs` must be given to draw the delays"),
        (lambda: LearnedDelay(4, 3, delay=5), "`delay` must be within \\[0, 3\\], got .*: `max_delay` is 3"),
        (lambda: LearnedDelay(4, 3, delay=1, sigma=0.0), "`sigma` must be > 0"),
        (lambda: LearnedDelay(4, 3, delay=1).init_state((2, 5)), r"the last axis of the input \(2, 5\) must have 4"),
        (lambda: set_sigma(Sequential(sx.IF()), 1.0), "`net` Sequential has no learnt delay"),
        (lambda: DropConnectLinear(2, 2, 1.0, rngs=nnx.Rngs(0)), r"`rate` must be within \[0, 1\), got 1.0"),
        (lambda: DropConnectLinear(2, 2, samples=0, rngs=nnx.Rngs(0)), "`samples` must be an integer >= 1, got 0"),
        (lambda: DropConnectLinear(2, 2, rngs=nnx.Rngs(0)).init_state((1, 2)), "`key` must be given"),
    ],
)
def test_what_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def drop(fixed, activation=None, samples=1024):
    layer = DropConnectLinear(3, 2, 0.25, fixed=fixed, activation=activation, samples=samples, rngs=nnx.Rngs(0))
    layer.linear.bias[...] = jnp.array([0.5, -0.25])
    return layer


def test_masks_are_one_a_sample_and_new_at_every_step_or_fixed():
    x = jnp.broadcast_to(jnp.eye(3)[None, 0], (400, 3))
    for fixed in (True, False):
        layer = drop(fixed)
        kernel, bias = np.asarray(layer.linear.kernel[...]), np.asarray(layer.linear.bias[...])
        ys = np.asarray(sx.run(layer, x, layer.init_state(x.shape, key=jax.random.key(0)), steps=30)[1])
        values = [0, kernel[0, 0], bias[0], kernel[0, 0] + bias[0]]
        shares = np.array([0.25**2, 0.25 * 0.75, 0.25 * 0.75, 0.75**2])
        found = np.abs(ys[:, :, 0, None] - values).argmin(-1)
        np.testing.assert_allclose(np.take(values, found), ys[:, :, 0], atol=1e-6)
        np.testing.assert_allclose(
            np.bincount(found.ravel(), minlength=4) / found.size, shares, atol=0.08 * fixed + 0.015
        )
        assert (ys == ys[0]).all() == fixed
        assert not (ys[0] == ys[0, 0]).all()


def test_eval_mode_has_the_moments_of_the_masks():
    x = jax.random.normal(jax.random.key(2), (4, 3))
    trained, tested = drop(False, jnp.square), drop(False, jnp.square, samples=8000)
    tested.eval()
    by_masks = sx.run(trained, x, trained.init_state(x.shape, key=jax.random.key(0)), steps=8000)[1].mean(0)
    state = tested.init_state(x.shape, key=jax.random.key(1))
    np.testing.assert_allclose(sx.run(tested, x, state, steps=1)[1][0], by_masks, rtol=0.08, atol=0.01)
    linear = drop(True)
    linear.eval()
    np.testing.assert_allclose(sx.run(linear, x[None])[1][0], 0.75 * linear.linear(x), rtol=1e-5)
    grads = nnx.grad(lambda net: net.step(state, jnp.zeros((4, 3)))[1].sum())(DropConnectLinear(3, 2, rngs=nnx.Rngs(0)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
