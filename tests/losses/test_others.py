"""Losses of single steps, spike trains and activity, targets and decoders, against NumPy in float64."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax import losses

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")
T, N, C = 7, 4, 3
LABELS = np.array([0, 2, 1, 2])
LENGTHS = np.array([7, 1, 3, 5])
SPIKES = np.random.default_rng(3).integers(0, 2, (T, N, C)).astype(np.float32)
REAL = np.random.default_rng(4).normal(size=(T, N, C)).astype(np.float32)
SEVERAL = np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]])


def cross_entropy(logits, classes, smoothing=0.0):
    p = (1 - smoothing) * np.eye(C)[classes] + smoothing / C
    return -(p * (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))).sum(-1)


def tet(smoothing=0.0, share=0.0, target=1.0):
    def by_hand(outs, lengths):
        each = []
        for n, steps in enumerate(lengths):
            own = outs[:steps, n]
            ce = cross_entropy(own, LABELS[n], smoothing)
            each.append(np.mean((1 - share) * ce + share * ((own - target) ** 2).mean(-1)))
        return np.mean(each)

    return by_hand


def similarity(kernel, loss, parameter=1.0, same=LABELS[:, None] == LABELS):
    def by_hand(outs, lengths):
        outs = np.stack([np.where(np.arange(T)[:, None] < steps, outs[:, n], 0) for n, steps in enumerate(lengths)])
        got = np.empty((N, N))
        for i in range(N):
            for j in range(N):
                x, y = outs[i].ravel(), outs[j].ravel()
                norms = np.linalg.norm(x) * np.linalg.norm(y)
                got[i, j] = {
                    "linear": x @ y / norms if norms else 0,
                    "polynomial": (x @ y) ** parameter,
                    "sigmoid": 1 / (1 + np.exp(-parameter * (x @ y))),
                    "gaussian": np.exp(-np.sum((x - y) ** 2) / (2 * parameter**2)),
                }[kernel]
        if loss == "bce":
            got = np.clip(got, 2.0**-23, 1 - 2.0**-23)
            return -np.mean(np.where(same, np.log(got), np.log1p(-got)))
        return np.mean((got - same) ** 2) if loss == "mse" else np.mean(abs(got - same))

    return by_hand


def rates(lower, upper):
    def by_hand(outs, lengths):
        rate = np.mean([outs[:steps, n].mean(0) for n, steps in enumerate(lengths)], 0)
        return np.mean(np.maximum(lower - rate, 0) ** 2 + np.maximum(rate - upper, 0) ** 2)

    return by_hand


def synchrony(outs, lengths):
    chi = []
    for n, steps in enumerate(lengths):
        own = outs[:steps, n]
        each = own.var(0).mean()
        chi.append(own.mean(1).var() / each if each else 0)
    return np.mean(chi)


def first_times(outs, lengths):
    return np.array([
        [next((t for t in range(steps) if outs[t, n, c]), steps) for c in range(C)] for n, steps in enumerate(lengths)
    ])  # fmt: skip


CASES = {
    "temporal_efficient_training": [
        (
            SPIKES,
            lambda outs, lengths, options=options: losses.temporal_efficient_training(outs, LABELS, lengths, **options),
            tet(*options.values()),
        )
        for options in ({}, {"label_smoothing": 0.2}, {"label_smoothing": 0.1, "regularization": 0.3, "target": 0.5})
    ],
    "spike_similarity": [
        (
            SPIKES,
            lambda outs, lengths, options=options: losses.spike_similarity(outs, LABELS, lengths, **options),
            similarity(**options),
        )
        for options in (
            {"kernel": "linear", "loss": "mse"},
            {"kernel": "linear", "loss": "bce"},
            {"kernel": "polynomial", "loss": "l1", "parameter": 2.0},
            {"kernel": "sigmoid", "loss": "bce", "parameter": 0.3},
            {"kernel": "gaussian", "loss": "bce", "parameter": 2.0},
        )
    ]
    + [
        (
            SPIKES,
            lambda outs, lengths: losses.spike_similarity(outs, SEVERAL, lengths),
            similarity("linear", "mse", same=(SEVERAL @ SEVERAL.T) > 0),
        )
    ],
    "cross_entropy_rate": [
        (
            SPIKES,
            lambda outs, lengths: losses.cross_entropy_rate(outs, LABELS, lengths, label_smoothing=0.1),
            lambda outs, lengths: np.mean(
                [cross_entropy(outs[:s, n].mean(0), LABELS[n], 0.1) for n, s in enumerate(lengths)]
            ),
        ),
    ],
    "firing_rate_penalty": [
        (SPIKES, lambda outs, lengths: losses.firing_rate_penalty(outs, 0.5, 0.6, lengths), rates(0.5, 0.6)),
        (
            SPIKES,
            lambda outs, lengths: losses.firing_rate_penalty(outs, np.array([0.1, 0.5, 0.9]), lengths=lengths),
            rates(np.array([0.1, 0.5, 0.9]), 1.0),
        ),
    ],
    "synchrony_penalty": [(SPIKES, lambda outs, lengths: losses.synchrony_penalty(outs, lengths), synchrony)],
    "first_spike_time": [(SPIKES, losses.first_spike_time, first_times)],
    "decode_first_spike": [(SPIKES, losses.decode_first_spike, lambda *given: first_times(*given).argmin(-1))],
    "membrane_maximum": [
        (
            REAL,
            losses.membrane_maximum,
            lambda outs, lengths: np.stack([outs[:s, n].max(0) for n, s in enumerate(lengths)]),
        )
    ],
}
OTHERS = {"kernel_product", "first_spike_index", "redundant_one_hot", "threshold_margin"}
each = pytest.mark.parametrize("cases", CASES.values(), ids=CASES)


def test_every_public_name_is_tested():
    assert set(losses.__all__) == {*CASES, *OTHERS, "accuracy", "firing_rate", "mse_rate"}


@each
def test_values_with_and_without_lengths(cases):
    for outs, loss, by_hand in cases:
        jitted = jax.jit(loss)
        for lengths in (np.full(N, T), LENGTHS):
            want = by_hand(outs.astype(np.float64), lengths)
            np.testing.assert_allclose(jitted(outs, lengths), want, rtol=2e-5, atol=1e-7)
        np.testing.assert_allclose(loss(jnp.asarray(outs), None), by_hand(outs.astype(np.float64), [T] * N), rtol=2e-5)
        padded = np.where(np.arange(T)[:, None, None] < LENGTHS[:, None], outs, np.nan)
        np.testing.assert_allclose(jitted(padded, LENGTHS), jitted(outs, LENGTHS))


@each
def test_gradients(cases):
    for outs, loss, by_hand in cases:
        soft = np.clip(outs, 0.1, 0.9) + 0.03 * REAL
        if jnp.issubdtype(loss(jnp.asarray(soft), None).dtype, jnp.integer) or by_hand is first_times:
            continue
        direction = np.random.default_rng(0).normal(size=outs.shape)
        total = lambda outs, loss=loss: jnp.sum(loss(outs, LENGTHS))  # noqa: E731
        grad = jax.jit(jax.grad(total))(soft)
        plus, minus = (np.sum(by_hand(soft.astype(np.float64) + h * direction, LENGTHS)) for h in (1e-6, -1e-6))
        np.testing.assert_allclose(np.sum(grad * direction), (plus - minus) / 2e-6, rtol=1e-3, atol=1e-5)


def test_tet_of_the_golden_values():
    outs, labels = GOLDEN["loss/TET/x"], GOLDEN["loss/TET/target"]
    loss = losses.temporal_efficient_training(outs, labels)
    np.testing.assert_allclose(loss, GOLDEN["loss/TET/loss"], rtol=1e-6)


def test_a_silent_sample_is_like_none_and_leaves_gradients_finite():
    outs = jnp.asarray(SPIKES).at[:, 1].set(0)
    for kind in ("mse", "l1", "bce"):
        grad = jax.grad(lambda outs, kind=kind: losses.spike_similarity(outs, LABELS, loss=kind))(outs)
        assert np.isfinite(grad).all()
    assert losses.synchrony_penalty(jnp.ones((T, N, C))) == 0
    together = jnp.broadcast_to(jnp.asarray(SPIKES[:, :, :1]), (T, N, 50))
    np.testing.assert_allclose(losses.synchrony_penalty(together), 1, rtol=1e-6)
    alone = np.random.default_rng(0).random((4000, 1, 50)) < 0.3
    np.testing.assert_allclose(losses.synchrony_penalty(jnp.asarray(alone)), 1 / 50, rtol=0.1)


def test_the_gradient_of_the_first_spike_time():
    spikes = jnp.zeros((6, 1, 1)).at[jnp.array([3, 5])].set(1)
    grad = jax.grad(lambda s: losses.first_spike_time(s).sum())(spikes)[:, 0, 0]
    # A spike at step u < 3 would save 3 - u steps; without the one at 3, two steps more pass until the one at 5.
    np.testing.assert_array_equal(grad, [-3, -2, -1, -2, 0, 0])


def test_first_spike_index():
    want = np.zeros((T, N, C), bool)
    for n in range(N):
        for c in range(C):
            want[SPIKES[:, n, c].argmax(), n, c] = SPIKES[:, n, c].any()
    np.testing.assert_array_equal(losses.first_spike_index(SPIKES), want)
    np.testing.assert_array_equal(losses.first_spike_index(np.array([[0], [0.5], [2], [0]]))[:, 0], [0, 1, 0, 0])


def test_targets():
    np.testing.assert_array_equal(
        losses.redundant_one_hot(np.array([1, 0]), 3, 2), [[0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]
    )
    margin = losses.threshold_margin(LABELS, C, threshold0=0.8, threshold1=1.2)
    np.testing.assert_allclose(margin, np.where(np.eye(C)[LABELS], 1.2, 0.8), rtol=1e-6)
    currents = jnp.full((6, N, C), 1.0)
    _, outs = jax.jit(lambda margin: sx.run(sx.IF(v_threshold=margin), currents))(margin)
    np.testing.assert_array_equal(outs.sum(0), np.where(np.eye(C)[LABELS], 3, 6))


def test_kernel_product_of_two_sets():
    x, y = REAL[0], REAL[1, :2]
    np.testing.assert_allclose(losses.kernel_product(x, y), x @ y.T, rtol=1e-5)
    want = np.exp(-((x[:, None] - y[None]) ** 2).sum(-1) / 2 / 0.7**2)
    np.testing.assert_allclose(losses.kernel_product(x, y, "gaussian", 0.7), want, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.temporal_efficient_training(SPIKES, LABELS, regularization=1.5), "`regularization` must be"),
        (lambda: losses.temporal_efficient_training(SPIKES, LABELS + 1), "`labels` must be within \\[0, 2\\]"),
        (lambda: losses.cross_entropy_rate(SPIKES, LABELS, label_smoothing=-0.1), "`label_smoothing` must be within"),
        (lambda: losses.spike_similarity(SPIKES[0], LABELS), r"`outs` must be \[T, N, M\], time first"),
        (lambda: losses.spike_similarity(SPIKES, LABELS[:2]), r"`labels` must be integers of shape \(4,\), or 0 and 1"),
        (lambda: losses.spike_similarity(SPIKES, 2 * SEVERAL), "`labels` must be 0 and 1 where a sample may have"),
        (lambda: losses.spike_similarity(SPIKES, LABELS, kernel="cubic"), "`kernel` must be one of 'linear'"),
        (
            lambda: losses.spike_similarity(SPIKES, LABELS, loss="l2"),
            "`loss` must be one of 'mse', 'l1', 'bce', got 'l2'",
        ),
        (lambda: losses.spike_similarity(SPIKES, LABELS, kernel="polynomial", loss="bce"), "'bce' needs similarities"),
        (lambda: losses.kernel_product(REAL[0], REAL), r"`x` and `y` must be \[N, M\] and \[L, M\]"),
        (lambda: losses.kernel_product(REAL[0], REAL[0], "sigmoid", 0.0), r"`parameter` must be > 0, got 0\.0"),
        (lambda: losses.redundant_one_hot(LABELS, 2, 3), "`labels` must be within \\[0, 1\\]"),
        (lambda: losses.redundant_one_hot(LABELS, 3, 0), "`copies` must be an integer >= 1, got 0"),
        (lambda: losses.threshold_margin(LABELS, 3, threshold0=1.2), "`threshold0` must be < `threshold1`"),
        (lambda: losses.threshold_margin(LABELS / 2, 3), r"`labels` must be integers \[N\], got float"),
        (lambda: losses.firing_rate_penalty(SPIKES, 0.5, 0.4), r"`upper` must be >= `lower` = 0\.5, got 0\.4"),
        (lambda: losses.firing_rate_penalty(SPIKES, -0.5), r"`lower` must be >= 0, got -0\.5"),
        (lambda: losses.first_spike_time(SPIKES, LENGTHS + 1), "`lengths` must be within \\[1, 7\\]"),
        (
            lambda: losses.first_spike_time(2 * SPIKES),
            r"`spikes` must be within \[0, 1\], got values from 0\.0 to 2\.0",
        ),
        (lambda: losses.decode_first_spike(SPIKES[0]), r"`outs` must be \[T, N, C\], time first"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
