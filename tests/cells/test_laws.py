"""The laws that every cell obeys, whichever way it is computed.

One compilation serves many laws: `computed` runs a row's variant in every way that the variant is to show, and each
law looks at its part.
"""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.cells.cases import ALL, CUSTOM, FEATURES, ROWS, STEPS, Row
from tests.cells.reference import inputs, product, simulate
from tests.cells.runs import QUICK, close, loop, objective, problem, run_and_grad, setup, state_of
from tests.cells.variants import HARD, Variant

import spikejax as sx

each_row = pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
each_variant = pytest.mark.parametrize(
    ("row", "variant"), [pytest.param(row, v, id=f"{row.name}-{v}") for row in ALL for v in row.variants]
)
each_smooth = pytest.mark.parametrize(
    ("row", "variant"), [pytest.param(row, v, id=f"{row.name}-{v}") for row in ALL for v in row.smooth]
)


COMPILED = {
    "at once": {},
    "chunk=1": {"chunk": 1},
    "chunk=3": {"chunk": 3},
    "chunk=3, remat": {"chunk": 3, "remat": True},
    "chunk=T, remat": {"remat": True, "chunk": STEPS},
    "checkpoint": {"run": jax.checkpoint(sx.run)},
    "chunk=1, remat": {"chunk": 1, "remat": True},
    "chunk>T": {"chunk": STEPS + 4},
}


def ways_of(row: Row, variant: Variant) -> list[tuple[dict, bool]]:
    """The ways to run this variant besides the plain loop, and whether compiled."""
    shown = (
        (row.shows.compiled, COMPILED[row.shows.way], True),
        (row.shows.chunked, {"chunk": 3, "remat": True}, False),
        (row.shows.stepped, {"run": jax.checkpoint(partial(sx.run, chunk=1, method="scan"))}, False),
    )
    return [(way, compiled) for shows, way, compiled in shown if shows is variant]


def directions(tree):
    """A tangent of each leaf, in closed form."""
    return jax.tree.map(lambda a: jnp.cos(3.0 * jnp.arange(a.size)).reshape(a.shape).astype(a.dtype), tree)


@each_variant
def test_values_and_gradients(row: Row, variant: Variant):
    """NumPy gives the values, a plain loop over `step` and the product through the reset the gradients."""
    at_inputs = inputs(row)
    with jax.enable_x64(True):
        cell, at = setup(row, variant, jnp.float64)
        plain = run_and_grad(cell, at, run=loop)
        want = simulate(row, variant, at_inputs, len(at.variables))
        (ys, last), (grad_cell, grad_x, grad_variables) = plain
        close((ys, [last[name] for name in at.variables]), (want.s, list(want.state)), 1e-12)
        if row.output != "analog":
            np.testing.assert_array_equal(ys, want.s)
        if row.slopes is not None:
            by_hand = product(row, variant, at_inputs)
            close((grad_x, grad_variables["v"]), by_hand[:2], 1e-12)
            if row.parameters:
                close(getattr(grad_cell, next(iter(row.parameters))), by_hand[2], 1e-12)
        assert all(np.any(leaf) for leaf in jax.tree.leaves((grad_x, grad_variables)))

        for how, compiled in ways_of(row, variant):
            run = partial(run_and_grad, **how)
            with jax.disable_jit(not compiled):
                got = jax.jit(run, compiler_options=QUICK)(cell, at)
            assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype("float64")}
            close(got, plain, 1e-11)


class Flat(sx.surrogate.SurrogateFunction):
    """The spikes of another surrogate, without a slope."""

    other: sx.surrogate.SurrogateFunction

    def spike(self, u):
        return self.other.spike(u)

    def derivative(self, u):
        return jnp.zeros_like(u)


def change_of_state(cell, at):
    """How the next state changes with the state before."""

    def step(variables):
        return cell.step(state_of(cell, variables, at.others), at.xs[0])[0]

    change = jax.jvp(step, (at.variables,), (directions(at.variables),))[1]
    return [getattr(change, name) for name in at.variables]


@each_row
def test_a_detached_reset_has_no_slope_of_the_spike(row: Row):
    """The next state changes as if spikes had no slope; where the reset is attached, it changes otherwise."""
    with jax.enable_x64(True), jax.disable_jit():
        for variant in row.variants if row.resets else ():
            cell, at = setup(row, variant, jnp.float64)
            flat = cell.replace(surrogate=Flat(other=cell.surrogate))
            equal = map(np.array_equal, change_of_state(cell, at), change_of_state(flat, at))
            assert all(equal) == variant.detach_reset, variant


@each_row
def test_transformations_and_static_input(row: Row):
    """Forward mode equals reverse mode, samples apart give what they give together, a static input its repetition."""
    with jax.enable_x64(True):
        cell, at = setup(row, row.variants[-1], jnp.float64)
        at = at._replace(xs=at.xs[:2], weights=(at.weights[0][:2], at.weights[1]))
        has_key = "key" in at.others  # samples apart would draw the same noise

        def loss(*primals):
            return objective(*primals, at.weights, at.others)[0]

        def samples(xs, variables):
            state, ys = sx.run(cell, xs, state_of(cell, variables, at.others))
            return ys, {name: getattr(state, name) for name in variables}

        @partial(jax.jit, compiler_options=QUICK)
        def every_way(xs):
            """Both steps; forward mode; samples apart; the second step as a static input."""
            both = run_and_grad(cell, at._replace(xs=xs))
            primals = cell, xs, at.variables
            forward = jax.jvp(loss, primals, directions(primals))[1]
            apart = None if has_key else jax.vmap(samples, in_axes=(1, 0), out_axes=(0, 1))(xs, at.variables)[0]
            return both, forward, apart, run_and_grad(cell, at._replace(xs=xs[1]), steps=2, chunk=1)

        (outs, reverse), forward, apart, static = every_way(at.xs)
        pairs = zip(*map(jax.tree.leaves, (reverse, directions((cell, at.xs, at.variables)))), strict=True)
        close(forward, sum(jnp.vdot(*pair) for pair in pairs), 1e-12)
        if not has_key:
            close(apart.swapaxes(0, 1), outs[0], 1e-12)
        (outs, (grad_cell, grad_x, grad_variables)), *_ = every_way(jnp.repeat(at.xs[1:], 2, 0))
        close(static, (outs, (grad_cell, grad_x.sum(0), grad_variables)), 1e-11)


LEAVES = 16
"""As many directions for every cell, so that the operations are of one shape and compiled once."""


@each_smooth
def test_smooth_twin_has_the_numerical_gradient_and_hessian(row: Row, variant: Variant):
    step, steps = 1e-5, 3
    with jax.enable_x64(True):
        cell, at = setup(row, variant, jnp.float64)
        weights = at.weights[0][:steps], at.weights[1]
        flat, structure = jax.tree.flatten((cell, at.xs[:steps], at.variables))
        tangents = directions(flat)
        # One direction for each leaf on its own, so that a wrong gradient cannot hide behind a large one.
        alone = [jnp.zeros((LEAVES, *tangent.shape)).at[i].set(tangent) for i, tangent in enumerate(tangents)]

        def loss(flat):
            return objective(*jax.tree.unflatten(structure, flat), weights, at.others, run=loop)[0]

        def moved(size, by):
            return [a + size * d for a, d in zip(flat, by, strict=True)]

        grads, curved = jax.jvp(jax.grad(loss), (flat,), (tangents,))
        ahead, behind = (jax.vmap(lambda by, size=size: loss(moved(size, by)))(alone) for size in (step, -step))
        inner = jnp.stack([jnp.vdot(*pair) for pair in zip(grads, tangents, strict=True)])
        close(inner, ((ahead - behind) / (2 * step))[: len(flat)], 1e-6)
        ahead, behind = (jax.grad(loss)(moved(size, tangents)) for size in (step, -step))
        close(curved, [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)], 1e-5)


@pytest.mark.parametrize("row", [row for row in ALL if row.resets], ids=lambda row: row.name)
def test_hessian_of_the_smooth_twin(row: Row):
    with jax.enable_x64(True):
        cell, at = setup(row, row.smooth[0], jnp.float64)

        def loss(v):
            variables = at.variables | {"v": at.variables["v"].at[0].set(v)}
            return objective(cell, at.xs[:2], variables, (at.weights[0][:2], at.weights[1]), at.others, run=loop)[0]

        v = at.variables["v"][0]
        hessian = jax.hessian(loss)(v)
        along = jax.jvp(jax.grad(loss), (v,), (jnp.ones_like(v),))[1]
        close(hessian, jnp.diag(along), 1e-12)  # neurons are apart


@each_row
def test_parameters_are_constants_scalars_or_one_a_neuron(row: Row):
    kinds = {
        "constant": lambda values: float(np.ravel(values)[0]),
        "scalar": lambda values: jnp.array(np.ravel(values)[0]),
        "neuron": lambda values: jnp.full(FEATURES, np.ravel(values)[0]),
    }
    with jax.enable_x64(True):
        if row.cell is sx.GatedLIF:  # the first axis of `conduct` is time
            kinds["neuron"] = lambda values: jnp.full(np.shape(values), np.ravel(values)[0])
        cells = {kind: row.build(row.variant, value) for kind, value in kinds.items()}
        at = problem(cells["constant"], inputs(row), jnp.float64)
        at = at._replace(xs=at.xs[:3], weights=(at.weights[0][:3], at.weights[1]))
        results = {kind: run_and_grad(cell, at, run=loop) for kind, cell in cells.items()}
    constant, (_, *others) = results["constant"]
    scalar_grads, neuron_grads = (results[kind][1][0] for kind in ("scalar", "neuron"))
    for kind in ("scalar", "neuron"):
        outs, (_, *grads) = results[kind]
        close((outs, grads), (constant, others), 1e-11)
    close([np.asarray(g).sum() for g in jax.tree.leaves(neuron_grads)], jax.tree.leaves(scalar_grads), 1e-11)
    expected = {*row.parameters, *(name for name in row.common(HARD, np.array) if name.startswith("v_"))}
    assert set(scalar_grads._leaves) >= expected - {"v_reset"} | ({"v_reset"} & expected if row.variant.hard else set())


@each_row
def test_states_and_outputs_keep_their_dtypes(row: Row):
    cell, at = setup(row, row.variant)
    xs = at.xs.astype(jnp.bfloat16)

    def run(state_dtype, dtype):
        variables = jax.tree.map(lambda a: a.astype(state_dtype), at.variables)
        return sx.run(cell, xs.astype(dtype), state_of(cell, variables, at.others))

    @partial(jax.jit, compiler_options=QUICK)
    def every_dtype():
        return run(jnp.float32, jnp.float32), run(jnp.float32, jnp.bfloat16), run(jnp.bfloat16, jnp.float32)

    (exact, spikes), (brief, half), (low, single) = every_dtype()
    for state, dtype in ((exact, "float32"), (brief, "float32"), (low, "bfloat16")):
        assert {getattr(state, name).dtype for name in at.variables} == {jnp.dtype(dtype)}
        assert jax.tree.structure(state) == jax.tree.structure(state_of(cell, at.variables, at.others))
    assert (half.dtype, single.dtype) == (jnp.bfloat16, jnp.float32)
    close(*([getattr(state, name) for name in at.variables] for state in (brief, exact)))
    np.testing.assert_array_equal(half, spikes.astype(jnp.bfloat16))


@each_row
def test_equal_configurations_compile_once(row: Row):
    traces = []

    @jax.jit
    def step(cell, state, x):
        traces.append(cell)
        return cell.step(state, x)

    cell, at = setup(row, row.variant)
    state = state_of(cell, at.variables, at.others)
    step.lower(cell, state, at.xs[0])
    step.lower(row.build(row.variant), state, at.xs[1])
    step.lower(jax.tree.map(lambda leaf: 1.01 * leaf, cell), state, at.xs[0])
    assert len(traces) == 1
    if row.resets:
        step.lower(cell.replace(detach_reset=True), state, at.xs[0])
        assert len(traces) == 2


@each_row
def test_a_cell_is_a_pytree_pickles_and_prints(row: Row):
    cell = row.build(row.variant)
    leaves, structure = jax.tree.flatten(cell)
    rebuilt = jax.tree.unflatten(structure, leaves)
    assert rebuilt == cell and type(rebuilt) is type(cell)
    assert len(leaves) >= len(row.parameters)
    assert pickle.loads(pickle.dumps(cell)) == cell
    names = vars(sx.surrogate) | vars(sx.cells) | {row.cell.__name__: row.cell, "jnp": jnp}
    kinds = (
        lambda values: float(np.ravel(values)[0]),
        lambda values: jnp.array(np.ravel(values)[:FEATURES]),
        lambda values: jnp.array(np.ravel(values)[0], jnp.bfloat16),
    )
    for value in kinds:
        one = row.build(row.variant, value)
        assert eval(repr(one), names) == one
        assert jax.tree.leaves(one) or hash(one) == hash(eval(repr(one), names))
    assert repr(cell).startswith(f"{row.cell.__name__}(")


@each_row
def test_reference_spikes_are_neither_rare_nor_constant(row: Row):
    for variant in row.variants[:3:2]:
        variables = len(setup(row, variant)[1].variables)
        with jax.enable_x64(True):
            s = simulate(row, variant, inputs(row), variables).s
        assert np.mean(s != 0) > 0.1
        assert row.output == "analog" or np.mean(s == 0) > 0.05
        assert row.output != "spikes" or set(np.unique(s)) == {0.0, 1.0}
        assert row.output != "counts" or len(np.unique(s)) > 2


def test_sharding_over_two_devices_keeps_the_result():
    # The number of devices is fixed when JAX starts, so these start a JAX of their own.
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(root), *filter(None, sys.path)))}
    command = [sys.executable, "-W", "error", "-m", "tests.cells.sharded"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_custom_neuron_golden_run():
    xs = jnp.array([[0.7452], [0.8062], [0.6730], [0.0942]])
    _, (spikes, kept) = sx.run(CUSTOM.cell(), xs, record=["membrane"])
    np.testing.assert_array_equal(spikes[:, 0], [0, 1, 0, 0])
    np.testing.assert_allclose(kept["membrane"][:, 0], [0.5554, 0, 0.4529, 0.4618], atol=1e-4)


def test_vmap_over_parameters_equals_one_by_one():
    taus = jnp.array([[1.5, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    xs = jnp.asarray(inputs(ROWS[0]).xs, jnp.float32)
    run = jax.jit(lambda cell: sx.run(cell, xs)[1])
    ys = jax.vmap(lambda tau: run(sx.LIF(tau=tau)))(taus)
    from_cells = jax.vmap(run)(sx.LIF(tau=taus))
    for i, tau in enumerate(taus):
        np.testing.assert_array_equal(ys[i], run(sx.LIF(tau=tau)))
        np.testing.assert_array_equal(from_cells[i], ys[i])


def test_array_surrogate_shape_a_neuron():
    alpha = jnp.array([1.0, 2.0, 4.0, 8.0])
    at = problem(sx.LIF(), inputs(ROWS[0]))
    grad = jax.jit(lambda alpha: run_and_grad(sx.LIF(surrogate=sx.surrogate.Sigmoid(alpha)), at)[1][1])
    each = grad(alpha)
    for i in range(FEATURES):
        close(each[..., i], grad(alpha[i : i + 1])[..., i])
