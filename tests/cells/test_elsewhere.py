"""No public cell goes without a row; the laws of those without a row in the table."""

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.cells.cases import ROWS
from tests.cells.elsewhere import ELSEWHERE, FEATURES, KINDS, T, build
from tests.cells.runs import QUICK, close

import spikejax as sx

ROOT = Path(__file__).parents[2]
BASES = {"ChargeFireReset", "Neuron"}
CELLS = {name for name in sx.cells.__all__ if hasattr(getattr(sx.cells, name), "init_state")} - BASES
each_name = pytest.mark.parametrize("name", ELSEWHERE)


def test_every_public_cell_has_a_row_or_a_file():
    rows = {row.cell.__name__ for row in ROWS}
    assert rows | set(ELSEWHERE) == CELLS
    assert not rows & set(ELSEWHERE)


@each_name
def test_a_cell_elsewhere_is_tested(name):
    assert f"sx.{name}(" in (ROOT / ELSEWHERE[name]).read_text("utf-8")


def inputs():
    n = T * FEATURES
    return jnp.asarray(0.8 + 0.7 * np.sin(1.9 * np.arange(n))).reshape(T, 1, FEATURES)


def loss(cell, xs):
    """A loss on every output and on the last state."""
    state, ys = sx.run(cell, xs, cell.init_state(xs.shape[1:], xs.dtype, key=jax.random.key(7)))
    leaves = [leaf for leaf in jax.tree.leaves((ys, state)) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return sum(jnp.sum(jnp.cos(1.0 + jnp.arange(a.size)).reshape(a.shape) * a) for a in leaves)


@pytest.mark.parametrize("spiking", [True, False], ids=["spiking", "smooth"])
@each_name
def test_derivatives_of_every_mode_and_order(name, spiking):
    """Along a direction of each leaf: forward mode as reverse mode, the smooth twin as finite differences."""
    with jax.enable_x64(True):
        at = build(name, surrogate=sx.surrogate.ATan(spiking=spiking)), inputs()
        (paths, flat), structure = zip(*jax.tree.leaves_with_path(at), strict=True), jax.tree.structure(at)
        tangents = [jnp.cos(3.0 * jnp.arange(a.size)).reshape(a.shape) for a in flat]
        # A pause is a count, with nothing near it to differ from.
        tangents = [0 * d if str(path[-1]) == ".steps" else d for path, d in zip(paths, tangents, strict=True)]
        zeros, step = jnp.zeros(len(flat)), 1e-5

        def along(sizes):
            moved = [a + size * by for a, size, by in zip(flat, sizes, tangents, strict=True)]
            return loss(*jax.tree.unflatten(structure, moved))

        def differences(f):
            by = step * jnp.eye(len(flat))
            return (jax.vmap(f)(by) - jax.vmap(f)(-by)) / (2 * step)

        def derivatives():
            slopes = jax.grad(along)
            modes = jax.jacfwd(along)(zeros), jax.vmap(jax.linearize(along, zeros)[1])(jnp.eye(len(flat)))
            reverse, others = slopes(zeros), (*modes, jax.grad(jax.checkpoint(along))(zeros))
            if spiking:
                return reverse, others, None
            return reverse, others, ((reverse, jax.hessian(along)(zeros)), (differences(along), differences(slopes)))

        reverse, others, orders = jax.jit(derivatives, compiler_options=QUICK)()
        assert np.any(reverse)
        close(others, (reverse,) * 3, 1e-12)
        if not spiking:
            close(*orders, 1e-5)


@each_name
def test_parameters_are_constants_scalars_or_one_a_neuron(name):
    with jax.enable_x64(True), jax.disable_jit():
        outs, grads = {}, {}
        for kind, value in KINDS.items():
            outs[kind], (grad_cell, grad_x) = jax.value_and_grad(loss, (0, 1))(build(name, value), inputs())
            outs[kind], grads[kind] = (outs[kind], grad_x), [leaf.sum() for leaf in jax.tree.leaves(grad_cell)]
        for kind in ("scalar", "neuron"):
            close(outs[kind], outs["constant"], 1e-12)
        close(grads["neuron"], grads["scalar"], 1e-12)
        assert len(grads["scalar"]) > len(grads["constant"])
    with pytest.raises(ValueError, match=r"has shape .*, which does not broadcast to inputs of shape \(1, 3\)"):
        build(name).init_state((1, 3), key=jax.random.key(0))


@each_name
def test_a_cell_is_a_pytree_pickles_prints_and_compiles_once(name):
    traces = []

    @jax.jit
    def lower(cell, xs):
        traces.append(cell)
        return loss(cell, xs)

    cell, names = build(name), vars(sx.surrogate) | vars(sx.cells) | {"jnp": jnp}
    assert jax.tree.unflatten(*jax.tree.flatten(cell)[::-1]) == cell
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert eval(repr(cell), names) == cell
    for other in (cell, build(name), jax.tree.map(lambda leaf: 1.01 * leaf, cell), eval(repr(cell), names)):
        lower.lower(other, inputs())
    assert len(traces) == 1
