"""The gain that keeps a deep network firing, and the diagnosis of one that does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import Sequential, diagnose, lif_gain

X = jax.random.normal(jax.random.key(1), (4, 64))
STEPS, WIDTH = 16, 128


def deep(cell, first, gain, depth=10):
    """Layers of that neuron with weights of those gains."""
    rngs, layers = nnx.Rngs(0), []
    for i in range(depth):
        init = nnx.initializers.variance_scaling((gain if i else first) ** 2, "fan_in", "normal")
        layers += [nnx.Linear(WIDTH if i else 64, WIDTH, kernel_init=init, rngs=rngs), cell]
    return Sequential(*layers)


@pytest.mark.parametrize("cell", [sx.LIF(tau=2.0), sx.ILIF()], ids=lambda cell: type(cell).__name__)
def test_ten_layers_keep_their_rate_and_die_without(cell):
    gain, first = (lif_gain(cell, 0.2, steps=STEPS, input_rms=rms) for rms in (None, 1.0))
    alive, dead = diagnose(deep(cell, first, gain), X, steps=STEPS), diagnose(deep(cell, 1.0, 1.0), X, steps=STEPS)
    assert all(0.12 < layer.rate < 0.3 for layer in alive.layers)
    assert str(alive).endswith("nothing to change")
    assert dead.layers[-1].rate < 0.01


def test_gains():
    assert lif_gain(sx.LIF()) == lif_gain(sx.LIF())  # it draws nothing of its own
    # Twice the threshold needs twice the weights; the input of a LIF counts half with `decay_input` and tau 2.
    plain = sx.LIF(tau=2.0, decay_input=False)
    np.testing.assert_allclose(lif_gain(plain.replace(v_threshold=2.0)), 2 * lif_gain(plain), rtol=1e-3)
    np.testing.assert_allclose(lif_gain(sx.LIF(tau=2.0)), 2 * lif_gain(plain), rtol=1e-3)
    # One step of IF fires where gain z > 1; the share of a Gaussian above 1.2816 is 0.1.
    np.testing.assert_allclose(lif_gain(sx.IF(), 0.1, steps=1, input_rms=0.5), 2 / 1.2816, rtol=0.05)
    several = lif_gain(sx.LIF(v_threshold=jnp.array([1.0, 2.0])))
    assert lif_gain(sx.LIF()) < several < lif_gain(sx.LIF(v_threshold=2.0))
    assert lif_gain(sx.PSN(T=4, key=jax.random.key(0))) > 0


def test_what_it_says_comes_true():
    rngs = nnx.Rngs(0)
    small, large = (nnx.initializers.variance_scaling(scale, "fan_in", "normal") for scale in (0.3, 1e4))
    inner = Sequential(nnx.Linear(WIDTH, WIDTH, kernel_init=large, rngs=rngs), nnx.BatchNorm(WIDTH, rngs=rngs))
    net = Sequential(
        nnx.Linear(64, WIDTH, kernel_init=small, rngs=rngs), sx.LIF(),
        Sequential(inner, lambda x: 50 * abs(x), sx.IF(v_threshold=0.5)),
        nnx.Linear(WIDTH, 4, kernel_init=nnx.initializers.zeros, rngs=rngs), sx.PSN(T=STEPS, key=jax.random.key(0)),
        sx.LeakyIntegrator(),
    )  # fmt: skip
    before = nnx.to_pure_dict(nnx.state(net))
    found = diagnose(net, X, steps=STEPS)
    jax.tree.map(np.testing.assert_array_equal, nnx.to_pure_dict(nnx.state(net)), before)
    names = [(layer.name, layer.kind) for layer in found.layers]
    assert names == [("1", "LIF"), ("2.2", "IF"), ("4", "PSN")]
    low, high, none = found.layers
    assert low.silent > 0.6 and "silent: multiply the weights before it by about" in low.advice
    assert high.saturated > 0.1 and "saturated: divide the weights before it by about" in high.advice
    assert none.silent == 1 and "its input is 0: look at the layers before it first" in none.advice
    assert np.isnan(none.v_mean) and low.v_top < 1
    lines = str(found).splitlines()
    assert len(lines) == 7 and lines[4] == f"layer 1: {low.advice}"

    net[0].kernel[...] *= low.factor
    net[0].bias[...] *= low.factor
    net[2].layers[1] = lambda x: 50 * abs(x) * 0.01
    again = diagnose(net, X, steps=STEPS)
    np.testing.assert_allclose(again.layers[0].rate, 0.2, atol=0.01)
    _, spikes = sx.run(Sequential(net[0], net[1]), X, steps=STEPS)
    np.testing.assert_allclose(again.layers[0].rate, spikes.mean(), rtol=1e-6)
    np.testing.assert_allclose(again.layers[0].silent, np.mean(spikes.sum((0, 1)) == 0))
    assert again.layers[1].saturated < high.saturated


def test_a_cell_alone_a_recurrent_one_and_an_encoder(key):
    alone = diagnose(sx.LIF(), 30 * jnp.ones((5, 2, 3)))
    assert alone.layers[0].saturated == 1
    rngs = nnx.Rngs(0)
    recurrent = sx.nn.Recurrent(sx.IF(), nnx.Linear(64, 64, rngs=rngs))
    net = Sequential(sx.encoding.Poisson(), nnx.Linear(64, 64, rngs=rngs), recurrent)
    found = diagnose(net, abs(jnp.tanh(X)), steps=STEPS, key=key)
    assert [layer.name for layer in found.layers] == ["2"]
    assert np.isfinite(found.layers[0].v_mean)


def test_errors():
    with pytest.raises(TypeError, match=r"`cell` must be a spiking neuron such as sx.LIF\(\), got LeakyIntegrator"):
        lif_gain(sx.LeakyIntegrator())
    for options, message in (
        ({"rate": 0.0}, r"`rate` must be > 0, got 0\.0"),
        ({"rate": 1.5}, r"`rate` 1\.5 is out of reach: however large its input, the cell puts out 0\.\d+"),
        ({"steps": 0}, "`steps` must be an integer >= 1, got 0"),
        ({"input_rms": -1.0}, r"`input_rms` must be > 0, got -1\.0"),
    ):
        with pytest.raises(ValueError, match=message):
            lif_gain(sx.LIF(), **options)
    with pytest.raises(ValueError, match="`net` has no layer of neurons with a threshold"):
        diagnose(sx.LeakyIntegrator(), jnp.ones((2, 1, 3)))
    refractory = diagnose(sx.Refractory(sx.IF(), 9), jnp.full((10, 1, 200), 1e-3).at[..., 0].set(2.0))
    assert "no scale of the weights before it gives a rate of 0.2" in refractory.layers[0].advice
