"""What is neither linear nor a rectifier: attention, LayerNorm, GELU, max pooling, computed on means."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.convert.networks import Residual, inputs
from tests.convert.test_convert import Analog, rate, rates

import spikejax as sx
from spikejax.convert import Compensated, MultiThresholdIF, RunningMean, convert, measure
from spikejax.models import VisionTransformer

X = inputs()


class Same(Analog):
    """Lets everything pass: no spikes."""

    def step(self, state, x):
        return state, x


def transformer(rngs):
    """A vision transformer of four patches."""
    return VisionTransformer(10, image=(6, 6, 2), patch=3, features=8, layers=1, heads=2, rngs=rngs)


class Strange(nnx.Module):
    """A product of activations, norms before and behind a residual connection, a rectifier behind a norm, a split."""

    def __init__(self, rngs):
        self.first, self.second, self.out = (nnx.Linear(i, o, rngs=rngs) for i, o in ((12, 8), (8, 8), (4, 3)))
        self.norms = nnx.List([nnx.LayerNorm(8, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        x = x.reshape(len(x), 6, 12)
        y = nnx.relu(self.norms[0](self.first(x)))
        y = self.norms[1](y + self.second(y))
        one, other = jnp.split(nnx.relu(y + 0.1), 2, axis=-1)
        return self.out(jax.nn.silu(one) * other).max(1)


class Pooled(nnx.Module):
    """A convolution, a rectifier, the largest of each window."""

    def __init__(self, rngs):
        self.conv, self.out = nnx.Conv(2, 4, (3, 3), rngs=rngs), nnx.Linear(36, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv(x)), (2, 2), (2, 2))
        return self.out(x.reshape(len(x), -1))


@pytest.mark.parametrize("make", [transformer, Strange, Pooled, Residual])
def test_with_analog_activations_it_is_the_network(make):
    ann = make(nnx.Rngs(0))
    net = convert(ann, X, neuron=Analog(), nonlinear=Same())
    np.testing.assert_allclose(rate(net, steps=3), jax.jit(ann)(X), atol=2e-5)


@pytest.mark.parametrize("make", [transformer, Pooled])
def test_the_error_falls_as_one_over_t(make):
    ann = make(nnx.Rngs(0))
    net = convert(ann, X, nonlinear=MultiThresholdIF())
    want = jax.jit(ann)(X)
    few, many = (np.abs(found - want).max() for found in rates(net, X, 32, 256))
    assert many < 0.25 * few
    assert many < 0.03 * np.abs(want).max()


def test_weights_see_spikes():
    net: Any = convert(transformer(nnx.Rngs(0)), X, nonlinear=MultiThresholdIF(levels=3))
    before = [
        net.layers[sources[0] - 1]
        for layer, sources in zip(net.layers, net.inputs, strict=True)
        if isinstance(layer, nnx.Linear)
    ]
    assert len(before) == 7  # query, key, value, projection, two of the dense part, the head
    assert {layer.cell for layer in before} == {MultiThresholdIF(levels=3)}


def test_chunks_make_no_difference():
    net = convert(transformer(nnx.Rngs(0)), X, nonlinear=MultiThresholdIF())
    whole, parts = (jax.jit(lambda x, k=k: sx.run(net, x, steps=7, chunk=k)[1])(X) for k in (7, 3))
    np.testing.assert_allclose(parts, whole, atol=1e-4)


@pytest.mark.parametrize("levels", [1, 3])
def test_spikes_of_several_sizes(levels):
    cell, x = MultiThresholdIF(levels=levels), jnp.linspace(-1.0, 1.0, 101)[None]
    sizes = np.array([0.0] + [2.0**-k for k in range(levels)])
    sizes = np.concatenate([-sizes, sizes])
    for steps in (8, 64):
        ys = np.asarray(sx.run(cell, x, steps=steps)[1])
        assert set(np.unique(ys)) <= set(sizes.tolist())
        assert np.abs(ys.mean(0) - x).max() <= 0.5 / steps + 1e-5
    v, x = np.zeros(101), np.linspace(-1.7, 1.3, 101)
    for y in np.asarray(sx.run(cell, x[None].astype(np.float32), steps=5)[1])[:, 0]:
        nearest = sizes[np.abs((v + x)[:, None] - sizes).argmin(1)]
        ties = np.sort(np.abs((v + x)[:, None] - np.unique(sizes)), 1)
        np.testing.assert_array_equal(y[ties[:, 1] - ties[:, 0] > 1e-4], nearest[ties[:, 1] - ties[:, 0] > 1e-4])
        v = v + x - y
    assert cell.output_kind == "analog"


def test_means_and_their_compensation():
    xs = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(np.float32)
    means = xs.cumsum(0) / np.arange(1, 10)[:, None, None]
    net = sx.nn.Sequential(RunningMean(), jnp.tanh, Compensated())
    np.testing.assert_allclose(sx.run(RunningMean(), xs)[1], means, rtol=1e-5, atol=1e-6)
    for chunk in (1, 4, 9):
        _, ys = sx.run(net, xs, chunk=chunk)
        np.testing.assert_allclose(ys.cumsum(0) / np.arange(1, 10)[:, None, None], np.tanh(means), atol=1e-5)
    for cell, given, wanted in ((RunningMean(), xs, means), (Compensated(), means, xs)):
        state, ys = cell.init_state(xs.shape[1:]), []
        for x in given:
            state, y = cell.step(state, x)
            ys.append(y)
        np.testing.assert_allclose(ys, wanted, rtol=1e-5, atol=1e-5)
    static = sx.run(net, xs[0], steps=4)[1]
    np.testing.assert_allclose(static, np.broadcast_to(np.tanh(xs[0]), static.shape), atol=1e-5)


def test_the_range_of_either_sign():
    ann = lambda x: jnp.tanh(x.reshape(len(x), -1) - 0.8) @ jnp.ones((72, 3))  # noqa: E731
    (found,) = measure(ann, X, nonlinear=True).layers
    np.testing.assert_allclose(found.largest, np.abs(np.tanh(X - 0.8)).max(), rtol=1e-6)
    with pytest.raises(ValueError, match=r"`tanh` in .*or give `nonlinear` a neuron"):
        measure(ann, X)


def test_a_loop_is_refused():
    ann = lambda x: jax.lax.fori_loop(0, 3, lambda i, x: jnp.tanh(x), x)  # noqa: E731
    with pytest.raises(ValueError, match=r"`scan` in .* is neither linear nor a rectifier"):
        convert(ann, X, nonlinear=MultiThresholdIF())
