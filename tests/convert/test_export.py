"""Converted networks go on to the chips, where their operators allow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.convert.networks import Residual, chain, inputs

import spikejax as sx
from spikejax.convert import RateIF, SignedIF, convert
from spikejax.export import netx, onnx

X = np.asarray(inputs(4))


@pytest.mark.parametrize("neuron", [None, RateIF(v_init=0.5), SignedIF(v_init=0.5), RateIF(burst=2)], ids=repr)
def test_onnx_computes_the_same(neuron, tmp_path):
    net = convert(chain(nnx.Rngs(0)), inputs(), neuron=neuron)
    xs = np.broadcast_to(X, (12, *X.shape))
    onnx.write(tmp_path / "net.onnx", net, X.shape[1:], batch=len(X))
    _, ys = onnx.Session(tmp_path / "net.onnx").run(xs)
    np.testing.assert_allclose(ys, jax.jit(lambda x: sx.run(net, x, steps=12)[1])(X), atol=1e-4)


def spiking_chain(rngs):
    """As `chain`, its output rectified, so that neurons stand at the end."""
    return nnx.Sequential(*chain(rngs).layers, nnx.relu)


def test_loihi_fires_at_the_rates_of_the_network(tmp_path):
    ann = spiking_chain(nnx.Rngs(3))
    net = convert(ann, inputs(), neuron=sx.IF(), coding="poisson", rescale=False)
    assert net[-1] == sx.IF()
    netx.write(tmp_path / "net.net", net, X.shape[1:])
    spikes = jax.random.bernoulli(jax.random.key(0), X, (600, *X.shape)).astype(jnp.float32)
    on_chip = netx.simulate_fixed_point(tmp_path / "net.net", spikes).mean(0)
    here = jax.jit(lambda xs: sx.run(sx.nn.Sequential(*list(net)[1:]), xs)[1].mean(0))(spikes)
    assert here.max() > 0.1
    np.testing.assert_allclose(on_chip, here, atol=0.03)


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (spiking_chain, {"rescale": False}, ValueError, r"soft reset, v_reset=None, and Loihi resets to 0"),
        (spiking_chain, {"neuron": RateIF()}, ValueError, r"layer 1 \(RateIF\) has no counterpart in NetX"),
        (Residual, {"neuron": sx.IF()}, TypeError, r"must be a spikejax.nn.Sequential, got Graph"),
    ],
)
def test_what_loihi_has_not(make, options, error, message, tmp_path):
    net = convert(make(nnx.Rngs(0)), inputs(), **options)
    with pytest.raises(error, match=message):
        netx.write(tmp_path / "net.net", net, X.shape[1:], input_scale=255)
    assert not (tmp_path / "net.net").exists()
