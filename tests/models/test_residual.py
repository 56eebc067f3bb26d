"""The residual networks: PyTorch's outputs with PyTorch's weights, and spikes after conversion."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.convert import convert, load_torch
from spikejax.models import ResNet, resnet18

GOLDEN = Path(__file__).parents[1] / "golden" / "torch_weights.npz"
OPTIONS = {
    "max": {},
    "average": {"pool": "average"},
    "small": {"stem": "small"},
}


def golden(name):
    """Weights, input and output, channels last."""
    with np.load(GOLDEN) as file:
        start = "resnet/small/state/" if name == "small" else "resnet/max/state/"
        weights = {key.removeprefix(start): file[key] for key in file if key.startswith(start)}
        return weights, np.moveaxis(file[f"resnet/{name}/x"], 1, -1), file[f"resnet/{name}/y"]


def tiny(name, **options):
    return ResNet((1, 2), widths=(4, 6), classes=5, rngs=nnx.Rngs(0), **OPTIONS[name], **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_outputs_are_those_of_torch(name):
    weights, x, y = golden(name)
    net = tiny(name)
    load_torch(net, weights)
    net.eval()
    np.testing.assert_allclose(net(jnp.asarray(x)), y, rtol=0, atol=1e-5)


def test_resnet18_has_the_parameters_of_the_literature():
    count = lambda net, kind: sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, kind)))  # noqa: E731
    net = nnx.eval_shape(lambda: resnet18(rngs=nnx.Rngs(0)))
    assert count(net, nnx.Param) == 11_689_512
    assert count(net, nnx.BatchStat) == 2 * 4800
    small = nnx.eval_shape(lambda: resnet18(10, channels=1, stem="small", rngs=nnx.Rngs(0)))
    assert count(net, nnx.Param) - count(small, nnx.Param) == 64 * (3 * 49 - 9) + 990 * 513


@pytest.mark.parametrize(("stem", "size"), [("imagenet", 64), ("small", 16)])
def test_output_shape(stem, size):
    net = nnx.eval_shape(lambda: resnet18(7, stem=stem, rngs=nnx.Rngs(0)))
    net.eval()
    graph, variables = nnx.split(net)
    x = jax.ShapeDtypeStruct((3, size, size, 3), jnp.float32)
    assert jax.eval_shape(lambda v, x: nnx.merge(graph, v)(x), variables, x).shape == (3, 7)


def test_training_moves_the_statistics():
    net = tiny("small")
    net(jnp.ones((2, 8, 8, 3)))
    assert not np.array_equal(vars(net)["layer2"][1].bn2.mean[...], np.zeros(6))


@pytest.mark.parametrize("name", ["average", "small"])
def test_rates_of_the_spiking_network_converge(name):
    weights, x, y = golden(name)
    ann = tiny(name)
    load_torch(ann, weights)
    net = convert(ann, x, "max")
    outs = np.asarray(sx.run(net, jnp.asarray(x), steps=256)[1])
    errors = [np.abs(outs[:steps].mean(0) - y).max() / np.abs(y).max() for steps in (16, 64, 256)]
    assert errors[2] < errors[1] < errors[0], errors
    assert errors[2] < 0.05, errors


def test_every_neuron_layer_of_the_spiking_network_spikes():
    weights, x, _ = golden("small")
    ann = tiny("small")
    load_torch(ann, weights)
    net = convert(ann, x, "max")
    _, (_, records) = sx.run(net, jnp.asarray(x), steps=32, record=["spikes"])
    spikes = jax.tree.leaves(records)
    assert len(spikes) == 7
    for trains in spikes:
        assert set(np.unique(trains)) == {0, 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": ()}, r"`blocks` and `widths` must have one number a layer, got \(\)"),
        ({"blocks": (1, 1)}, r"one number a layer, got \(1, 1\) and \(64, 128, 256, 512\)"),
        ({"widths": (4, 4, 0, 4)}, "`widths` must be an integer >= 1, got 0"),
        ({"classes": 0}, "`classes` must be an integer >= 1, got 0"),
        ({"stem": "large"}, "`stem` must be one of 'imagenet', 'small', got 'large'"),
        ({"pool": "mean"}, "`pool` must be one of 'max', 'average', got 'mean'"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**options, rngs=nnx.Rngs(0))
