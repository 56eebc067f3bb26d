"""What JAX does to functions, it does to the fused kernel."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from tests.cells.runs import close

import spikejax as sx
from spikejax.kernels import fused_scan

T, N = 5, 6
XS = 2 * jax.random.uniform(jax.random.key(0), (T, 2, N))
CELL = sx.LIF(tau=jnp.full(N, 2.5), surrogate=sx.surrogate.ATan())
SMOOTH = CELL.replace(surrogate=sx.surrogate.ATan(spiking=False))
MANY_XS = jnp.stack((XS, 1.1 * XS, 0.9 * XS))
MANY_CELLS = jax.tree.map(lambda a: jnp.stack((a, 1.2 * a)), CELL)
ALONG, ALONG_SMOOTH = (jax.tree.map(jnp.ones_like, (cell, XS)) for cell in (CELL, SMOOTH))


def loss_of(run):
    def loss(cell, xs):
        last, ys = run(cell, cell.init_state(xs.shape[1:]), xs)
        return jnp.sum(ys * jnp.arange(N)) + last.v.sum()

    return loss


def total(over_batch):
    return lambda *args: over_batch(*args).sum()


def over_scan(f):
    return lambda cell, many: jax.lax.scan(lambda total, xs: (total + f(cell, xs), None), 0.0, many)[0]


BOTH = (0, 1)
TRANSFORMATIONS = {
    "grad": lambda f: jax.grad(f, BOTH)(CELL, XS),
    "jvp": lambda f: jax.jvp(f, (CELL, XS), ALONG),
    "jvp-jit": lambda f: jax.jvp(jax.jit(f), (CELL, XS), ALONG),
    "jacfwd": lambda f: jax.jacfwd(f, BOTH)(CELL, XS),
    "hessian": lambda f: jax.hessian(f, 1)(SMOOTH, XS),
    "reverse-reverse": lambda f: jax.jacrev(jax.jacrev(f, 1), 1)(SMOOTH, XS),
    "jvp-jvp": lambda f: jax.jvp(lambda *at: jax.jvp(f, at, ALONG_SMOOTH)[1], (SMOOTH, XS), ALONG_SMOOTH),
    "grad-jvp": lambda f: jax.grad(lambda *at: jax.jvp(f, at, ALONG_SMOOTH)[1], BOTH)(SMOOTH, XS),
    "vmap-grad": lambda f: jax.vmap(jax.grad(f, BOTH), (None, 0))(CELL, MANY_XS),
    "vmap-cell-grad": lambda f: jax.vmap(jax.grad(f, BOTH), (0, None))(MANY_CELLS, XS),
    "vmap-cell-jvp": lambda f: jax.vmap(lambda cell: jax.jvp(f, (cell, XS), ALONG))(MANY_CELLS),
    "grad-vmap-vmap": lambda f: jax.grad(total(jax.vmap(jax.vmap(f, (None, 0)), (0, None))), BOTH)(MANY_CELLS, MANY_XS),
    "grad-scan": lambda f: jax.grad(over_scan(f), BOTH)(CELL, MANY_XS),
    "grad-checkpoint-scan": lambda f: jax.grad(over_scan(jax.checkpoint(f, prevent_cse=False)), BOTH)(CELL, MANY_XS),
    "cond": lambda f: jax.grad(lambda *at: jax.lax.cond(at[1].sum() > 0, f, lambda *_: 0.0, *at), BOTH)(CELL, XS),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_transformation_gives_what_it_gives_of_a_scan(name):
    by_scan = loss_of(lambda cell, state, xs: jax.lax.scan(cell.step, state, xs))
    by_kernel, by_scan = (jax.jit(partial(TRANSFORMATIONS[name], loss))() for loss in (loss_of(fused_scan), by_scan))
    close(by_kernel, by_scan, 5e-6)


def test_the_gpu_kernel_goes_through_vmap_and_grad():
    by_scan, by_kernel = (
        jax.jit(jax.vmap(jax.value_and_grad(loss_of(run), BOTH), (None, 0)))
        for run in (fused_scan, lambda *at: fused_scan(*at, backend="interpret"))
    )
    close(by_kernel(CELL, MANY_XS), by_scan(CELL, MANY_XS), 5e-6)


def test_only_the_charged_states_are_kept():
    """Between forward and backward pass there is one array of the size of the input, not three."""
    big = jnp.ones((64, 8, 32))

    def kept(run):
        _, pull = jax.vjp(lambda xs: run(sx.LIF(), sx.LIF().init_state(big.shape[1:]), xs)[1], big)
        return sum(a.size == big.size for a in jax.tree.leaves(pull))

    assert kept(fused_scan) <= 2  # with the input itself, which is there anyway
    assert kept(lambda cell, state, xs: fused_scan(cell, state, xs, residuals="x")) <= 1


@pytest.mark.parametrize("residuals", ["h", "x"])
def test_inference_keeps_nothing(residuals):
    def temporary(steps):
        run = jax.jit(lambda xs: fused_scan(sx.LIF(), sx.LIF().init_state((8, 64)), xs, residuals=residuals))
        return run.lower(jnp.ones((steps, 8, 64))).compile().memory_analysis().temp_size_in_bytes

    assert temporary(512) == temporary(8) < 100_000


def test_without_jit_it_gives_the_same():
    """Loops then run in Python, their indices known."""
    loss = jax.value_and_grad(loss_of(fused_scan), BOTH)
    cell = sx.QIF(tau=jnp.full(N, 2.5))
    want = loss(cell, XS)
    with jax.disable_jit():
        close(loss(cell, XS), want)
