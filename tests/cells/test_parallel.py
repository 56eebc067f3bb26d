"""The neurons that mix time: against loops in NumPy, and every way against the others."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.cells.mixing import (
    BATCH,
    FEATURES,
    GOLDEN,
    KEY,
    TAPS,
    THRESHOLDS,
    K,
    T,
    build,
    close,
    each_cell,
    golden_cells,
    inputs,
    loop,
    outcome,
    run,
    sliding_loop,
    slope,
    weights,
)

import spikejax as sx


@pytest.mark.parametrize(("name", "cell"), golden_cells().items(), ids=golden_cells())
def test_equals_golden(name, cell):
    golden = {key.rsplit("/", 1)[1]: GOLDEN[key] for key in GOLDEN.files if key.startswith(f"neuron/{name}/")}
    xs, weight = jnp.asarray(GOLDEN["_inputs/x"]), GOLDEN["_inputs/w1"]
    ys, _, (grad_cell, grad_x) = outcome(cell, xs, weight=weight)
    np.testing.assert_array_equal(ys, golden["s"])
    found = {"grad_x": grad_x, "grad_w": grad_cell.weight, "grad_b": -grad_cell.v_threshold, "w": cell.weight}
    for key in set(golden) - {"s"}:
        np.testing.assert_allclose(found[key], golden[key], atol=5e-6)
    assert "grad_x" in golden or name.endswith("0.4")


@pytest.mark.parametrize("v_threshold", THRESHOLDS.values(), ids=THRESHOLDS)
@pytest.mark.parametrize("kind", ["PSN", "MaskedPSN"])
def test_equals_the_loop_and_its_gradient(kind, v_threshold):
    xs, w1 = inputs(), np.sin(np.arange(T * BATCH * FEATURES)).reshape(T, BATCH, FEATURES)
    h, s = loop(kind, xs, v_threshold)
    assert 0.1 < s.mean() < 0.9
    with jax.enable_x64(True):
        given = v_threshold if np.ndim(v_threshold) == 0 else jnp.asarray(v_threshold)
        cell = build(kind, given)
        ys, _, (grad_cell, grad_x) = outcome(cell, jnp.asarray(xs), weight=w1)
    np.testing.assert_array_equal(ys, s)
    offset = np.reshape(v_threshold, (-1, 1, 1)) if np.ndim(v_threshold) < 2 else np.asarray(v_threshold)[:, None]
    d_h = w1 * slope(h - offset)
    back = np.subtract.outer(np.arange(T), np.arange(T))
    seen = np.where((back >= 0) & (back < K), 1.0, 0.6) if kind == "MaskedPSN" else np.ones((T, T))
    close(grad_x, np.einsum("tj,tnf->jnf", weights() * seen, d_h), 1e-12)
    close(grad_cell.weight, seen * np.einsum("tnf,jnf->tj", d_h, xs), 1e-12)
    if np.ndim(v_threshold):
        axes = tuple(i for i, n in ((1, 0), (2, np.size(v_threshold) == T)) if i == 1 or n)
        close(grad_cell.v_threshold, -d_h.sum(axes).reshape(np.shape(v_threshold)), 1e-12)
    else:
        assert cell.v_threshold == 0.3


@pytest.mark.parametrize("taps", TAPS.values(), ids=TAPS)
def test_sliding_equals_the_loop_and_its_gradient(taps):
    xs, w1 = inputs(11), np.sin(np.arange(11 * BATCH * FEATURES)).reshape(11, BATCH, FEATURES)
    h, s = sliding_loop(taps, xs)
    assert 0.1 < s.mean() < 0.9
    with jax.enable_x64(True):
        cell = sx.SlidingPSN(k=K, weight=jnp.asarray(taps), v_threshold=jnp.full(FEATURES, 0.3))
        start = cell.init_state(xs.shape[1:], jnp.float64)
        xs = jnp.asarray(xs)
        ys, _, (grad_cell, grad_x) = outcome(cell, xs, start, w1)
    np.testing.assert_array_equal(ys, s)
    d_h, d_x, d_w = w1 * slope(h - 0.3), np.zeros_like(h), np.zeros((K, BATCH, FEATURES))
    for t in range(11):
        for back in range(min(K, t + 1)):
            d_x[t - back] += taps[K - 1 - back] * d_h[t]
            d_w[K - 1 - back] += np.asarray(xs)[t - back] * d_h[t]
    close(grad_x, d_x, 1e-12)
    close(grad_cell.weight, d_w.sum(1) if taps.ndim == 2 else d_w.sum((1, 2)), 1e-12)
    close(grad_cell.v_threshold, -d_h.sum((0, 1)), 1e-12)


@pytest.mark.parametrize("name", TAPS)
def test_sliding_equals_its_steps_in_every_way(name):
    cell = sx.SlidingPSN(k=K, weight=TAPS[name], v_threshold=jnp.array(0.3))
    xs = jnp.asarray(inputs(11), jnp.float32)
    state, spikes = cell.init_state(xs.shape[1:]), []
    step = jax.jit(cell.step)
    for x in xs:
        state, s = step(state, x)
        spikes.append(s)
    np.testing.assert_array_equal(jnp.moveaxis(state.past, -1, 0), xs[-K + 1 :])
    want = outcome(cell, xs)
    np.testing.assert_array_equal(want[0], jnp.stack(spikes))
    close(want[1], state)
    shared = {"chunk": 1}, {"chunk": 4, "remat": True}
    for how in shared if name == "shared" else ({"chunk": 2}, {"chunk": 11, "method": "associative"}):
        got = outcome(cell, xs, **how)
        np.testing.assert_array_equal(got[0], want[0])
        close(got, want)
    middle, first = run(cell, xs[:5])
    last, second = run(cell, xs[5:], middle)
    np.testing.assert_array_equal(jnp.concatenate((first, second)), want[0])
    close(last, state)


def test_sliding_sequences_end_at_their_lengths():
    cell = sx.SlidingPSN(k=K, weight=TAPS["shared"])
    xs = jnp.asarray(inputs(11), jnp.float32)
    for chunk in (None, 4):
        state, (ys, kept) = run(cell, xs, lengths=jnp.array([4, 9]), chunk=chunk, record=("past",))
        for n, length in enumerate((4, 9)):
            last, alone = run(cell, xs[:length, n : n + 1])
            np.testing.assert_array_equal(ys[:length, n], alone[:, 0])
            np.testing.assert_array_equal(state.past[n], last.past[0])
            np.testing.assert_array_equal(kept["past"][length - 1 :, n], jnp.stack([last.past[0]] * (12 - length)))


def test_one_tap_has_no_history():
    cell = sx.SlidingPSN(k=1)
    xs = jnp.asarray(inputs(5))
    state, ys = run(cell, xs, chunk=2)
    assert state.past.shape == (BATCH, FEATURES, 0)
    np.testing.assert_array_equal(ys, xs >= 1)


@each_cell
def test_static_input_equals_its_repetition(cell):
    x = jnp.asarray(inputs()[2], jnp.float32)
    want, _, (_, grad) = outcome(cell, jnp.broadcast_to(x, (T, *x.shape)))
    weight = jnp.cos(jnp.arange(want.size)).reshape(want.shape)
    np.testing.assert_array_equal(run(cell, x, steps=T)[1], want)
    close(jax.grad(lambda x: jnp.sum(weight * run(cell, x, steps=T)[1]))(x), grad.sum(0))


@each_cell
def test_transformations_keep_the_result(cell):
    xs = jnp.asarray(inputs(), jnp.float32)
    want = run(cell, xs)[1]
    np.testing.assert_array_equal(sx.run(cell, xs)[1], want)
    np.testing.assert_array_equal(jax.checkpoint(run)(cell, xs)[1], want)
    each = jax.vmap(lambda xs: run(cell, xs)[1], in_axes=1, out_axes=1)(xs[:, :, None])
    np.testing.assert_array_equal(each[:, :, 0], want)
    two = jax.tree.map(lambda a: jnp.stack((a, 2 * a)), cell)
    many = jax.vmap(lambda cell: run(cell, xs)[1])(two)
    np.testing.assert_array_equal(many[0], want)
    np.testing.assert_array_equal(many[1], run(jax.tree.map(lambda a: 2 * a, cell), xs)[1])


@each_cell
def test_dtypes(cell):
    xs = jnp.asarray(inputs(), jnp.bfloat16)
    state, ys = run(cell, xs)
    assert ys.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
    np.testing.assert_array_equal(ys, run(cell, xs.astype(jnp.float32))[1].astype(jnp.bfloat16))
    assert run(cell, jnp.ones(xs.shape, jnp.uint8))[1].dtype == jnp.float32


@each_cell
def test_equal_cells_compile_once_and_survive_copies(cell):
    traces = []

    @jax.jit
    def spikes(cell, xs):
        traces.append(cell)
        return sx.run(cell, xs)[1]

    xs = jnp.asarray(inputs(), jnp.float32)
    want = spikes(cell, xs)
    others = (
        pickle.loads(pickle.dumps(cell)),
        copy.deepcopy(cell),
        cell.replace(),
        jax.tree.unflatten(*jax.tree.flatten(cell)[::-1]),
    )
    for other in others:
        assert other == cell
        np.testing.assert_array_equal(spikes(other, xs), want)
    spikes(cell.replace(weight=2 * cell.weight), xs)
    assert len(traces) == 1
    assert cell.replace(v_threshold=0.4) != cell
    assert repr(cell).startswith(f"{type(cell).__name__}(")


def test_initial_weights():
    cell = sx.PSN(T=100, key=KEY)
    assert cell.weight.shape == (100, 100)
    assert abs(cell.weight).max() <= 0.1
    # the standard deviation of a uniform distribution is its bound / sqrt(3); that of 10^4 draws has error 5e-4
    np.testing.assert_allclose(cell.weight.std(), 0.1 / 3**0.5, rtol=0.02)
    np.testing.assert_array_equal(cell.v_threshold, jnp.ones(100))
    np.testing.assert_array_equal(sx.MaskedPSN(T=100, k=5, key=KEY).weight, cell.weight)
    assert abs(sx.PSN(T=100, key=jax.random.key(2)).weight - cell.weight).max() > 0.1
    np.testing.assert_array_equal(sx.SlidingPSN(k=4).weight, [0.125, 0.25, 0.5, 1])
    drawn = sx.SlidingPSN(k=100, key=KEY)
    assert 0.08 < abs(drawn.weight).max() <= 0.1
    assert drawn.v_threshold == 1 and isinstance(drawn.v_threshold, jax.Array)


def test_masking_hides_the_future_and_the_past():
    smooth = sx.surrogate.ATan(spiking=False)

    def sees(cell):
        """Which input steps (columns) each output step (row) depends on."""
        return jax.jit(jax.jacobian(lambda x: sx.run(cell, x[:, None])[1][:, 0]))(jnp.ones(T)) != 0

    i, j = np.indices((T, T))
    band = (j <= i) & (i - j < K)
    masked = sx.MaskedPSN(T=T, k=K, key=KEY, surrogate=smooth)
    np.testing.assert_array_equal(sees(masked), band)
    np.testing.assert_array_equal(sees(masked.replace(masking=0.9)), np.ones((T, T)))
    np.testing.assert_array_equal(sees(sx.SlidingPSN(k=K, surrogate=smooth)), band)
    xs = jnp.asarray(inputs())
    open_ = masked.replace(masking=0.0)
    np.testing.assert_array_equal(run(open_, xs)[1], run(sx.PSN(T=T, key=KEY, surrogate=smooth), xs)[1])


def test_masking_as_an_array_is_not_trained():
    cell = build("MaskedPSN").replace(masking=jnp.array(0.4))
    xs = jnp.asarray(inputs(), jnp.float32)
    ys, _, (grad_cell, _) = outcome(cell, xs)
    np.testing.assert_array_equal(ys, run(build("MaskedPSN"), xs)[1])
    assert grad_cell.masking == 0
    assert abs(grad_cell.weight).max() > 0


def test_a_masked_psn_of_equal_rows_is_a_sliding_one():
    taps, matrix = np.array([0.3, -0.5, 0.9]), np.zeros((T, T))
    for t in range(T):
        for back in range(min(K, t + 1)):
            matrix[t, t - back] = taps[K - 1 - back]
    xs = jnp.asarray(inputs())
    masked = sx.MaskedPSN(T=T, k=K, weight=matrix, v_threshold=0.3)
    np.testing.assert_array_equal(run(masked, xs)[1], run(sx.SlidingPSN(k=K, weight=taps, v_threshold=0.3), xs)[1])
