"""What is found in a network by tracing it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.convert.networks import Residual, inputs

from spikejax.convert.graph import evaluate_nodes
from spikejax.convert.nodes import ActivationNode, FunctionNode, WeightNode
from spikejax.convert.quantized import QCFS
from spikejax.convert.quantized import qcfs as quantise
from spikejax.convert.trace import trace

X = inputs()


def kinds(nodes):
    return "".join(type(node).__name__[0] for node in nodes[1:])


def close(ann, nodes, x=X):
    np.testing.assert_allclose(evaluate_nodes(nodes, x), ann(x), atol=1e-5)


def test_nested_modules_with_a_residual_connection():
    ann = Residual(nnx.Rngs(0))
    nodes = trace(ann, X.shape[1:])
    # conv+norm, relu, (sum, average), conv+norm, relu, conv+norm, addition, relu, flatten, dense, relu6, dense
    assert kinds(nodes) == "WAFWAWFAFWAW"
    close(ann, nodes)
    assert [node.limit for node in nodes if isinstance(node, ActivationNode)] == [None, None, None, 6.0]


def test_batch_norm_goes_into_the_weights_with_its_epsilon():
    rngs = nnx.Rngs(0)
    ann = nnx.Sequential(nnx.Conv(2, 3, (3, 3), rngs=rngs), nnx.BatchNorm(3, epsilon=0.5, rngs=rngs), nnx.relu)
    norm = ann.layers[1]
    norm.mean[...], norm.var[...] = jnp.array([0.1, -0.2, 0.3]), jnp.array([0.5, 2.0, 1.0])
    norm.scale[...], norm.bias[...] = jnp.array([1.5, 0.5, -1.0]), jnp.array([0.0, 0.2, 0.4])
    ann.eval()
    weights, activation = trace(ann, X.shape[1:])[1:]
    assert isinstance(weights, WeightNode)
    factor = norm.scale[...] / np.sqrt(norm.var[...] + 0.5)
    np.testing.assert_allclose(weights.kernel, ann.layers[0].kernel[...] * factor, rtol=1e-5)
    np.testing.assert_allclose(weights.bias, norm.bias[...] - norm.mean[...] * factor, rtol=1e-5)
    assert isinstance(activation, ActivationNode)


def weight(shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


PROGRAMS = {
    "functions": (lambda x: nnx.relu(x.reshape(len(x), -1) @ weight((72, 5)) * 2 - 1), "FWA"),
    "maximum": (lambda x: jnp.maximum(x, 0.0) / 3, "AF"),
    "clip": (lambda x: jnp.clip(-x, 0.0, 0.5), "FA"),
    "concatenation": (lambda x: jnp.concatenate((nnx.relu(x), x[..., :1]), -1), "AFF"),
    "a constant minus": (lambda x: 1 - x.reshape(len(x), -1) @ weight((72, 5)), "FW"),
    "a constant among others": (lambda x: jnp.concatenate((nnx.relu(x), jnp.ones((len(x), 6, 6, 1))), -1), "AF"),
    "padding": (lambda x: jnp.pad(nnx.relu(x), ((0, 0), (1, 0), (0, 1), (0, 0)), constant_values=0.5), "AF"),
    "the mean": (lambda x: nnx.relu(x).mean((1, 2)) @ weight((2, 3)), "AFFW"),
    "a depthwise convolution": (
        nnx.Conv(2, 4, (3, 3), strides=2, padding=[(1, 0), (0, 1)], feature_group_count=2, rngs=nnx.Rngs(0)),
        "W",
    ),
    "jit": (jax.jit(lambda x: nnx.relu(x)), "A"),
    "remat": (jax.checkpoint(lambda x: nnx.relu(x)), "A"),
    "quantised": (nnx.Sequential(QCFS(4, 0.7)), "A"),
    "quantised in jit": (jax.jit(QCFS(4, 0.7)), "A"),
    "quantised in remat": (jax.checkpoint(QCFS(4, 0.7)), "A"),
    "quantised sample by sample": (jax.vmap(QCFS(4, 0.7)), "A"),
    "a constant by a call": (lambda x: x * nnx.relu(jnp.arange(-1.0, 1.0)) + jax.jit(jnp.square)(2.0), "FF"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    program, want = PROGRAMS[name]
    nodes = trace(program, X.shape[1:])
    close(program, nodes)
    assert kinds(nodes).replace("FF", "F") == want.replace("FF", "F")


def test_what_does_not_reach_the_output_is_left_out():
    def ann(x):
        _ = nnx.relu(x) * 3
        return x.reshape(len(x), -1) @ weight((72, 5))

    assert kinds(trace(ann, X.shape[1:])) == "FW"


@jax.custom_jvp
def qcfs(x, scale, levels):
    return jnp.tanh(x * scale / levels)


qcfs.defjvp(lambda primals, tangents: (qcfs(*primals), tangents[0]))


@pytest.mark.parametrize(
    ("ann", "message"),
    [
        (lambda x: nnx.gelu(x), r"`integer_pow` in .*test_trace.py:\d+.* is neither linear nor a rectifier"),
        (lambda x: jax.nn.silu(x), r"`logistic` in .*test_trace.py"),
        (lambda x: nnx.max_pool(x, (2, 2)), r"`reduce_window_max` in .*: use ReLU or ReLU6, average instead of max"),
        (lambda x: nnx.softmax(x.reshape(len(x), -1)), r"`reduce_max` in .*no softmax before the output"),
        (lambda x: qcfs(x, jnp.float32(1.0), jnp.float32(4.0)), r"`tanh` in .*test_trace.py"),
        (lambda x: QCFS(4, 0.7)(x) * x, r"`mul` in "),
        (lambda x: quantise(x, jnp.ones(2), jnp.float32(4)), r"`qcfs` in .* is neither linear nor a rectifier"),
        (lambda x: x * x, r"`mul` in "),
        (lambda x: 1 / x, r"`div` in "),
        (lambda x: jnp.maximum(x, 0.5), r"`max` in "),
        (lambda x: jnp.ones((len(x), 3)), r"`ann` must depend on its input"),
        (
            lambda x: jnp.einsum("nhwc,hk->nkwc", x, weight((6, 2))),
            r"`dot_general` in .* moves the batch from the first",
        ),
        (lambda x: (x, x), r"`ann` must give one array, got 2"),
    ],
    ids=(
        "gelu",
        "silu",
        "max pool",
        "softmax",
        "of the same name",
        "a product",
        "two scales",
        "square",
        "inverse",
        "max",
        "constant",
        "einsum",
        "two outputs",
    ),
)
def test_what_has_no_form_in_spikes(ann, message):
    with pytest.raises(ValueError, match=message):
        trace(ann, X.shape[1:])


def test_layers_stand_for_operations():
    nodes = trace(lambda x: nnx.avg_pool(x, (2, 3), (2, 3)).reshape(len(x), -1), X.shape[1:])
    assert [repr(getattr(node, "layer", None))[:7] for node in nodes[1:]] == ["AvgPool", "Flatten"]
    assert all(isinstance(node, FunctionNode) for node in nodes[1:])
    assert not any(isinstance(node, WeightNode) for node in nodes[1:])
