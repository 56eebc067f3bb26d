"""What a synapse correlates, whatever its geometry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.plasticity.synapses import SYNAPSES, activity, correlate, make

from spikejax.plasticity import STDP, synapse_of


@pytest.mark.parametrize("name", SYNAPSES)
def test_it_correlates_what_each_weight_connects(name):
    layer, shape = make(name)
    pre, post = activity(layer, shape)
    found = jax.jit(lambda layer, pre, post: synapse_of(layer).correlate(pre, post))(layer, pre[0], post[0])
    np.testing.assert_allclose(found, correlate(layer, pre[0], post[0]), atol=1e-5)
    over_time = synapse_of(layer).correlate_over_time(pre, post)
    want = sum(synapse_of(layer).correlate(x, y) for x, y in zip(pre, post, strict=True))
    np.testing.assert_allclose(over_time, want, rtol=1e-5, atol=1e-5)
    assert np.abs(found).max() >= 1
    assert found.dtype == layer.kernel.dtype


def test_a_grouped_convolution_by_hand():
    layer, shape = make("conv2d")  # window (3, 2), stride (2, 1), SAME: 1 row before and after, 1 column after
    pre, post = (np.asarray(a[0]) for a in activity(layer, shape))
    want = np.zeros((3, 2, 2, 6))
    for n, y, x, o in np.ndindex(post.shape):
        for i, j, c in np.ndindex(3, 2, 2):
            row, column = 2 * y + i - 1, x + j
            if 0 <= row < 5 and column < 4:
                want[i, j, c, o] += pre[n, row, column, o // 3 * 2 + c] * post[n, y, x, o]
    np.testing.assert_allclose(synapse_of(layer).correlate(pre, post), want, atol=1e-5)


def test_traces_go_through_a_spike_layer():
    layer, shape = make("spike dense")
    pre, post = activity(layer, shape)
    np.testing.assert_allclose(synapse_of(layer).correlate(0.25 * pre[0], post[0]), 0.25 * pre[0].T @ post[0])


def test_a_layer_in_half_precision():
    layer = nnx.Linear(6, 4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    pre, post = activity(layer, (6,))
    found = synapse_of(layer).correlate(pre[0], post[0])
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, pre[0].T @ post[0])


def test_errors():
    with pytest.raises(TypeError, match=r"the synapse \(Dropout\) must be a synapse, one of nnx.Linear, .*got Dropout"):
        STDP().init_state(nnx.Dropout(0.5), (2, 6))
    layer, _ = make("dense")
    with pytest.raises(ValueError, match=r"the synapse \(Linear\) refused an input of shape \(2, 7\)"):
        STDP().init_state(layer, (2, 7))
    with pytest.raises(ValueError, match=r"gives \(2, 4\) for an input of \(2, 6\), but the spikes .* shape \(2, 5\)"):
        synapse_of(layer).correlate(jnp.ones((2, 6)), jnp.ones((2, 5)))
