"""The fused kernel: the same values and gradients as a plain loop, by every back end and every way back."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.cells.cases import ALL, Row
from tests.cells.reference import inputs
from tests.cells.runs import QUICK, close, loop, run_and_grad, setup
from tests.cells.variants import HARD
from tests.kernels.cases import CASES, RECOMPUTED

import spikejax as sx
from spikejax.kernels import BACKENDS, fused_scan, pallas
from spikejax.kernels.packed import pack_run
from spikejax.sequence import Static, Steps, as_sequence


def each(rows):
    return pytest.mark.parametrize("row", list(rows), ids=lambda row: row.name)


WRAPPED = {
    "refractory": sx.Refractory(sx.LIF(tau=jnp.array(2.5)), 2),
    "stochastic": sx.Stochastic(sx.LIF(tau=jnp.array(2.5))),
    "both": sx.Refractory(sx.Stochastic(sx.ALIF(tau=jnp.array(2.5), v_threshold=0.5)), 1),
}


def by_kernel(cell, xs, state, **options):
    return fused_scan(cell, state, xs, **options)


def by_scan(cell, xs, state):
    """A `lax.scan` over `step` alone, which the laws of the cells hold to a plain loop."""
    return jax.lax.scan(cell.step, state, xs)


def compiled(cell, at, **options):
    """Values and gradients by the kernel with these options."""
    return jax.jit(partial(run_and_grad, run=partial(by_kernel, **options)), compiler_options=QUICK)(cell, at)


def test_every_cell_has_a_case():
    assert set(CASES) == {row.name for row in ALL}


@each(ALL)
def test_every_cell_by_every_kernel_and_every_way_back(row: Row):
    case = CASES[row.name]
    cell, at = setup(row, case.variant)
    assert cell.output_kind == row.output
    plain = jax.jit(partial(run_and_grad, run=by_scan), compiler_options=QUICK)(cell, at)
    for options in ({"backend": "interpret"}, {"backend": "xla"}, *([case.other] if case.other else [])):
        close(compiled(cell, at, **options), plain, 5e-6)


class Clock(NamedTuple):
    v: jax.Array
    t: jax.Array


class ScheduledIF(sx.cells.ChargeFireReset):
    """A neuron with a threshold for each step, which all neurons share."""

    thresholds: jax.Array
    surrogate: sx.surrogate.SurrogateFunction = sx.surrogate.ATan()

    def init_state(self, shape, dtype=jnp.float32, *, key=None):
        return Clock(jnp.zeros(shape, dtype), jnp.zeros((), jnp.int32))

    def feature_shapes(self):
        return super().feature_shapes() | {"thresholds": ()}

    def charge(self, state, x):
        return state._replace(v=state.v * (1 - 0.2 * state.v) + x)

    def fire(self, h):
        return self.surrogate(h.v - self.thresholds[h.t])

    def reset(self, h, s):
        return Clock(h.v - s * self.thresholds[h.t], h.t + 1)


@pytest.mark.parametrize("options", [{"backend": "interpret"}, RECOMPUTED, {"backend": "xla"}], ids=str)
def test_thresholds_may_vary_over_time(options):
    cell, xs = ScheduledIF(thresholds=jnp.array([0.5, 1.5, 0.7, 1.1])), jnp.linspace(0.1, 1.3, 4 * 6).reshape(4, 6)

    def loss(run, cell, xs):
        last, ys = run(cell, xs, cell.init_state((6,)))
        return jnp.sum(jnp.cos(3 * xs) * ys) + last.v.sum()

    want, got = (jax.value_and_grad(partial(loss, run), (0, 1)) for run in (loop, partial(by_kernel, **options)))
    close(got(cell, xs), want(cell, xs), 5e-6)


@each(row for row in ALL if row.output != "spikes")
def test_packed_residuals_are_of_spikes(row: Row):
    cell, at = setup(row, row.variant)
    with pytest.raises(ValueError, match=rf"`residuals` 'packed' saves a bit a spike, .* {row.cell.__name__} is n"):
        compiled(cell, at, residuals="packed")


@each(row for row in ALL if CASES[row.name].packed)
def test_packed_residuals_round_the_gradients(row: Row):
    cell, at = setup(row, row.variant)
    backend = CASES[row.name].packed
    outs, grads = compiled(cell, at, residuals="h", backend=backend)
    packed_outs, packed_grads = compiled(cell, at, residuals="packed", backend=backend)
    close(packed_outs, outs, 1e-6)
    close(packed_grads, grads, 4e-2)
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (packed_grads, grads)), strict=True))


@pytest.mark.parametrize(
    ("name", "backend"),
    [("refractory", "xla"), ("stochastic", "llvm"), ("stochastic", "interpret"), ("both", "llvm")],
)
def test_wrapped_neurons(name, backend):
    cell = WRAPPED[name]
    xs = jnp.asarray(inputs(ALL[0]).xs, jnp.float32)
    state = cell.init_state(xs.shape[1:], key=jax.random.key(3))
    assert cell.output_kind == "spikes"

    def loss(run, cell, xs):
        last, ys = run(cell, xs, state)
        return jnp.sum(jnp.cos(jnp.arange(ys.size).reshape(ys.shape)) * ys) + last.v.sum()

    want, got = (
        jax.jit(jax.value_and_grad(partial(loss, r), (0, 1))) for r in (loop, partial(by_kernel, backend=backend))
    )
    close(got(cell, xs), want(cell, xs), 5e-6)


@pytest.mark.parametrize(
    ("shape", "steps"), [((1,), 1), ((1,), 9), ((512,), 2), ((3, 300), 1), ((3, 300), 9), ((2, 8, 64), 2)], ids=str
)
def test_any_number_of_neurons_and_steps(shape, steps):
    """A block is 512 neurons, or a vector 16: part of one, exactly one, one and a tail, several."""
    key = jax.random.key(0)
    xs, w = 2 * jax.random.uniform(key, (steps, *shape)), jax.random.normal(key, (steps, *shape))
    cell = sx.ALIF(tau=jnp.linspace(1.5, 4.0, shape[-1]), v_threshold=0.5, beta=jnp.array(0.3))
    state = cell.init_state(shape)

    def both(**options):
        def values(cell, xs):
            last, ys = fused_scan(cell, state, xs, **options)
            return jnp.sum(w * ys) + last.b.sum(), (last, ys)

        return jax.jit(jax.value_and_grad(values, (0, 1), has_aux=True))(cell, xs)

    for backend in ("interpret", "llvm"):
        close(both(backend=backend), both(backend="xla"), 5e-6)


def test_the_more_steps_registers_hold_the_fewer_neurons():
    steps = 0, 8, 9, 16, 17, 32
    assert [pallas.block_neurons(held) for held in steps] == [512, 512, 256, 256, 128, 128]
    cell, xs = sx.ALIF(tau=jnp.linspace(1.5, 4.0, 300), v_threshold=0.5), jnp.linspace(0, 2, 17 * 300).reshape(17, 300)

    def gradients(**options):
        run = partial(fused_scan, **options)
        loss = lambda cell, xs: jnp.sum(jnp.cos(9 * xs) * run(cell, cell.init_state((300,)), xs)[1])  # noqa: E731
        return jax.jit(jax.grad(loss, (0, 1)))(cell, xs)

    close(gradients(backend="interpret", residuals="x"), gradients(), 5e-6)


@pytest.mark.parametrize(("backend", "steps"), [("interpret", 5), ("llvm", 8), ("interpret", 19), ("llvm", 19)])
@pytest.mark.parametrize(
    "cell", [sx.LIF(tau=3.0), sx.ALIF(v_threshold=0.5, decay_input=False), sx.NoisyLIF()], ids=repr
)
def test_the_kernel_packs_what_it_keeps_itself(cell, backend, steps):
    xs = 2 * jax.random.normal(jax.random.key(0), (steps, 3, 171))
    state = cell.init_state(xs.shape[1:], key=jax.random.key(1))
    last, ys, kept = jax.jit(BACKENDS[backend].packed)(cell, state, Steps(xs))
    want_last, want_ys, hs = jax.jit(BACKENDS[backend].forward)(cell, state, Steps(xs))
    want = pack_run(hs, want_ys)
    assert jax.tree.map(lambda a: (a.dtype, a.shape), kept) == jax.tree.map(lambda a: (a.dtype, a.shape), want)
    floats = lambda tree: [a for a in jax.tree.leaves(tree) if not jnp.issubdtype(a.dtype, jax.dtypes.extended)]  # noqa: E731
    np.testing.assert_array_equal(kept.bits, want.bits)
    np.testing.assert_array_equal(ys, want_ys)
    for a, b in zip(floats((last, kept.hs)), floats((want_last, want.hs)), strict=True):
        np.testing.assert_allclose(
            np.float32(a), np.float32(b), rtol=1e-2 if a.dtype == jnp.bfloat16 else 1e-4, atol=1e-6
        )
    assert 0.05 < ys.mean() < 0.95


@pytest.mark.parametrize("backend", ["llvm", "xla", "interpret"])
@pytest.mark.parametrize("residuals", ["h", "x", "packed"])
def test_a_static_input_equals_its_repetition(backend, residuals):
    cell, x = sx.LIF(tau=jnp.array(3.0)), jnp.linspace(0.5, 3.0, 12).reshape(3, 4)
    options = {"backend": backend, "residuals": residuals}

    def loss(cell, x, static):
        xs = Static(x, 6) if static else jnp.broadcast_to(x, (6, *x.shape))
        last, ys = fused_scan(cell, cell.init_state(x.shape), xs, **options)
        return jnp.sum(jnp.arange(ys.size).reshape(ys.shape) * ys) + last.v.sum()

    grads = [jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)(cell, x, static) for static in (True, False)]
    close(*grads, 1e-5)


@pytest.mark.parametrize("backend", ["llvm", "xla", "interpret"])
def test_bfloat16_in_and_out_over_a_float32_membrane(backend):
    cell, at = setup(ALL[1], HARD)
    xs = at.xs.astype(jnp.bfloat16)
    state = cell.init_state(xs.shape[1:])
    (last, ys), pull = jax.vjp(lambda xs: fused_scan(cell, state, xs, backend=backend), xs)
    (grad,) = pull((jax.tree.map(jnp.ones_like, last), jnp.ones_like(ys)))
    assert (last.v.dtype, ys.dtype, grad.dtype) == (jnp.float32, jnp.bfloat16, jnp.bfloat16)
    exact = jax.grad(lambda xs: sum(map(jnp.sum, jax.tree.leaves(loop(cell, xs, state)))))(xs.astype(jnp.float32))
    np.testing.assert_allclose(grad.astype(jnp.float32), exact, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("backend", ["llvm", "interpret"])
@pytest.mark.parametrize(
    "options", [{}, {"residuals": "packed"}, {"residuals": "x"}, {"backward": "associative"}], ids=str
)
def test_returned_states_have_gradients(backend, options):
    cell, at = setup(ALL[1], HARD)
    state = cell.init_state(at.xs.shape[1:])
    tolerance = 2e-2 if options.get("residuals") == "packed" else 5e-6

    def loss(run, cell, xs):
        _, ys, states = run(cell, xs)
        return jnp.sum(jnp.sin(jnp.arange(ys.size).reshape(ys.shape)) * (ys + states.v))

    def plain(cell, xs):
        def step(state, x):
            state, y = cell.step(state, x)
            return state, (y, state)

        last, (ys, states) = jax.lax.scan(step, state, xs)
        return last, ys, states

    def by_kernel(cell, xs):
        return sx.kernels.fused(cell, state, as_sequence(xs), return_states=True, backend=backend, **options)

    kernel = jax.jit(jax.grad(partial(loss, by_kernel), (0, 1)))
    by_scan = jax.jit(jax.grad(partial(loss, plain), (0, 1)))
    close(kernel(cell, at.xs), by_scan(cell, at.xs), tolerance)
