"""What the layers over time compute: golden values, NumPy, and the spikes inside attention."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax import nn
from spikejax.export.chain import ConvSpec, DenseSpec, read_chain

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")
IMAGES = GOLDEN["layer/NeuNorm/x"]  # [T, N, C, H, W]
T, N, C = IMAGES.shape[:3]
VALUES = np.random.default_rng(0).normal(size=(6, 2, 4, 5, 3)).astype(np.float32)
last = lambda a: jnp.moveaxis(jnp.asarray(a), 2, -1)  # noqa: E731
rngs = lambda: nnx.Rngs(0)  # noqa: E731
OPTIONS = {"momentum": 0.9, "use_fast_variance": False}


@pytest.mark.parametrize("name", ["ThresholdDependentBatchNorm", "TemporalEffectiveBatchNorm", "BatchNormThroughTime"])
def test_norms_of_the_golden_values(name):
    theirs = {"BatchNormThroughTime": "BNTT2d"}.get(name, name + "2d")
    entry = {key.split("/")[2]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"layer/{theirs}/")}
    if name == "ThresholdDependentBatchNorm":
        norm: Any = nn.ThresholdDependentBatchNorm(C, 0.5, 1.5, rngs=rngs(), **OPTIONS)
    else:
        norm = getattr(nn, name)(C, T, rngs=rngs(), **OPTIONS)
    if name == "TemporalEffectiveBatchNorm":
        norm.factor[...] = jnp.arange(1.0, T + 1)
    net = nn.Sequential(norm)
    np.testing.assert_allclose(sx.run(net, last(IMAGES))[1], last(entry["y_train"]), rtol=1e-5, atol=1e-5)
    inner = getattr(norm, "norm", norm)
    mean = entry.get("rm", entry.get("running_mean"))
    np.testing.assert_allclose(inner.mean[...], mean, rtol=1e-5, atol=1e-6)
    if "running_var" in entry:  # PyTorch divides by one less
        count = IMAGES.size / C
        inner.var[...] = 0.9 + (inner.var[...] - 0.9) * count / (count - 1)
        np.testing.assert_allclose(inner.var[...], entry["running_var"], rtol=1e-5)
        net.eval()
        for chunk in (T, 1):
            ys = sx.run(net, last(IMAGES), chunk=chunk)[1]
            np.testing.assert_allclose(ys, last(entry["y_eval"]), rtol=1e-5, atol=1e-5)


def test_neunorm_of_the_golden_values():
    norm = nn.NeuNorm((2, 2, C), 0.9, weight_init=nnx.initializers.constant(0.25))
    state, ys = sx.run(nn.Sequential(norm), last(IMAGES))
    np.testing.assert_allclose(ys, last(GOLDEN["layer/NeuNorm/y"]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state[0].activity[..., 0], GOLDEN["layer/NeuNorm/state"][:, 0], rtol=1e-5)


def gate(module, mean, largest):
    w1, w2 = (np.asarray(layer.kernel[...], np.float64) for layer in (module.squeeze, module.expand))
    return 1 / (1 + np.exp(-sum(np.maximum(pooled @ w1, 0) @ w2 for pooled in (mean, largest))))


def test_attention_by_hand():
    xs = VALUES.astype(np.float64)
    net = nn.TemporalAttention(6, 2, rngs=rngs())
    score = gate(net.time, xs.mean((2, 3, 4)).T, xs.max((2, 3, 4)).T)
    _, ys = sx.run(nn.Sequential(net), VALUES)
    want = xs * score.T[:, :, None, None, None]
    np.testing.assert_allclose(ys, want, rtol=1e-4, atol=1e-5)

    net = nn.MultiDimensionalAttention(6, 3, 2, 3, 1, rngs=rngs())
    _, ys = sx.run(nn.Sequential(net), VALUES)
    score = gate(net.time, xs.mean((2, 3, 4)).T, xs.max((2, 3, 4)).T)
    xs = xs * score.T[:, :, None, None, None]
    xs = xs * gate(net.channel, xs.mean((0, 2, 3)), xs.max((0, 2, 3)))[None, :, None, None]
    weight = np.asarray(net.place.kernel[...], np.float64)[0, 0, :, 0]
    place = 1 / (1 + np.exp(-(xs.mean((0, 4)) * weight[0] + xs.max((0, 4)) * weight[1])))
    np.testing.assert_allclose(ys, np.maximum(xs * place[..., None], 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [3, 7], ids=["few", "many"])
@pytest.mark.parametrize("kind", ["self", "token", "channel"])
def test_attention_of_spikes_by_its_own_spikes(kind, tokens):
    """What the neurons behind the attention see, from the spikes that went into it; 2 heads of 4 channels."""
    options = {"neuron": sx.LIF(v_threshold=0.3), "rngs": rngs()}
    if kind == "self":
        net = nn.SpikingSelfAttention(8, 2, scale=0.5, **options)
    else:
        net = nn.QKAttention(8, 2, mode=kind, **options)
    xs = np.random.default_rng(0).normal(0.5, 1, (4, 2, tokens, 8)).astype(np.float32)
    _, (ys, kept) = jax.jit(lambda xs: sx.run(net_of(net), xs, record=("spikes", "output")))(xs)
    assert ys.shape == xs.shape
    assert "(BatchNorm, train mode) takes its statistics over a chunk" in net.profile("cpu").whole
    spikes = [kept[name] for name in sorted(kept, key=lambda name: int(name.split(".")[0])) if "spikes" in name]
    heads = [np.asarray(s, np.float64).reshape(4, 2, tokens, 2, 4) for s in spikes[: 3 if kind == "self" else 2]]
    assert all(0 < s.mean() < 1 for s in spikes[:-1])
    if kind == "self":
        q, k, v = (np.moveaxis(h, 3, 2) for h in heads)
        want = np.moveaxis(0.5 * (q @ np.swapaxes(k, 3, 4)) @ v, 2, 3).reshape(xs.shape)
        _, again = sx.run(sx.LIF(v_threshold=0.5), jnp.asarray(want, jnp.float32))
        np.testing.assert_array_equal(spikes[3], again)
        return
    q, k = heads
    total = q.sum(4) if kind == "token" else q.sum(2).reshape(4, 2, 8)
    np.testing.assert_array_equal(kept["6.output"], total)
    np.testing.assert_array_equal(spikes[2], sx.run(sx.LIF(v_threshold=0.5), jnp.asarray(total, jnp.float32))[1])
    a = np.asarray(spikes[2])
    want = a[..., None] * k if kind == "token" else a.reshape(4, 2, 1, 2, 4) * k
    # The projection reads what was let through.
    dense = net[9]
    got = want.reshape(xs.shape) @ np.asarray(dense.kernel[...]) + np.asarray(dense.bias[...])
    np.testing.assert_allclose(kept["9.output"], got, rtol=1e-4, atol=1e-5)


def net_of(net):
    """A copy, whose statistics may change under jit."""
    return nnx.clone(net)


def test_dropout_keeps_its_mask(key):
    net = nn.Sequential(nn.TimeInvariantDropout(0.25), sx.LeakyIntegrator())
    xs = jnp.ones((3, 50, 200))
    first, other = (net.init_state(xs.shape[1:], key=k) for k in jax.random.split(key))
    _, (_, kept) = sx.run(net, xs, first, record="0.spikes")
    ys = kept["0.spikes"]
    np.testing.assert_array_equal(ys, jnp.broadcast_to(ys[0], ys.shape))
    np.testing.assert_allclose(np.unique(ys), [0, 4 / 3], rtol=1e-6)
    assert abs(float((ys[0] == 0).mean()) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 10_000)
    assert not np.array_equal(first[0].mask, other[0].mask)
    net.eval()
    for state in (None, first):  # a mask of train mode is left aside
        _, (_, kept) = sx.run(net, xs, state, record="0.spikes")
        np.testing.assert_array_equal(kept["0.spikes"], xs)
    channels = nn.TimeInvariantDropout(0.5, broadcast_dims=(1, 2)).init_state((4, 5, 6, 30), key=key).mask
    assert channels.shape == (4, 1, 1, 30)
    bf16 = jnp.ones((1, 4), jnp.bfloat16)
    assert nn.TimeInvariantDropout().step(nn.Mask(jnp.ones((1, 4))), bf16)[1].dtype == jnp.bfloat16


def test_standardized_weights():
    conv = nn.WeightStandardizedConv(3, 4, (3, 3), feature_group_count=1, rngs=rngs())
    kernel = np.asarray(conv.kernel[...], np.float64)
    centred = kernel - kernel.mean((0, 1, 2))
    plain = nnx.Conv(3, 4, (3, 3), rngs=rngs())
    plain.kernel[...] = jnp.asarray(centred / np.sqrt((centred**2).mean((0, 1, 2)) + 1e-5), jnp.float32)
    x = jnp.asarray(VALUES[0])
    np.testing.assert_allclose(conv(x), plain(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(conv.standardized_kernel, plain.kernel[...], rtol=1e-5, atol=1e-6)
    net, twin = (nn.Sequential(layer, sx.IF()) for layer in (conv, plain))
    first, second = (read_chain(net, (4, 5, 3), "nir")[0] for net in (net, twin))
    assert isinstance(first, ConvSpec) and isinstance(second, ConvSpec)
    np.testing.assert_allclose(first.kernel, second.kernel, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "bins"), [((7,), (3,)), ((6, 5), (2, 5)), ((5, 4), (7, 1)), ((4, 3, 2), (2, 2, 2))])
def test_adaptive_pooling(size, bins):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    want = x.astype(np.float64)
    for axis, (n, out) in enumerate(zip(size, bins, strict=True), 1):
        parts = [np.arange(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]
        want = np.stack([want.take(part, axis).mean(axis) for part in parts], axis)
    np.testing.assert_allclose(nn.AdaptiveAvgPool(bins)(x), want, rtol=1e-5, atol=1e-6)
    if len(size) == 2:
        np.testing.assert_allclose(nn.AdaptiveAvgPool((None, bins[1]))(x).shape, (2, size[0], bins[1], 3))
        assert nn.AdaptiveAvgPool(2)(jnp.ones((1, 4, 4, 2), jnp.bfloat16)).dtype == jnp.bfloat16


def test_a_shape_is_printed_when_it_is_traced(capsys):
    call = jax.jit(nn.PrintShape("behind the pool"))
    np.testing.assert_array_equal(call(jnp.ones((2, 3))), 1)
    call(jnp.zeros((2, 3)))
    assert capsys.readouterr().out == "behind the pool: (2, 3) float32\n"


def test_a_norm_of_the_threshold_is_folded_at_export():
    norm = nn.ThresholdDependentBatchNorm(4, 0.5, 1.5, rngs=rngs())
    np.testing.assert_allclose(norm.scale[...], 0.75)
    norm.mean[...] = jnp.arange(4.0)
    dense = nnx.Linear(3, 4, rngs=rngs())
    norm.eval()
    folded = read_chain(nn.Sequential(dense, norm, sx.IF()), (3,), "nir")[0]
    assert isinstance(folded, DenseSpec)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(x @ folded.kernel + folded.bias, norm(dense(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ThresholdDependentBatchNorm(3, 0.0, rngs=rngs()), r"`alpha` must be > 0, got 0\.0"),
        (lambda: nn.TemporalEffectiveBatchNorm(3, 0, rngs=rngs()), "`T` must be an integer >= 1, got 0"),
        (lambda: nn.BatchNormThroughTime(3, 2.5, rngs=rngs()), r"`T` must be an integer >= 1, got 2\.5"),
        (lambda: nn.NeuNorm((2, 2, 3), 1.0), r"`k` must be within \[0, 1\), got 1\.0"),
        (lambda: nn.NeuNorm((2, 2, 3)).init_state((1, 2, 3, 3)), r"`shape` of NeuNorm is \(2, 2, 3\)"),
        (lambda: nn.TimeInvariantDropout(1.0), r"`rate` must be within \[0, 1\), got 1\.0"),
        (lambda: nn.TimeInvariantDropout().init_state((2, 3)), r"`key` must be given.*call net.eval\(\)"),
        (lambda: nn.TemporalAttention(4, 5, rngs=rngs()), "`reduction` must be an integer from 1 to 4, got"),
        (lambda: nn.MultiDimensionalAttention(4, 3, 1, 4, rngs=rngs()), "`reduction_c` must be an integer from 1 to 3"),
        (lambda: nn.MultiDimensionalAttention(4, 3, kernel_size=2, rngs=rngs()), "`kernel_size` must be odd"),
        (lambda: nn.MultiDimensionalAttention(1, 3, rngs=rngs()).step((), jnp.ones((2, 3))), "`xs` must be images"),
        (lambda: nn.SpikingSelfAttention(8, 3, rngs=rngs()), "`heads` must divide `dim` = 8, got 3"),
        (lambda: nn.SpikingSelfAttention(8, 2, scale=0.0, rngs=rngs()), r"`scale` must be > 0, got 0\.0"),
        (lambda: nn.QKAttention(8, 2, mode="both", rngs=rngs()), "`mode` must be one of 'token', 'channel'"),
        (lambda: nn.WeightStandardizedConv(1, 1, (3,), epsilon=0.0, rngs=rngs()), r"`epsilon` must be > 0, got 0\.0"),
        (lambda: nn.AdaptiveAvgPool((2, 0)), r"`output_size` must be >= 1 in every axis, got \(2, 0\)"),
        (lambda: nn.AdaptiveAvgPool((2, 2))(jnp.ones((1, 4, 3))), r"`output_size` \(2, 2\) must have 1 axes"),
    ],
)  # fmt: skip
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(TypeError, match=r"`neuron` must be a spiking neuron such as sx.LIF\(\), got LeakyIntegrator"):
        nn.QKAttention(8, 2, neuron=sx.LeakyIntegrator(), rngs=rngs())
