"""What a converted network says over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.convert.networks import chain, inputs

import spikejax as sx
from spikejax.convert import accuracy_over_time, convert, predict

X = inputs()


@pytest.fixture(scope="module")
def net():
    return convert(chain(nnx.Rngs(0)), X)


@pytest.mark.parametrize("chunk", [1, 5, 23])
def test_it_counts_every_step(net, chunk):
    _, ys = sx.run(net, X, steps=13)
    sums = np.cumsum(ys, axis=0)
    found = jax.jit(lambda x: predict(net, x, 13, chunk=chunk))(X)
    np.testing.assert_array_equal(found.classes, sums.argmax(-1))
    top = np.sort(sums / np.arange(1, 14)[:, None, None], axis=-1)
    np.testing.assert_allclose(found.margin, top[..., -1] - top[..., -2], atol=1e-5)
    np.testing.assert_allclose(found.outputs, ys.mean(0), atol=1e-5)
    assert (found.decided == 13).all()


def test_it_stops_where_it_is_sure(net):
    found = predict(net, X, 20, confidence=0.1)
    for n in range(len(X)):
        sure = np.flatnonzero(np.asarray(found.margin[:, n]) >= 0.1)
        step = sure[0] + 1 if len(sure) else 20
        assert found.decided[n] == step
        assert found.early()[n] == found.classes[step - 1, n]
    assert len(set(np.asarray(found.decided).tolist())) > 1


def test_its_memory_does_not_grow_with_the_steps(net):
    def scratch(steps):
        lowered = jax.jit(lambda x: predict(net, x, steps, chunk=10).decided).lower(X)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    short, long = scratch(20), scratch(2000)
    said = 2000 * len(X) * (4 + 4) * 3  # a class and a margin a step, and what is made of them
    assert long - short < said


def test_accuracy_over_time(net):
    labels = np.asarray(predict(net, X, 12).classes[-1])
    found = accuracy_over_time(net, X, labels, 12, batch_size=5)
    assert found.shape == (12,)
    assert found[-1] == 1.0
    np.testing.assert_allclose(found[3], np.mean(np.asarray(predict(net, X, 12).classes[3]) == labels))


def test_errors(net):
    with pytest.raises(ValueError, match=r"`steps` and `chunk` must be >= 1, got 0 and 2"):
        predict(net, X, 0)
    with pytest.raises(ValueError, match=r"`net` must put out \[N, classes\], two classes at least, got \(16, 1\)"):
        predict(sx.nn.Sequential(sx.nn.Flatten(), lambda x: x[:, :1], sx.IF()), X, 3)
    with pytest.raises(ValueError, match=r"as many samples, at least one, got 16 and 3"):
        accuracy_over_time(net, X, jnp.zeros(3), 4)
