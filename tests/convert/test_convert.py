"""Conversion: what it claims in numbers, its scales, its neurons, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.convert.networks import Residual, chain, inputs

import spikejax as sx
from spikejax.convert import QCFS, RateIF, SignedIF, convert, measure
from spikejax.convert.quantized import qcfs
from spikejax.export.chain import read_chain
from spikejax.nn import Graph, Sequential
from spikejax.pytree import Struct

X = inputs()


class Analog(Struct):
    """The activation that a neuron stands for, every step: no spikes."""

    def init_state(self, shape, dtype=jnp.float32, *, key=None):
        return ()

    def step(self, state, x):
        return state, jnp.clip(x, 0, 1)


def rate(net, x=X, steps=64):
    return jax.jit(lambda x: sx.run(net, x, steps=steps)[1].mean(0))(x)


def rates(net, x, *steps):
    """The rates after each of these numbers of steps, of one run."""
    ys = np.asarray(jax.jit(lambda x: sx.run(net, x, steps=max(steps))[1])(x))
    return [ys[:t].mean(0) for t in steps]


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("make", [Residual, chain])
def test_with_analog_activations_it_is_the_network(make, fold, channels):
    ann = make(nnx.Rngs(0))
    net = convert(ann, X, "max", neuron=Analog(), fold=fold, channels=channels)
    np.testing.assert_allclose(rate(net, steps=2), ann(X), atol=1e-5)
    assert isinstance(net, Graph if make is Residual else Sequential)
    scales = sum(isinstance(layer, sx.nn.Scale) for layer in net.layers)
    assert scales == {(Residual, True): 2, (Residual, False): 8, (chain, True): 0, (chain, False): 4}[make, fold]


@pytest.mark.parametrize("neuron", [sx.IF(v_reset=None), RateIF(v_init=0.5), RateIF(burst=3), SignedIF()], ids=repr)
def test_a_rate_converges_as_one_over_t(neuron):
    x = jnp.linspace(-0.5, 1.4, 97)[None]
    highest = getattr(neuron, "burst", 1)
    errors = [np.abs(found - jnp.clip(x, 0, highest)).max() for found in rates(neuron, x, 8, 32, 128)]
    start = getattr(neuron, "v_init", 0.0)
    for steps, error in zip((8, 32, 128), errors, strict=True):
        assert error <= max(start, 1 - start) / steps + 1e-5
        assert error >= 0.5 * max(start, 1 - start) / steps


def test_factors_do_not_go_through_constants():
    def ann(x):
        x = nnx.relu(3 * x)
        x = jnp.pad(jnp.concatenate((x, jnp.ones((len(x), 6, 6, 1))), -1), ((0, 0), (1, 0), (0, 0), (0, 0)))
        return nnx.relu(x - 0.25) * jnp.arange(7.0)[:, None, None]

    np.testing.assert_allclose(rate(convert(ann, X, neuron=Analog()), steps=2), ann(X), atol=1e-5)


def test_scales_of_channels_go_through_groups_pools_and_maps():
    rngs = nnx.Rngs(0)
    first, grouped = nnx.Conv(2, 8, (3, 3), rngs=rngs), nnx.Conv(8, 12, (3, 3), feature_group_count=4, rngs=rngs)
    head = nnx.Linear(3 * 3 * 12, 3, rngs=rngs)

    def ann(x):
        x = nnx.relu(first(x))
        x = nnx.avg_pool(nnx.relu(grouped(x)), (2, 2), (2, 2))
        return head(x.reshape(len(x), -1))

    net = convert(ann, X, neuron=Analog(), channels=True)
    np.testing.assert_allclose(rate(net, steps=2), ann(X), atol=1e-5)
    assert not any(isinstance(layer, sx.nn.Scale) for layer in net.layers)


def test_the_error_of_a_network_falls_with_time():
    ann = Residual(nnx.Rngs(0))
    want = ann(X)
    for neuron in (None, RateIF(v_init=0.5), SignedIF(v_init=0.5), RateIF(burst=4)):
        net = convert(ann, X, "max", neuron=neuron)
        errors = [np.abs(found - want).max() for found in rates(net, X, 16, 64, 256)]
        assert errors[0] > 1.5 * errors[1] > 2 * errors[2]
        assert errors[2] < 0.03 * np.abs(want).max()


def test_half_a_threshold_to_start_with_is_better():
    ann = chain(nnx.Rngs(0))
    plain, half = (
        np.abs(rate(convert(ann, X, neuron=n), steps=16) - ann(X)).mean() for n in (None, RateIF(v_init=0.5))
    )
    assert half < 0.7 * plain


@pytest.mark.parametrize(("mode", "share"), [("max", 1.0), (0.5, 0.5), (1 / 3, 1 / 3), ("100%", 1.0)])
def test_scales_by_the_largest_value(mode, share):
    ann = chain(nnx.Rngs(0))
    first = np.asarray(nnx.relu(ann.layers[0](X)))
    found = measure(ann, X, mode, batch_size=5).layers[0]
    np.testing.assert_allclose(found.largest, first.max(), rtol=1e-6)
    np.testing.assert_allclose(found.scale, share * first.max(), rtol=1e-3)
    lost = np.maximum(first - found.scale, 0).sum() / first.sum()
    np.testing.assert_allclose(found.clipped, lost, atol=2e-3)
    np.testing.assert_allclose(found.rate, np.minimum(first, found.scale).mean() / found.scale, rtol=1e-2)
    assert found.histogram.sum() == first.size


@pytest.mark.parametrize("percentile", [50.0, 90.0, 99.9])
def test_scales_by_percentile_of_all_samples(percentile):
    ann = chain(nnx.Rngs(0))
    first = np.asarray(nnx.relu(ann.layers[0](X)))
    found = measure(ann, X, f"{percentile}%", batch_size=3).layers[0]
    np.testing.assert_allclose(found.scale, np.percentile(first, percentile), atol=1.5 * first.max() / 4096)


def test_scales_by_momentum():
    ann = chain(nnx.Rngs(0))
    average = None
    for part in np.array_split(np.asarray(X), 4):
        new = np.percentile(nnx.relu(ann.layers[0](part)), 99.0)
        average = new if average is None else 0.9 * average + 0.1 * new
    found = measure(ann, X, "99%", momentum=0.1, batch_size=4).layers[0]
    np.testing.assert_allclose(found.scale, average, rtol=1e-4)


def test_scales_of_each_channel():
    ann = chain(nnx.Rngs(0))
    first = np.asarray(nnx.relu(ann.layers[0](X))).reshape(-1, 4)
    found = measure(ann, X, "90%", channels=True).layers[0]
    np.testing.assert_allclose(found.scale, np.percentile(first, 90, axis=0), atol=0.005)
    np.testing.assert_allclose(found.clipped, np.maximum(first - found.scale, 0).sum() / first.sum(), atol=2e-3)
    assert found.histogram.sum() == first.size
    mode = measure(ann, X, channels=True).layers[0]
    np.testing.assert_allclose(mode.scale, first.max(0), rtol=1e-6)
    assert f"{first.max(0).min():.3f}..{first.max():.3f}" in str(measure(ann, X, channels=True))


def test_balanced_scales():
    ann = chain(nnx.Rngs(0))
    scales = [np.zeros(4), np.zeros(8)]
    for part in np.array_split(np.asarray(X), 4):
        x, given = part, []
        for layer, scale in zip((ann.layers[0], nnx.Sequential(*ann.layers[2:5])), scales, strict=True):
            a = np.maximum(layer(x), 0.0)
            given.append(scale + 2 * np.maximum(a - scale, 0).reshape(-1, len(scale)).mean(0))
            x = np.minimum(a, given[-1]).astype(np.float32)
        scales = given
    found = measure(ann, X, "balanced", batch_size=4)
    for layer, scale in zip(found.layers, scales, strict=True):
        np.testing.assert_allclose(layer.scale, np.where(scale > 0, scale, 1.0), rtol=1e-4)
    net = convert(ann, found, sample_shape=X.shape[1:])
    assert net[1] == RateIF(v_init=0.5)
    analog = rate(convert(ann, found, sample_shape=X.shape[1:], neuron=Analog()), steps=2)
    np.testing.assert_allclose(rate(net, steps=256), analog, atol=0.03 * np.abs(analog).max())


def test_spikes_as_input():
    ann = chain(nnx.Rngs(0))
    net = convert(ann, X, coding="poisson")
    assert isinstance(net[0], sx.encoding.Poisson)
    start = net.init_state(X.shape, key=jax.random.key(1))
    ys, want = np.asarray(jax.jit(lambda x: sx.run(net, x, start, steps=800)[1])(X)), ann(X)
    errors = [np.abs(ys[:steps].mean(0) - want).mean() for steps in (50, 800)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.1 * np.abs(want).max()


def test_the_scale_does_not_pass_the_limit_of_relu6():
    ann = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu6)
    ann.layers[0].kernel[...] = jnp.full((2, 3), 20.0)
    assert measure(ann, jnp.ones((4, 2))).layers[0].scale == 6.0
    np.testing.assert_allclose(rate(convert(ann, jnp.ones((4, 2))), jnp.ones((4, 2)), 8), 6.0, rtol=1e-6)


def test_a_silent_layer_stays_silent():
    ann = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.relu, nnx.Linear(3, 2, rngs=nnx.Rngs(1)))
    ann.layers[0].bias[...] = jnp.full(3, -100.0)
    np.testing.assert_allclose(rate(convert(ann, jnp.ones((4, 2))), jnp.ones((4, 2))), ann(jnp.ones((4, 2))), atol=1e-6)


def test_the_report_is_a_table():
    ann = Residual(nnx.Rngs(0))
    lines = str(measure(ann, X, "99.9%")).splitlines()
    assert lines[0] == "mode 99.9%"
    assert lines[1].split() == ["layer", "shape", "largest", "scale", "clipped", "rate", "error", "at", "T=50"]
    assert len(lines) == 2 + 4
    assert lines[2].split()[:2] == ["2", "6x6x4"]


def test_ranges_once_measured_serve_again():
    ann = Residual(nnx.Rngs(0))
    ranges = measure(ann, X, "99%")
    a, b = convert(ann, X, "99%"), convert(ann, ranges, sample_shape=X.shape[1:])
    np.testing.assert_array_equal(rate(a, steps=5), rate(b, steps=5))


def test_quantised_activations():
    rngs = nnx.Rngs(0)
    ann = nnx.Sequential(nnx.Linear(6, 8, rngs=rngs), QCFS(8, 1.2), nnx.Linear(8, 3, rngs=rngs))
    x = jax.random.uniform(jax.random.key(1), (32, 6))
    net = convert(ann, x)
    assert net[1] == RateIF(v_init=0.5)
    np.testing.assert_allclose(rate(net, x, 8), ann(x), atol=1e-5)  # one layer, as many steps as levels: exact


def test_qcfs_by_its_equation():
    x, scale = jnp.linspace(-0.6, 2.7, 40), jnp.float32(2.0)
    layer = QCFS(4, scale)
    np.testing.assert_allclose(layer(x), 0.5 * np.clip(np.floor(2 * np.asarray(x) + 0.5), 0, 4), rtol=1e-6)
    inside = (x > 0) & (x < 2)
    np.testing.assert_array_equal(jax.grad(lambda x: layer(x).sum())(x), inside)
    by_scale = nnx.grad(lambda layer: layer(x).sum())(layer)["scale"][...]
    want = np.where(inside, (layer(x) - x) / 2.0, x >= 2.0).sum()
    np.testing.assert_allclose(by_scale, want, rtol=1e-5)


def by_stop_gradient(x, scale, levels):
    """The same with derivatives from a formula of straight-through rounding."""
    ratio = x / scale
    rounded = jnp.clip(jnp.floor(ratio * levels + 0.5) / levels, 0, 1)
    inside = (x > 0) & (x < scale)
    return scale * (jnp.where(inside, ratio, 0.0) + jax.lax.stop_gradient(rounded - jnp.where(inside, ratio, 0.0)))


def test_qcfs_goes_through_every_transformation():
    x, scale, levels = jnp.linspace(-0.6, 2.7, 12).reshape(3, 4), jnp.array([1.0, 1.7, 2.0]), jnp.float32(4)
    want = jax.vmap(lambda x, scale: by_stop_gradient(x, scale, levels))(x, scale)
    for function in (qcfs, jax.jit(qcfs), jax.checkpoint(qcfs)):
        by_sample = jax.vmap(function, (0, 0, None))
        np.testing.assert_allclose(by_sample(x, scale, levels), want, rtol=1e-6)
        np.testing.assert_allclose(jax.vmap(function, (1, None, None), 1)(x, scale, levels), want, rtol=1e-6)

        def loss(x, scale, function=by_sample):
            return jnp.sum(jnp.sin(function(x, scale, levels)))

        def wanted(x, scale):
            return loss(x, scale, jax.vmap(by_stop_gradient, (0, 0, None)))

        for derivative in (jax.grad, jax.jacfwd, jax.hessian):
            got, right = (derivative(f, (0, 1))(x, scale) for f in (loss, wanted))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), got, right)


def test_a_converted_chain_is_exported():
    net = convert(chain(nnx.Rngs(0)), X)
    kinds = [layer.kind for layer in read_chain(net, X.shape[1:], "nir")]
    assert kinds == ["Conv", "IF", "AvgPool", "Flatten", "Linear", "IF", "Linear"]


def test_it_is_fine_tuned_by_surrogate_gradients():
    ann = chain(nnx.Rngs(0))
    net = convert(ann, X)
    want = ann(X)
    loss = nnx.jit(nnx.value_and_grad(lambda net: jnp.mean((sx.run(net, X, steps=6)[1].mean(0) - want) ** 2)))
    value, grads = loss(net)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    nnx.update(net, jax.tree.map(lambda p, g: p - 0.02 * g, nnx.state(net, nnx.Param), grads))
    assert loss(net)[0] < value


def test_a_network_in_training_mode_is_left_in_it():
    ann = Residual(nnx.Rngs(0))
    want = rate(convert(ann, X), steps=4)
    ann.train()
    np.testing.assert_array_equal(rate(convert(ann, X), steps=4), want)
    assert not ann.norm.use_running_average


def test_shared_modules_become_two():
    dense = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
    ann = lambda x: nnx.relu(dense(nnx.relu(dense(x))))  # noqa: E731
    x = jax.random.uniform(jax.random.key(0), (32, 4))
    net = convert(ann, x)
    assert sum(isinstance(layer, nnx.Linear) for layer in net.layers) == 2
    np.testing.assert_allclose(rate(net, x, 400), ann(x), atol=0.02)


@pytest.mark.parametrize("mode", ["min", "0%", "101%", "x%", 0.0, 1.5, True])
def test_modes_that_are_none(mode):
    with pytest.raises(
        ValueError, match=r'`mode` must be "max", "balanced", a percentile such as "99.9%", or a number in \(0, 1\]'
    ):
        measure(chain(nnx.Rngs(0)), X, mode)


def test_errors():
    ann = chain(nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"`calibration` must be samples \[n, \*\], at least one, got shape \(0, 6\)"):
        convert(ann, np.zeros((0, 6)))
    with pytest.raises(ValueError, match=r"`sample_shape` must be given with ranges"):
        convert(ann, measure(ann, X))
    with pytest.raises(ValueError, match=r"`calibration` holds the ranges of another network"):
        convert(Residual(nnx.Rngs(0)), measure(ann, X), sample_shape=X.shape[1:])
    with pytest.raises(
        ValueError, match=r"`momentum` must be within \[0, 1\], or None as for mode 'balanced', got 0.1"
    ):
        measure(ann, X, "balanced", momentum=0.1)
    with pytest.raises(ValueError, match=r"`coding` must be .*'poisson'"):
        convert(ann, X, coding="poison")
    with pytest.raises(ValueError, match=r"`burst` must be an integer >= 1, got 0"):
        RateIF(burst=0)
    with pytest.raises(ValueError, match=r"`v_init` must be within \[0, 1\), got 1.0: of the threshold"):
        SignedIF(v_init=1.0)
    with pytest.raises(ValueError, match=r"`levels` must be an integer >= 1, got 0"):
        QCFS(0)
