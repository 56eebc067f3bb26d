"""Networks in Loihi's integers: the trained one, the file, and an independent simulation of it are one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.export.netx import chip
from tests.export.netx.networks import INPUT_SCALE, NETWORKS, build, whole_inputs

import spikejax as sx
from spikejax.export import netx

run = nnx.jit(sx.run)


def channels_first(a):
    a = np.asarray(a)
    return np.moveaxis(a, -1, 2) if a.ndim == 5 else a


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_computes_what_was_trained(name, tmp_path):
    net, shape = build(name)
    inputs = whole_inputs(name)
    _, want = run(net, inputs / INPUT_SCALE.get(name, 1.0))
    report = netx.write(tmp_path / "a.net", net, shape)
    got = netx.simulate_fixed_point(
        tmp_path / "a.net", inputs.reshape(*inputs.shape[:2], -1) if name == "graded" else inputs
    )
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(netx.simulate_fixed_point(net, inputs), want)
    flat = inputs.reshape(*inputs.shape[:2], -1) if name == "graded" else channels_first(inputs)
    np.testing.assert_array_equal(chip.simulate(tmp_path / "a.net", np.asarray(flat)), channels_first(want))
    counts = np.asarray(want).sum((0, 1))
    assert counts.sum() > 10 and len(np.unique(counts)) > 1  # it spikes, and not all alike
    assert not report.errors and len(report.rows) >= len(net) // 3


@pytest.mark.parametrize("name", ["current", "recurrent"])
def test_every_way_to_run_it_is_equal(name):
    net, _ = build(name)
    inputs = whole_inputs(name)
    graph, params = nnx.split(net)

    def gradient(**how):
        def loss(params):
            ys = sx.run(nnx.merge(graph, params), inputs, **how)[1]
            return (ys * jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)).sum()

        return jax.jit(jax.value_and_grad(loss))(params)

    want, grads = gradient(method="scan", chunk=1)
    assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(grads))
    got, others = gradient(chunk=5, remat=True)
    assert got == want
    for a, b in zip(jax.tree.leaves(others), jax.tree.leaves(grads), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_batches_and_transformations():
    net, _ = build("deep")
    inputs = whole_inputs("deep", batch=5)
    want = netx.simulate_fixed_point(net, inputs)
    graph, variables = nnx.split(net)

    def one(x):
        return sx.run(nnx.merge(graph, variables), x[:, None])[1][:, 0]

    np.testing.assert_array_equal(jax.jit(jax.vmap(one, 1, 1))(inputs), want)
    static = netx.simulate_fixed_point(net, inputs[0], steps=7)
    np.testing.assert_array_equal(
        static, netx.simulate_fixed_point(net, jnp.broadcast_to(inputs[0], (7, *inputs[0].shape)))
    )


def test_fractions_are_refused():
    net, _ = build("dense")
    with pytest.raises(ValueError, match=r"`spikes` must be whole numbers, got fractions: encode them"):
        netx.simulate_fixed_point(net, whole_inputs("dense") / 2)


def test_training_goes_on_in_integers():
    """Gradients pass through the rounding: the loss falls, and what is exported is what was trained."""
    rngs = nnx.Rngs(0)
    net = sx.nn.Sequential(
        nnx.Linear(8, 16, rngs=rngs), sx.LIF(tau=jnp.full(16, 2.0)), nnx.Linear(16, 2, rngs=rngs), sx.LIF()
    )
    net = netx.quantized(net, (8,), scale=64)
    xs = jax.random.bernoulli(jax.random.key(0), 0.5, (12, 32, 8)).astype(jnp.float32)
    labels = (xs[:, :, 0].sum(0) > 6).astype(jnp.int32)
    optimizer = nnx.Optimizer(net, optax.adam(2e-2), wrt=nnx.Param)

    @nnx.jit
    def train(net, optimizer):
        loss, grads = nnx.value_and_grad(lambda net: sx.losses.mse_rate(sx.run(net, xs)[1], labels))(net)
        optimizer.update(net, grads)
        return loss

    before = net[1].voltage_decay
    losses = [train(net, optimizer) for _ in range(41)]
    assert losses[-1] < 0.5 * losses[0]
    assert (net[1].voltage_decay != before).any() and (net[1].v_decay == jnp.round(net[1].v_decay)).all()
    np.testing.assert_array_equal(netx.simulate_fixed_point(net, xs), run(net, xs)[1])
