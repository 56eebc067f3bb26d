"""`method="associative"`: the linear cells without a loop, with what a scan gives."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.typing import LinearCell

T, BATCH, FEATURES = 13, 2, 4
TAUS = np.array([1.5, 2.5, 4.0, 8.0])

CELLS = {
    "LeakyIntegrator": sx.LeakyIntegrator(tau=2.5),
    "LeakyIntegrator-undecayed": sx.LeakyIntegrator(tau=TAUS, decay_input=False),
    "LinearLIF": sx.LinearLIF(tau=TAUS, v_threshold=np.array([0.3, 0.5, 0.7, 0.9])),
    "LinearLIF-undecayed": sx.LinearLIF(tau=np.array(2.5), decay_input=False, surrogate=sx.surrogate.ATan()),
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
two_cells = pytest.mark.parametrize("cell", list(CELLS.values())[1:3], ids=list(CELLS)[1:3])


def inputs():
    t, n, f = np.meshgrid(np.arange(T), np.arange(BATCH), np.arange(FEATURES), indexing="ij")
    return 0.4 + 1.2 * np.sin(1.9 * t + 0.8 * f + 2.3 * n), 0.4 * np.cos(1.3 * f[0] + n[0])


@partial(jax.jit, static_argnames=("chunk", "remat", "method", "record", "steps"))
def outcome(cell, xs, v0, **how):
    """Last state, outputs and records; gradients of a loss on all of them in cell, input and first state."""

    def loss(cell, xs, v0):
        state, out = sx.run(cell, xs, sx.cells.Membrane(v0), **how)
        leaves = jax.tree.leaves((state, out))
        return sum(jnp.sum(jnp.cos(jnp.arange(a.size)).reshape(a.shape) * a) for a in leaves), (state, out)

    grads, out = jax.grad(loss, (0, 1, 2), has_aux=True)(cell, xs, v0)
    return out, grads


def close(got, want, tolerance=2e-6):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


def loop(cell):
    """Membranes and outputs in NumPy, float64."""
    xs, v = inputs()
    rate, membranes = 1 / np.asarray(cell.tau, np.float64), []
    for x in xs:
        v = (1 - rate) * v + (rate if cell.decay_input else 1) * x
        membranes.append(v)
    h = np.stack(membranes)
    fires = isinstance(cell, sx.LinearLIF)
    return h, np.where(h >= np.asarray(cell.v_threshold, np.float64), 1.0, 0.0) if fires else h


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        *[pytest.param(cell, {}, id=name) for name, cell in CELLS.items()],
        *[
            pytest.param(cell, how, id="-".join((name, *how)))
            for name, cell in list(CELLS.items())[1:3]
            for how in (
                {"chunk": 1},
                {"chunk": 5, "remat": True},
                {"chunk": 5, "lengths": np.array([4, T]), "record": ("membrane", "spikes")},
            )
        ],
    ],
)
def test_equals_scan_and_its_gradients(cell, how):
    with jax.enable_x64(True):
        cell = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), cell)
        xs, v0 = map(jnp.asarray, inputs())
        got = outcome(cell, xs, v0, method="associative", **how)
        close(got, outcome(cell, xs, v0, method="scan", **how), 1e-12)


@each_cell
def test_equals_the_numpy_loop(cell):
    xs, v0 = inputs()
    h, s = loop(cell)
    assert not isinstance(cell, sx.LinearLIF) or 0.1 < s.mean() < 0.9
    for method in ("scan", "associative"):
        state = sx.cells.Membrane(jnp.asarray(v0, jnp.float32))
        run = jax.jit(partial(sx.run, method=method, record=["membrane"]))
        state, (ys, kept) = run(cell, jnp.asarray(xs, jnp.float32), state)
        close((state.v, ys, kept["membrane"]), (h[-1], s, h))


@each_cell
def test_coefficients_are_the_charge(cell):
    x, v = jnp.asarray(inputs()[0][3], jnp.float32), jnp.asarray(inputs()[1], jnp.float32)
    a, b = cell.coefficients(x)
    close(a.v * v + b.v, cell.charge(sx.cells.Membrane(v), x).v)
    assert isinstance(cell, LinearCell)


@pytest.mark.parametrize("cell", [CELLS["LinearLIF"]], ids=["LinearLIF"])
def test_static_input_equals_its_repetition(cell):
    xs, v0 = (jnp.asarray(a, jnp.float32) for a in inputs())
    want, (want_cell, want_x, want_v) = outcome(cell, jnp.stack([xs[2]] * T), v0, method="scan")
    got, (got_cell, got_x, got_v) = outcome(cell, xs[2], v0, method="associative", steps=T, chunk=5)
    close((got, got_cell, got_x, got_v), (want, want_cell, want_x.sum(0), want_v), 1e-5)


@pytest.mark.parametrize("cell", [CELLS["LinearLIF"]], ids=["LinearLIF"])
def test_transformations_keep_the_result(cell):
    xs, v0 = (jnp.asarray(a, jnp.float32) for a in inputs())
    run = jax.jit(lambda cell, xs: sx.run(cell, xs, sx.cells.Membrane(v0), method="associative")[1])
    want = run(cell, xs)
    close(jax.checkpoint(run)(cell, xs), want)
    close(jax.vmap(run, in_axes=(None, 0))(cell, jnp.stack((xs, xs)))[1], want)
    with jax.enable_x64(True):
        cell, xs = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (cell, inputs()[0]))
        tangents = jax.tree.map(lambda a: jnp.sin(1.0 + jnp.arange(a.size)).reshape(a.shape), (cell, xs))

        @jax.jit
        def loss(cell, xs):
            state = cell.init_state(xs.shape[1:], jnp.float64)
            return jnp.vdot(sx.run(cell, xs, state, method="associative")[1], jnp.cos(jnp.arange(xs.size)))

        reverse = jax.tree.leaves(jax.grad(loss, (0, 1))(cell, xs))
        forward = jax.jvp(loss, (cell, xs), tangents)[1]
        close(forward, sum(map(jnp.vdot, reverse, jax.tree.leaves(tangents))), 1e-12)


@two_cells
def test_dtypes_are_those_of_scan(cell):
    xs = jnp.asarray(inputs()[0], jnp.bfloat16)
    for dtype in (jnp.float32, jnp.bfloat16):
        state = cell.init_state(xs.shape[1:], dtype)
        for of in (xs, xs.astype(jnp.float32), xs > 0):
            want = jax.eval_shape(lambda of=of, state=state: sx.run(cell, of, state))
            got = jax.eval_shape(lambda of=of, state=state: sx.run(cell, of, state, method="associative"))
            assert got == want


@cache
def network():
    rngs = nnx.Rngs(0)
    inner = sx.nn.Sequential(nnx.Linear(5, 6, rngs=rngs), sx.LinearLIF(tau=jnp.linspace(2.0, 4.0, 6)))
    parallel = (sx.SlidingPSN(k=2), sx.PSN(T=T, weight=np.eye(T, dtype=np.float32)))
    layers = (sx.encoding.Poisson(), nnx.Linear(FEATURES, 5, rngs=rngs), inner, *parallel, sx.LeakyIntegrator())
    return sx.nn.Sequential(*layers)


def test_a_network_of_linear_parallel_and_random_cells(key):
    xs = jnp.clip(jnp.asarray(inputs()[0], jnp.float32), 0, 1)
    net, found = network(), {}
    state = net.init_state(xs.shape[1:], key=key)

    @partial(nnx.jit, static_argnames="method")
    def slopes(net, state, xs, method):
        def loss(net):
            last, (ys, kept) = sx.run(net, xs, state, method=method, record=["membrane", "spikes"])
            return ys.sum() + kept["2.1.membrane"].sum(), (last[5].v, ys, kept)

        return nnx.grad(loss, has_aux=True)(net)

    for method in ("scan", "associative"):
        grads, out = slopes(net, state, xs, method)
        found[method] = (jax.tree.map(jnp.asarray, nnx.to_pure_dict(grads)), out)
    assert {"2.1.membrane", "5.membrane", "0.spikes"} <= set(found["scan"][1][2])
    close(found["associative"], found["scan"], 1e-5)


CUSTOM_NET = sx.nn.Sequential(lambda x: 2 * x, sx.nn.Sequential(sx.LinearLIF(), sx.ALIF()))


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (sx.LIF(), "LIF"),
        (sx.Refractory(sx.LinearLIF(), 2), "Refractory"),
        (CUSTOM_NET, r"layer 1\.1 \(ALIF\)"),
    ],
    ids=["LIF", "Refractory", "network"],
)
def test_a_cell_that_is_not_linear_is_named(cell, named):
    message = (
        rf"`method` 'associative' needs cells whose state is linear .* {named} declares no `coefficients`, as .*use"
    )
    for transform in (lambda run: run, jax.jit):
        with pytest.raises(ValueError, match=message):
            transform(lambda: sx.run(cell, jnp.ones((3, 2, 4)), method="associative"))()


def test_another_shape_is_refused_as_a_step_refuses_it():
    cell = sx.LinearLIF(tau=jnp.full(5, 2.0))
    with pytest.raises(ValueError, match=r"`tau` has shape \(5,\), which does not broadcast"):
        sx.run(cell, jnp.ones((3, 2, 4)), sx.cells.Membrane(jnp.zeros((2, 4))), method="associative")


def test_the_program_has_no_loop():
    def primitives(method):
        run = jax.make_jaxpr(lambda xs: sx.run(sx.LinearLIF(), xs, method=method))
        return str(run(jnp.ones((64, 2, 4))))

    assert " scan[" in primitives("scan")
    assert " scan[" not in primitives("associative") and "while" not in primitives("associative")
    assert "_fused" in primitives("auto")


def test_the_command_knows_the_method(capsys):
    from spikejax.cli.train import info

    info()
    assert "auto, fused, scan, associative" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: sx.LinearLIF(tau=1.0), ValueError, r"`tau` must be > 1, got 1.0"),
        (lambda: sx.LinearLIF(v_threshold=float("inf")), ValueError, r"`v_threshold` must be finite, got inf"),
        (lambda: sx.LinearLIF(surrogate=None), TypeError, r"`surrogate` must be an object such as"),
        (lambda: sx.LinearLIF(v_reset=None), TypeError, r"unexpected keyword argument 'v_reset'"),
    ],
)
def test_a_linear_lif_refuses(build, error, message):
    with pytest.raises(error, match=message):
        build()
