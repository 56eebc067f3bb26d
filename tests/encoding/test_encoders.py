"""Every encoder against a float64 NumPy loop, and the laws that hold for all."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax.encoding import DeltaModulation, GaussianTuning, LastInput, Latency, Periodic, Population, WeightedPhase

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")
T, N, F = 13, 2, 3
XS = np.random.default_rng(0).uniform(0, 0.96, (T, N, F)).astype(np.float32)
PATTERN = np.random.default_rng(1).integers(0, 2, (4, N, F))


def latency(form, steps):
    def by_hand(xs):
        alpha = np.exp(steps - 1) - 1
        first = (steps - 1) * (1 - xs) if form == "linear" else (steps - 1) - np.log(alpha * xs + 1)
        return np.arange(len(xs))[:, None, None] % steps == np.round(first)

    return by_hand


def phase(xs):
    k = np.arange(len(xs))[:, None, None] % 5 + 1
    return np.floor(xs * 2.0**k) % 2


def bells(xs, low=0.0, high=1.0):
    i = np.arange(1, 6)
    mu = low + (2 * i - 3) / 2 * (high - low) / 3
    return np.exp(-((xs[..., None] - mu) ** 2) / (2 * ((high - low) / 4.5) ** 2))


def gaussian(xs):
    return np.arange(len(xs))[:, None, None, None] % 6 == np.round(6 * (1 - bells(xs)))


def delta(off, since):
    def by_hand(xs):
        last, out = np.zeros(xs.shape[1:]), []
        for x in xs:
            up, down = x - last > 0.3, (x - last < -0.3) & (off != "none")
            out.append(np.concatenate([up, down], -1) if off == "channels" else up * 1.0 - down)
            last = x if since == "step" else np.where(up | down, x, last)
        return np.stack(out)

    return by_hand


CASES = {
    "latency": (Latency(6), latency("linear", 6)),
    "latency log": (Latency(6, "log"), latency("log", 6)),
    "periodic": (Periodic(PATTERN), lambda xs: PATTERN[np.arange(len(xs)) % 4]),
    "phase": (WeightedPhase(5), phase),
    "gaussian": (GaussianTuning(5, 6), gaussian),
    "delta": (DeltaModulation(0.3), delta("none", "step")),
    "delta signed": (DeltaModulation(0.3, "signed"), delta("signed", "step")),
    "delta since spike": (DeltaModulation(0.3, "channels", "spike"), delta("channels", "spike")),
    "population": (Population(5, peak=0.9), None),
}
each = pytest.mark.parametrize(("encoder", "by_hand"), CASES.values(), ids=CASES)


def test_every_encoder_is_in_the_table():
    states = {"LastInput", "RandomState", "StepIndex"}
    tested = {type(encoder).__name__ for encoder, _ in CASES.values()}
    assert set(sx.encoding.__all__) - states == tested | {"Poisson"}


def every_way(encoder, start, xs):
    """The spikes by `run`, then by other ways that must give the same, and what static input gives."""
    several = jax.vmap(lambda xs: sx.run(encoder, xs, start)[1])(jnp.stack([xs, xs[::-1]]))
    state, ys = start, []
    for x in xs[:2]:
        state, y = encoder.step(state, x)
        ys.append(y)
    outs = [sx.run(encoder, xs, start, chunk=chunk) for chunk in (T, 1, 3)]
    grad = jax.grad(lambda xs: sx.run(encoder, xs, start)[1].sum())(xs)
    return outs, several[0], jnp.stack(ys), sx.run(encoder, xs[0], start, steps=T, chunk=4)[1], grad


@each
def test_laws(encoder, by_hand, key):
    start = encoder.init_state((N, F), key=key)
    outs, several, stepped, static, grad = jax.jit(every_way, static_argnums=0)(encoder, start, XS)
    (last, want), *others = outs
    if by_hand:
        np.testing.assert_array_equal(want, by_hand(XS.astype(np.float64)))
        np.testing.assert_array_equal(static, by_hand(np.broadcast_to(XS[0], XS.shape).astype(np.float64)))
    assert 0 < np.abs(want).mean() < 1
    assert want.dtype == jnp.float32
    for again, spikes in others:
        np.testing.assert_array_equal(spikes, want)
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), again, last)))
    np.testing.assert_array_equal(several, want)
    np.testing.assert_array_equal(stepped, want[:2])
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize("name", ["latency", "delta since spike"])
def test_lengths_and_a_network(name, key):
    encoder = CASES[name][0]
    net = sx.nn.Sequential(encoder, sx.nn.Flatten(), sx.LIF(tau=1.5, v_threshold=0.5))
    start = net.init_state((N, F), key=key)
    state, ys = sx.run(net, XS, start)
    lengths = np.array([T, 5])
    last, cut = sx.run(net, XS, start, lengths=lengths, chunk=4)
    np.testing.assert_array_equal(cut[:, 0], ys[:, 0])
    np.testing.assert_array_equal(cut[:5, 1], ys[:5, 1])
    short, _ = sx.run(net, XS[:5], start)
    ends = [jax.tree.leaves(of) for of in (last, state, short)]
    for mixed, long, own in zip(*ends, strict=True):
        if mixed.ndim:
            np.testing.assert_array_equal(mixed, jnp.stack([long[0], own[1]]))
    assert 0 < ys.mean() < 1


@pytest.mark.parametrize("form", ["linear", "log"])
def test_latency_of_the_golden_values(form):
    x = jnp.asarray(GOLDEN["encoding/latency_linear_T6/x"])[None]
    _, spikes = sx.run(Latency(6, form), x, steps=12)
    np.testing.assert_array_equal(spikes[:6, 0], GOLDEN[f"encoding/latency_{form}_T6/y"])
    np.testing.assert_array_equal(spikes[6:], spikes[:6])
    ends = sx.run(Latency(500, form), jnp.array([[0.0, 1.0]]), steps=500)[1][:, 0].argmax(0)
    np.testing.assert_array_equal(ends, [499, 0])


def test_phases_of_the_golden_values_add_up():
    x = jnp.asarray(GOLDEN["encoding/phase_K5/x"])[None]
    encoder = WeightedPhase(5)
    _, spikes = sx.run(encoder, x, steps=5)
    np.testing.assert_array_equal(spikes[:, 0], GOLDEN["encoding/phase_K5/y"])
    np.testing.assert_allclose(encoder.weights @ spikes[:, 0], np.floor(x[0] * 32) / 32)
    eighths = jnp.arange(8, dtype=jnp.float16)[None] / 8
    _, bits = sx.run(WeightedPhase(24), eighths, steps=3)
    np.testing.assert_array_equal(np.array([4, 2, 1]) @ bits[:, 0], np.arange(8))


def test_population_fires_at_its_rates(key):
    encoder = Population(5, x_min=(0.0, -1.0, 10.0), x_max=(1.0, 1.0, 30.0), peak=0.8)
    x = np.array([[0.2, 0.5, 25.0]], np.float32)
    _, spikes = sx.run(encoder, x, encoder.init_state(x.shape, key=key), steps=4000)
    rate = 0.8 * np.stack([bells(x[:, i], *ends) for i, ends in enumerate([(0, 1), (-1, 1), (10, 30)])], 1)
    assert np.all(abs(spikes.mean(0) - rate) <= 5 * np.sqrt(rate * (1 - rate) / 4000) + 1e-6)


def test_the_first_change_and_a_slow_drift():
    drift = jnp.arange(1, 9, dtype=jnp.float32)[:, None, None] / 4
    assert sx.run(DeltaModulation(0.5), drift)[1].sum() == 0
    # More than the threshold since the last spike: at every third step, at 0.75, 1.5.
    np.testing.assert_array_equal(
        sx.run(DeltaModulation(0.5, since="spike"), drift)[1][:, 0, 0], [0, 0, 1, 0, 0, 1, 0, 0]
    )
    ones = jnp.ones((3, 1, 1))
    assert sx.run(DeltaModulation(0.5), ones)[1].sum() == 1
    assert sx.run(DeltaModulation(0.5), ones, LastInput(ones[0]))[1].sum() == 0


def test_periodic_spikes_are_a_constant():
    assert Periodic(PATTERN) == Periodic(PATTERN.copy()) != Periodic(1 - PATTERN)
    assert hash(Periodic(PATTERN)) == hash(Periodic(PATTERN.copy()))
    assert repr(Periodic(PATTERN)) == "Periodic(spikes=int64[4, 2, 3])"
    _, ys = sx.run(Periodic(PATTERN[:, 0]), jnp.zeros((5, F)), steps=4)
    np.testing.assert_array_equal(ys, np.repeat(PATTERN[:, :1], 5, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Latency(0), "`T` must be an integer >= 1, got 0"),
        (lambda: Latency(2.0), r"`T` must be an integer >= 1, got 2\.0"),
        (lambda: Latency(4, "square"), "`form` must be one of 'linear', 'log', got 'square'"),
        (lambda: WeightedPhase(0), "`K` must be an integer from 1 to 24, got 0"),
        (lambda: WeightedPhase(25), "`K` must be an integer from 1 to 24, got 25: .* float32 has 24"),
        (lambda: GaussianTuning(2, 5), "`m` must be an integer >= 3, got 2"),
        (lambda: GaussianTuning(4, 5, 1.0, 1.0), r"`x_min` must be < `x_max`, both finite, got 1\.0 and 1\.0"),
        (lambda: GaussianTuning(4, 5, (0.0, 0.0), (1.0,)), "one number or one a feature"),
        (lambda: GaussianTuning(4, 5, beta=0.0), r"`beta` must be > 0, got 0\.0"),
        (lambda: Population(4, peak=1.5), r"`peak` must be within \(0, 1\], got 1\.5: it is a probability"),
        (lambda: DeltaModulation(0.0), r"`threshold` must be > 0, got 0\.0"),
        (lambda: DeltaModulation(1.0, "both"), "`off` must be one of 'none', 'signed', 'channels', got 'both'"),
        (lambda: DeltaModulation(1.0, since="ever"), "`since` must be one of 'step', 'spike', got 'ever'"),
        (lambda: Periodic(np.zeros(4)), r"`spikes` must be \[T, N, \*\], time first"),
        (lambda: Periodic([[np.nan]]), "`spikes` must be finite"),
        (lambda: sx.run(Latency(4), XS + 1), r"`x` must be within \[0, 1\], got values from 1\.0\d* to 1\.9"),
        (lambda: sx.run(Latency(4), XS - np.nan), "`x` must be finite, got values from nan"),
        (lambda: sx.run(WeightedPhase(2), XS), r"`x` must be within \[0, 0\.75\].*2 bits reach no further"),
        (lambda: sx.run(GaussianTuning(4, 5, (0.0, 0.0)), XS), "are of 2 features, but the last axis of `x`"),
        (lambda: sx.run(Periodic(PATTERN), XS[:, :, :2]), r"`spikes` of shape \(4, 2, 3\) does not fit an input"),
        (lambda: sx.run(Population(4), XS), r"`key` must be given, because Population draws"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("encoder", [Latency(4), WeightedPhase(4), GaussianTuning(4, 5), DeltaModulation(0.1)])
def test_integers_are_refused(encoder):
    with pytest.raises(TypeError, match=r"`x` must be floating point.*, got int32: scale it, as in x / 255"):
        sx.run(encoder, jnp.ones((2, 1, 2), jnp.int32))
