"""Losses and scores, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax.losses import accuracy, cross_entropy_rate, firing_rate, mse_rate

T, N, C = 6, 4, 3
LABELS = np.array([0, 2, 1, 2])
LENGTHS = np.array([6, 1, 3, 5])
CLASSIFICATION = {"mse_rate": mse_rate, "cross_entropy_rate": cross_entropy_rate, "accuracy": accuracy}

each_loss = pytest.mark.parametrize("loss", CLASSIFICATION.values(), ids=CLASSIFICATION)


@pytest.fixture
def spikes():
    return np.random.default_rng(3).integers(0, 2, (T, N, C)).astype(np.float32)


def rate_of(spikes, lengths=None):
    lengths = [T] * N if lengths is None else lengths
    return np.stack([spikes[:length, n].mean(0, dtype=np.float64) for n, length in enumerate(lengths)])


def by_hand(name, rate):
    match name:
        case "mse_rate":
            return np.mean((rate - np.eye(C)[LABELS]) ** 2)
        case "cross_entropy_rate":
            return -np.mean([r[c] - np.log(np.exp(r).sum()) for r, c in zip(rate, LABELS, strict=True)])
        case "accuracy":
            return np.mean(rate.argmax(1) == LABELS)


def test_every_public_loss_is_tested():
    assert {*CLASSIFICATION, "firing_rate"} < set(sx.losses.__all__)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
def test_values(spikes, lengths):
    rate = rate_of(spikes, lengths)
    np.testing.assert_allclose(firing_rate(jnp.asarray(spikes), lengths), rate, rtol=1e-6)
    for name, loss in CLASSIFICATION.items():
        want = by_hand(name, rate)
        np.testing.assert_allclose(loss(jnp.asarray(spikes), LABELS, lengths), want, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(loss)(jnp.asarray(spikes), LABELS, lengths), want, rtol=1e-6)


def test_steps_after_the_length_do_not_count(spikes):
    outs = jnp.asarray(spikes)
    padded = jnp.where(jnp.arange(T)[:, None, None] < LENGTHS[:, None], outs, jnp.nan)
    for loss in CLASSIFICATION.values():
        np.testing.assert_array_equal(loss(padded, LABELS, LENGTHS), loss(outs, LABELS, LENGTHS))
    grad = jax.grad(mse_rate)(outs, LABELS, LENGTHS)
    np.testing.assert_array_equal(grad[LENGTHS[1] :, 1], 0)


def test_rates_of_any_shape_and_dtype():
    outs = jnp.ones((5, 2, 3, 4), jnp.bfloat16).at[0].set(0)
    np.testing.assert_allclose(firing_rate(outs), jnp.full((2, 3, 4), 0.8), rtol=1e-6)
    assert firing_rate(outs).dtype == jnp.float32
    np.testing.assert_allclose(firing_rate(outs.astype(bool), [1, 5]), [[[0] * 4] * 3, [[0.8] * 4] * 3], rtol=1e-6)
    # 3000 steps do not fit into the mantissa of bfloat16.
    assert firing_rate(jnp.ones((3000, 1, 1), jnp.bfloat16)) == 1


def test_ideal_outputs():
    outs = jnp.broadcast_to(jax.nn.one_hot(LABELS, C), (T, N, C))
    assert mse_rate(outs, LABELS) == 0
    assert accuracy(outs, LABELS) == 1
    assert accuracy(jnp.zeros((T, N, C)), np.zeros(N, int)) == 1


@each_loss
@pytest.mark.parametrize(
    ("outs", "labels", "message"),
    [
        ((N, C), LABELS, r"`outs` must be \[T, N, C\], time first, got shape \(4, 3\)"),
        ((T, N, 2, C), LABELS, r"`outs` must be \[T, N, C\], time first"),
        ((T, N, C), LABELS[:3], r"`labels` must be integers of shape \(4,\).* got int\d+ of shape \(3,\)"),
        ((T, N, C), np.eye(C)[LABELS], r"`labels` must be integers .* got float\d+ of shape \(4, 3\)"),
        ((T, N, C), LABELS.astype(float), r"`labels` must be integers"),
        ((T, N, C), LABELS + 1, r"`labels` must be within \[0, 2\], got values from 1.0 to 3.0"),
        ((T, N, C), LABELS - 1, r"`labels` must be within \[0, 2\], got values from -1.0 to 1.0"),
    ],
)
def test_labels_that_do_not_fit_are_refused(loss, outs, labels, message):
    for transform in (lambda evaluate: evaluate, jax.jit):
        with pytest.raises(ValueError, match=message):
            transform(lambda outs: loss(outs, labels))(jnp.zeros(outs))


@pytest.mark.parametrize("loss", [*CLASSIFICATION.values(), lambda outs, _, lengths: firing_rate(outs, lengths)])
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([6, 1, 3], r"`lengths` must be integers of shape \(4,\)"),
        ([3], r"`lengths` must be integers of shape \(4,\)"),
        ([6.0, 1.0, 3.0, 5.0], r"`lengths` must be integers .* got float"),
        ([6, 0, 3, 5], r"`lengths` must be within \[1, 6\], got values from 0.0 to 6.0"),
        ([7, 1, 3, 5], r"`lengths` must be within \[1, 6\]"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(loss, lengths, message):
    for transform in (lambda evaluate: evaluate, jax.jit):
        with pytest.raises(ValueError, match=message):
            transform(lambda outs: loss(outs, LABELS, lengths))(jnp.zeros((T, N, C)))
