"""Layers as linear maps: product, patches and correlation, whatever their geometry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.nn.linear_layers import MORE, SYNAPSES, activity, correlate, make

from spikejax.nn import LinearMap, WeightStandardizedConv
from spikejax.plasticity import STDP


@pytest.mark.parametrize("name", [*SYNAPSES, *MORE])
def test_it_correlates_what_each_weight_connects(name):
    layer, shape = make(name)
    pre, post = activity(layer, shape)
    correlation = jax.jit(lambda layer, pre, post: LinearMap.of(layer).correlate(pre, post))(layer, pre[0], post[0])
    np.testing.assert_allclose(correlation, correlate(layer, pre[0], post[0]), atol=1e-5)
    over_time = LinearMap.of(layer).correlate_over_time(pre, post)
    want = sum(LinearMap.of(layer).correlate(x, y) for x, y in zip(pre, post, strict=True))
    np.testing.assert_allclose(over_time, want, rtol=1e-5, atol=1e-5)
    assert np.abs(correlation).max() >= 1
    assert correlation.dtype == layer.kernel.dtype


def test_a_grouped_convolution_by_hand():
    layer, shape = make("conv2d")  # window (3, 2), stride (2, 1), SAME: 1 row before and after, 1 column after
    pre, post = (np.asarray(a[0]) for a in activity(layer, shape))
    want = np.zeros((3, 2, 2, 6))
    for n, y, x, o in np.ndindex(post.shape):
        for i, j, c in np.ndindex(3, 2, 2):
            row, column = 2 * y + i - 1, x + j
            if 0 <= row < 5 and column < 4:
                want[i, j, c, o] += pre[n, row, column, o // 3 * 2 + c] * post[n, y, x, o]
    np.testing.assert_allclose(LinearMap.of(layer).correlate(pre, post), want, atol=1e-5)


def test_traces_go_through_a_spike_layer():
    layer, shape = make("spike dense")
    pre, post = activity(layer, shape)
    np.testing.assert_allclose(LinearMap.of(layer).correlate(0.25 * pre[0], post[0]), 0.25 * pre[0].T @ post[0])


def test_a_layer_in_half_precision():
    layer = nnx.Linear(6, 4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    pre, post = activity(layer, (6,))
    correlation = LinearMap.of(layer).correlate(pre[0], post[0])
    assert correlation.dtype == jnp.float32
    np.testing.assert_array_equal(correlation, pre[0].T @ post[0])


@pytest.mark.parametrize("name", [*SYNAPSES, *MORE])
def test_the_product_is_kernel_times_patches(name):
    layer, shape = make(name)
    linear, x = LinearMap.of(layer), jax.random.normal(jax.random.key(4), (2, *shape))
    if layer.bias is not None:
        layer.bias[...] = jnp.zeros_like(layer.bias[...])
    x = jnp.float32(x > 0) if name.startswith("spike") else x
    kernel, patches = linear.kernel, linear.patches(x)
    columns = kernel.reshape(linear.fan_in, *(1,) * (patches.ndim - 1 - len(linear.out_shape)), *linear.out_shape)
    np.testing.assert_allclose((columns * patches).sum(0), layer(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(linear.product(kernel, x), layer(x), rtol=1e-5, atol=1e-5)
    assert linear.output(x.shape).shape == layer(x).shape


def test_a_kernel_is_standardised_before_the_product():
    layer = WeightStandardizedConv(2, 3, (3,), rngs=nnx.Rngs(0))
    linear, x = LinearMap.of(layer), jax.random.normal(jax.random.key(4), (2, 5, 2))
    np.testing.assert_allclose(linear.kernel, layer.standardized_kernel, rtol=1e-6)
    np.testing.assert_allclose(linear.product(linear.kernel, x), layer(x), rtol=1e-5, atol=1e-6)
    post = jax.random.normal(jax.random.key(5), (2, 5, 3))
    want = nnx.grad(lambda layer: jnp.sum(layer(x) * post))(layer)["kernel"][...]
    np.testing.assert_allclose(linear.correlate(x, post), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(linear.correlate_over_time(x[None], post[None]), want, rtol=1e-4, atol=1e-4)


class Excitatory(nnx.Linear):
    def __call__(self, x):
        return x @ jnp.abs(self.kernel[...])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Excitatory(3, 2, rngs=nnx.Rngs(0)), "exactly one of Linear, .* got Excitatory"),
        (nnx.LoRALinear(3, 2, lora_rank=1, rngs=nnx.Rngs(0)), "got LoRALinear"),
        (nnx.Linear(3, 2, dot_general=jnp.add, rngs=nnx.Rngs(0)), r"\(Linear\) must multiply by lax.dot_general"),
    ],
)
def test_unknown_layers_are_refused(layer, message):
    with pytest.raises(TypeError, match=message):
        LinearMap.of(layer)


def test_errors():
    with pytest.raises(
        TypeError, match=r"the layer \(Dropout\) must be a layer that is linear in its kernel, .*got Dropout"
    ):
        STDP().init_state(nnx.Dropout(0.5), (2, 6))
    layer, _ = make("dense")
    with pytest.raises(ValueError, match=r"the layer \(Linear\) refused an input of shape \(2, 7\)"):
        STDP().init_state(layer, (2, 7))
    with pytest.raises(ValueError, match=r"gives \(2, 4\) for an input of \(2, 6\), but the values .* shape \(2, 5\)"):
        LinearMap.of(layer).correlate(jnp.ones((2, 6)), jnp.ones((2, 5)))
