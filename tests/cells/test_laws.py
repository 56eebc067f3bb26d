"""The laws that every cell obeys, whichever way it is computed."""

import os
import subprocess
import sys
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from tests.cells.cases import ALL, BATCH, CUSTOM, FEATURES, HARD, ROWS, SOFT, STEPS, VARIANTS, Row, Variant
from tests.cells.reference import inputs, simulate

import spikejax as sx

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")

each_row = pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
each_variant = pytest.mark.parametrize(
    ("row", "variant"), [pytest.param(row, v, id=f"{row.name}-{v}") for row in ALL for v in row.variants]
)
both_resets = pytest.mark.parametrize(
    ("row", "variant"),
    [pytest.param(row, v, id=f"{row.name}-{v}") for row in ALL for v in row.variants if v in (HARD, SOFT)],
)


def start(cell, v0):
    """The cell's first state, with another membrane."""
    return cell.init_state(v0.shape, v0.dtype)._replace(v=v0)


def problem(cell, dtype=jnp.float32, at=None):
    """Input, first state and loss weights for `cell`."""
    xs, v0, w1, w2 = (jnp.asarray(a, dtype) for a in at or inputs())
    return xs, start(cell, v0), (w1, w2)


def objective(cell, xs, state, weights, run=sx.run, **how):
    """A loss on every output and on the last membrane; also outputs and last state."""
    state, ys = run(cell, xs, state, **how)
    return jnp.sum(weights[0] * ys) + jnp.sum(weights[1] * state.v), (ys, state)


def run_and_grad(cell, xs, state, weights, **how):
    """Outputs and last state; gradients of `objective` in the cell's arrays, the input, the first state."""

    def loss(*args):
        return objective(*args, weights, **how)

    grads, outs = jax.grad(loss, (0, 1, 2), has_aux=True)(cell, xs, state)
    return outs, grads


@cache
def plain(row, variant):
    """`run_and_grad` the plain way: one chunk, nothing computed twice."""
    cell = row.build(variant)
    return jax.jit(run_and_grad)(cell, *problem(cell))


def close(got, want, tolerance=2e-6):
    """Asserts equal trees, each value to `tolerance` relative to max(1, |value|)."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_array_less(abs(a - b) / np.maximum(1, abs(b)), tolerance)


def test_every_public_cell_has_a_row():
    public = {getattr(sx.cells, name) for name in sx.cells.__all__}
    cells = {c for c in public if issubclass(c, sx.cells.ChargeFireReset)}
    assert {row.cell for row in ROWS} == cells - {sx.cells.ChargeFireReset, sx.Neuron}


def test_reference_spikes_are_neither_rare_nor_constant():
    for row in ALL:
        rates = simulate(row, HARD, inputs()).s.mean()
        assert not row.fires or 0.1 < rates < 0.9, row.name


@pytest.mark.parametrize(
    ("row", "variant"),
    [pytest.param(row, v, id=f"{row.name}-{v}") for row in ROWS if row.golden for v in VARIANTS],
)
def test_golden_values(row: Row, variant: Variant):
    vr, det = variant.v_reset, int(variant.detach_reset)
    prefix = f"neuron/{row.golden}_{type(variant.surrogate).__name__}_vr{vr}_det{det}"
    golden = {name: GOLDEN[f"{prefix}/{name}"] for name in ("s", "state0", "grad_x", "grad_state0")}
    cell = row.build(variant)
    if row.parameter == "w":
        cell = sx.ParametricLIF(init_tau=2.5, decay_input=cell.decay_input, **variant._asdict())
    (ys, state), (grad_cell, grad_x, grad_state) = jax.jit(run_and_grad)(
        cell, *problem(cell, at=[GOLDEN[f"_inputs/{name}"] for name in ("x", "v0", "w1", "w2")])
    )
    np.testing.assert_array_equal(ys, golden["s"])
    close((state.v, grad_x, grad_state.v), (golden["state0"], golden["grad_x"], golden["grad_state0"]))
    if row.parameter == "w":
        close(grad_cell.w, GOLDEN[f"{prefix}/grad_param_w"])


@each_variant
def test_equals_numpy_loop(row: Row, variant: Variant):
    cell = row.build(variant)
    want = simulate(row, variant, inputs())
    xs, state, _ = problem(cell)
    state, ys = sx.run(cell, xs, state)
    close((ys, state.v), (want.s, want.v))
    if row.fires:
        np.testing.assert_array_equal(ys, want.s)


@pytest.mark.parametrize(
    ("row", "variant"),
    [pytest.param(row, v, id=f"{row.name}-{v}") for row in ALL if row.slopes for v in row.variants],
)
def test_gradient_is_the_product_through_the_reset(row: Row, variant: Variant):
    want = simulate(row, variant, inputs())
    with jax.enable_x64(True):
        cell = row.build(variant)
        (ys, state), (grad_cell, grad_x, grad_state) = jax.jit(run_and_grad)(cell, *problem(cell, jnp.float64))
        assert {ys.dtype, state.v.dtype, grad_x.dtype, grad_state.v.dtype} == {jnp.dtype("float64")}
        close((ys, state.v, grad_x, grad_state.v), (want.s, want.v, want.grad_x, want.grad_v0), 1e-12)
        if row.parameter is None:
            assert jax.tree.leaves(grad_cell) == []
        else:
            grad = getattr(grad_cell, row.parameter)
            summed = want.grad_parameter.sum(0) if grad.ndim else want.grad_parameter.sum()
            close(grad, summed, 1e-12)


@pytest.mark.parametrize(("chunk", "remat"), [(1, False), (3, False), (3, True), (STEPS, True), (20, False)])
@each_row
def test_every_chunk_and_remat_is_equal(row: Row, chunk: int, remat: bool):
    variant = SOFT if remat and row.fires else HARD
    want = plain(row, variant)
    cell = row.build(variant)
    got = jax.jit(partial(run_and_grad, chunk=chunk, remat=remat))(cell, *problem(cell))
    if row.fires:
        np.testing.assert_array_equal(got[0][0], want[0][0])
    close(got, want)


@each_row
def test_static_input_equals_its_repetition(row: Row):
    cell = row.build(HARD)
    xs, state, weights = problem(cell)
    repeated = jnp.repeat(xs[2:3], STEPS, 0)
    want, (want_cell, want_x, want_state) = jax.jit(run_and_grad)(cell, repeated, state, weights)
    for chunk in (3, STEPS):
        once = jax.jit(partial(run_and_grad, steps=STEPS, chunk=chunk))
        got, (got_cell, got_x, got_state) = once(cell, xs[2], state, weights)
        close(got, want)
        close((got_cell, got_x, got_state), (want_cell, want_x.sum(0), want_state), 5e-6)


@both_resets
def test_forward_mode_equals_reverse_mode(row: Row, variant: Variant):
    with jax.enable_x64(True):
        cell = row.build(variant)
        xs, state, weights = problem(cell, jnp.float64)
        primals = (cell, xs, state)
        tangents = jax.tree.map(lambda a: jnp.cos(3.0 * jnp.arange(a.size)).reshape(a.shape), primals)

        def loss(*primals):
            return objective(*primals, weights)[0]

        _, forward = jax.jit(lambda *t: jax.jvp(loss, primals, t))(*tangents)
        linear = jax.jit(lambda *t: jax.linearize(loss, *primals)[1](*t))(*tangents)
        reverse = jax.jit(run_and_grad)(*primals, weights)[1]
        pairs = zip(jax.tree.leaves(reverse), jax.tree.leaves(tangents), strict=True)
        close((forward, linear), (sum(jnp.vdot(*pair) for pair in pairs),) * 2, 1e-12)


@each_row
def test_transformations_keep_the_result(row: Row):
    cell = row.build(HARD)
    xs, state, weights = problem(cell)
    want = plain(row, HARD)
    close(run_and_grad(cell, xs, state, weights), want)
    close(run_and_grad(cell, xs, state, weights, run=jax.checkpoint(sx.run)), want)

    each = jax.vmap(sx.run, in_axes=(None, 1, 0), out_axes=(0, 1))
    last, ys = each(cell, xs, state)
    close((ys, last), want[0])


@each_row
def test_state_keeps_structure_and_dtype(row: Row):
    cell = row.build(HARD)
    for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
        xs = jnp.asarray(inputs().xs, dtype)
        before = cell.init_state(xs.shape[1:])
        after, ys = sx.run(cell, xs)
        assert jax.tree.structure(after) == jax.tree.structure(before)
        assert {leaf.dtype for leaf in jax.tree.leaves((before, after))} == {jnp.dtype("float32")}
        assert ys.dtype == dtype
        want, exact = sx.run(cell, xs.astype(jnp.float32))
        close(after, want)
        np.testing.assert_array_equal(ys, exact.astype(dtype))


@each_row
def test_a_state_in_half_precision_stays_so(row: Row):
    cell = row.build(HARD)
    xs = jnp.asarray(inputs().xs, jnp.float32)
    state, ys = sx.run(cell, xs, cell.init_state(xs.shape[1:], jnp.bfloat16))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.bfloat16)}
    assert ys.dtype == jnp.float32


@each_row
def test_equal_configurations_compile_once(row: Row):
    traces = []

    @jax.jit
    def step(cell, state, x):
        traces.append(cell)
        return cell.step(state, x)

    xs, state, _ = problem(row.build(HARD))
    step(row.build(HARD), state, xs[0])
    step(row.build(HARD), state, xs[1])
    if row.parameter:
        cell = row.build(HARD)
        step(cell.replace(**{row.parameter: 1.1 * getattr(cell, row.parameter)}), state, xs[0])
    assert len(traces) == 1
    if row.fires:
        step(row.build(SOFT), state, xs[0])
        assert len(traces) == 2


def test_sharding_over_two_devices_keeps_the_result():
    # The number of devices is fixed when JAX starts, so these start a JAX of their own.
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), *filter(None, sys.path)))}
    command = [sys.executable, "-W", "error", "-m", "tests.cells.sharded"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_custom_neuron_golden_run():
    xs = jnp.array([[0.7452], [0.8062], [0.6730], [0.0942]])
    _, (spikes, kept) = sx.run(CUSTOM.build(Variant()), xs, record=["membrane"])
    np.testing.assert_array_equal(spikes[:, 0], [0, 1, 0, 0])
    np.testing.assert_allclose(kept["membrane"][:, 0], [0.5554, 0, 0.4529, 0.4618], atol=1e-4)


def test_vmap_over_parameters_equals_one_by_one():
    taus = jnp.array([[1.5, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    xs = jnp.asarray(inputs().xs, jnp.float32)
    _, ys = jax.vmap(lambda tau: sx.run(sx.LIF(tau=tau), xs))(taus)
    _, from_cells = jax.vmap(lambda cell: sx.run(cell, xs))(sx.LIF(tau=taus))
    for i, tau in enumerate(taus):
        _, alone = sx.run(sx.LIF(tau=tau), xs)
        np.testing.assert_array_equal(ys[i], alone)
        np.testing.assert_array_equal(from_cells[i], alone)


@pytest.mark.parametrize("row", [row for row in ALL if row.fires], ids=lambda row: row.name)
def test_smooth_twin_has_the_numerical_gradient(row: Row):
    with jax.enable_x64(True):
        cell = row.build(Variant(0.2, False, sx.surrogate.Sigmoid(spiking=False))).replace(
            v_threshold=jnp.linspace(0.8, 1.2, FEATURES), v_reset=jnp.linspace(-0.1, 0.2, FEATURES)
        )
        xs, state, weights = problem(cell, jnp.float64)
        loss = jax.jit(lambda *args: objective(*args, weights)[0])
        check_grads(loss, (cell, xs, state), order=1, modes=("rev",), rtol=1e-6)


def test_array_surrogate_shape_a_neuron():
    alpha = jnp.array([1.0, 2.0, 4.0, 8.0])
    cell = sx.LIF(surrogate=sx.surrogate.Sigmoid(alpha))
    xs, state, weights = problem(cell)
    _, (_, grad_x, _) = run_and_grad(cell, xs, state, weights)
    for i in range(FEATURES):
        alone = sx.LIF(surrogate=sx.surrogate.Sigmoid(float(alpha[i])))
        _, (_, want, _) = run_and_grad(alone, xs, state, weights)
        close(grad_x[..., i], want[..., i])
    assert grad_x.shape == (STEPS, BATCH, FEATURES)
