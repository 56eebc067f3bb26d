"""The classifiers: their layers, parameters and shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.models import convolutional, fully_connected

IMAGE = (8, 12, 2)
FC = {
    "single layer": ({}, ["Flatten", "Linear", "LIF"]),
    "hidden layers": ({"hidden": (7, 5)}, ["Flatten", *["Linear", "LIF"] * 3]),
    "encoder": ({"encoder": sx.encoding.Poisson()}, ["Poisson", "Flatten", "Linear", "LIF"]),
    "voters": ({"voters": 4}, ["Flatten", "Linear", "LIF", "Voting"]),
    "neuron": ({"hidden": (7,), "neuron": sx.IF}, ["Flatten", *["Linear", "IF"] * 2]),
}
BLOCK = ["Conv", "BatchNorm", "LIF", "MaxPool"]
HEAD = ["Flatten", *["Linear", "LIF"] * 2]
CONV = {
    "plain": ({}, [*BLOCK, *BLOCK, *HEAD]),
    "encoder": ({"encoder": sx.encoding.Poisson()}, ["Poisson", *BLOCK, *BLOCK, *HEAD]),
    "voters": ({"voters": 4}, [*BLOCK, *BLOCK, *HEAD, "Voting"]),
}
CASES = [(fully_connected, *case) for case in FC.values()] + [(convolutional, *case) for case in CONV.values()]
each_case = pytest.mark.parametrize(
    ("build", "options", "layers"), CASES, ids=[*FC, *(f"conv {name}" for name in CONV)]
)


def parameters(net) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))


def make(build, **options):
    """The network, abstractly: shapes without numbers."""
    return nnx.eval_shape(lambda: build(IMAGE, 3, rngs=nnx.Rngs(0), **options))


@each_case
def test_layers(build, options, layers):
    net = make(build, **options)
    assert [type(net[i]).__name__ for i in range(len(net))] == layers


@each_case
def test_output_shape(build, options, layers):
    graph, variables = nnx.split(make(build, **options))

    def classify(variables, key):
        net = nnx.merge(graph, variables)
        net.eval()
        x = jnp.zeros((5, *IMAGE))
        return sx.run(net, x, net.init_state(x.shape, key=key), steps=2)[1]

    outs = jax.eval_shape(classify, variables, jax.random.key(0))
    assert (outs.shape, outs.dtype) == ((2, 5, 3), jnp.float32)


@pytest.mark.parametrize(
    ("build", "shape", "options", "count"),
    [
        (fully_connected, (28, 28, 1), {}, 7840),
        (fully_connected, (28, 28, 1), {"hidden": (196,)}, 784 * 196 + 1960),
        (fully_connected, (784,), {"voters": 10}, 78400),
        (fully_connected, (28, 28), {"neuron": sx.ParametricLIF}, 7841),
        (convolutional, (28, 28, 1), {"channels": 128}, 9 * 128 + 9 * 128**2 + 4 * 128 + 6272 * 2048 + 2048 * 10),
        (convolutional, (9, 7, 3), {"channels": 2, "voters": 5}, 9 * 3 * 2 + 9 * 4 + 8 + 2 * 2 * 32 + 32 * 50),
    ],
    ids=["784-10", "784-196-10", "voters", "learnt tau", "128 maps", "odd size, colours"],
)
def test_parameter_count(build, shape, options, count):
    assert parameters(nnx.eval_shape(lambda: build(shape, 10, rngs=nnx.Rngs(0), **options))) == count


def test_linear_layers_and_convolutions_have_no_bias():
    for net in (make(fully_connected, hidden=(4,)), make(convolutional)):
        for _, module in nnx.iter_modules(net):
            if isinstance(module, nnx.Linear | nnx.Conv):
                assert module.bias is None


def test_weights_follow_the_seed():
    one, again, other = (fully_connected((4,), 3, rngs=nnx.Rngs(seed))[1].kernel[...] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("build", [fully_connected, convolutional])
def test_the_dtype_is_that_of_the_products_only(build):
    net = make(build, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(net, nnx.Param))} == {jnp.dtype(jnp.float32)}
    products = [module.dtype for _, module in nnx.iter_modules(net) if isinstance(module, nnx.Linear | nnx.Conv)]
    assert set(products) == {jnp.bfloat16}
    norms = [module.dtype for _, module in nnx.iter_modules(net) if isinstance(module, nnx.BatchNorm)]
    assert set(norms) <= {jnp.float32}


def test_each_layer_has_its_own_neuron():
    net = fully_connected((4,), 2, hidden=(3,), neuron=sx.ParametricLIF, rngs=nnx.Rngs(0))
    assert net.layers[2].w is not net.layers[4].w


@pytest.mark.parametrize(
    ("build", "shape", "options", "message"),
    [
        (
            fully_connected,
            (4,),
            {"hidden": (0,)},
            "`hidden` must be an integer >= 1, got 0",
        ),
        (fully_connected, (4,), {"hidden": (-3,)}, "`hidden` must be an integer >= 1, got -3"),
        (fully_connected, (4,), {"voters": 0}, "`voters` must be an integer >= 1, got 0"),
        (convolutional, (8, 8), {}, r"`shape` must be \(H, W, C\) with H and W at least 4, got \(8, 8\)"),
        (convolutional, (3, 8, 1), {}, r"H and W at least 4, got \(3, 8, 1\)"),
        (convolutional, IMAGE, {"channels": 0}, "`channels` must be an integer >= 1, got 0"),
        (convolutional, IMAGE, {"voters": -1}, "`voters` must be an integer >= 1, got -1"),
    ],
)
def test_errors(build, shape, options, message):
    with pytest.raises(ValueError, match=message):
        build(shape, 3, rngs=nnx.Rngs(0), **options)
