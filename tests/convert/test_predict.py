"""What a converted network says over time."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.nn.initializers import he_normal
from tests.convert.networks import chain, inputs

import spikejax as sx
from spikejax.convert import RateIF, accuracy_over_time, calibrate_offset, convert, predict

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


def test_a_network_that_draws_is_calibrated_on_what_it_draws():
    net, key = convert(chain(nnx.Rngs(0)), X, neuron=RateIF(v_init=0.5), coding="poisson"), jax.random.key(1)
    drawn, start = jax.jit(lambda x: calibrate_offset(net, x, 8, key=key)[0])(X), net.init_state(X.shape, key=key)[0]
    np.testing.assert_array_equal(*(sx.run(net[0], X, first, steps=8)[1] for first in (drawn, start)))
    labels = np.zeros(len(X), int)
    assert accuracy_over_time(net, X, labels, 8, calibrated=True, key=key).shape == (8,)


def test_errors(net):
    with pytest.raises(ValueError, match=r"`steps` must be an integer >= 1, got 0"):
        predict(net, X, 0)
    with pytest.raises(ValueError, match=r"`net` must put out \[N, classes\], two classes at least, got \(16, 1\)"):
        predict(sx.nn.Sequential(sx.nn.Flatten(), lambda x: x[:, :1], sx.IF()), X, 3)
    with pytest.raises(ValueError, match=r"as many samples, at least one, got 16 and 3"):
        accuracy_over_time(net, X, jnp.zeros(3), 4)
    with pytest.raises(ValueError, match=r"`rounds` must be an integer >= 1, got 0"):
        calibrate_offset(net, X, 4, rounds=0)


class Replay:
    """Gives the steps of a sequence one after another, whatever it sees."""

    def __init__(self, xs):
        self.xs = xs

    def init_state(self, shape, dtype=jnp.float32, *, key=None):
        return jnp.zeros((), jnp.int32)

    def step(self, state, x):
        return state + 1, self.xs[state]


def test_spikes_too_many_or_too_few_are_mended():
    xs = jnp.array([[0.9, 0.0, 0.3], [-0.2, 0.0, 0.3], [-0.2, 0.0, 0.3], [-0.2, 2.4, 0.3]])[:, None]
    net = sx.nn.Sequential(Replay(xs), RateIF(v_init=0.5))
    x, wanted = jnp.zeros((1, 3)), jnp.round(xs.sum(0))
    np.testing.assert_array_equal(sx.run(net, x, steps=4)[1].sum(0) - wanted, [[1, -1, 0]])
    state = jax.jit(lambda x: calibrate_offset(net, x, 4))(x)
    np.testing.assert_array_equal(sx.run(net, x, state, steps=4)[1].sum(0), wanted)
    np.testing.assert_array_equal(state[1].v, [[-0.5, 1.5, 0.5]])


def test_calibrated_offsets_say_more_in_few_steps():
    rngs, x = nnx.Rngs(0), inputs(64)
    sizes = itertools.pairwise((72, 32, 32, 32, 32, 3))
    layers = [f for i, o in sizes for f in (nnx.Linear(i, o, kernel_init=he_normal(), rngs=rngs), nnx.relu)]
    ann = nnx.Sequential(lambda x: x.reshape(len(x), -1), *layers[:-1])
    net = convert(ann, x, neuron=RateIF(v_init=0.5))

    def error(rounds):
        state = calibrate_offset(net, x, 8, rounds=rounds) if rounds else None
        return jnp.abs(predict(net, x, 8, state=state).outputs - ann(x)).mean()

    plain, once, thrice = (float(jax.jit(error, static_argnums=0)(rounds)) for rounds in (0, 1, 3))
    assert once < 0.9 * plain
    assert thrice < 0.9 * plain
    labels = ann(x).argmax(-1)
    plain, mended = (accuracy_over_time(net, x, labels, 8, calibrated=c, batch_size=32)[-1] for c in (False, True))
    assert mended >= plain


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (sx.nn.Recurrent(sx.nn.Sequential(RateIF()), jnp.negative), r"comes back to others in layer 0: calibrate a"),
        (sx.nn.Reversed(RateIF()), r"layer 0 reads the sequence from its end: calibrate a network that reads"),
    ],
    ids=["loop", "reversed"],
)
def test_networks_that_cannot_be_calibrated_are_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        calibrate_offset(sx.nn.Sequential(layer), jnp.ones((2, 3)), 4)
