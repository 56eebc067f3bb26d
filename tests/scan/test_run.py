"""The driver: any chunk, any length, the same result."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.scan.networks import BATCH, INPUTS, STEPS, inputs, nested, run

import spikejax as sx
from spikejax.sequence import Static, Steps
from spikejax.typing import Network

CELLS = {"cell": sx.LIF(tau=3.0), "network": nested()}
both = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
WAYS = [{}, {"chunk": 1}, {"chunk": 5}, {"chunk": 5, "remat": True}, {"chunk": STEPS}, {"chunk": 99, "remat": True}]
every_way = pytest.mark.parametrize("how", WAYS, ids=str)


def close(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6), got, want)


@cache
def by_hand(cell, steps=STEPS):
    """Last state and outputs of plain calls of `step`."""
    xs = inputs()[:steps]
    state, ys = cell.init_state(xs.shape[1:]), []
    step = jax.jit(cell.step)
    for x in xs:
        state, y = step(state, x)
        ys.append(y)
    return state, np.stack(ys)


@every_way
@both
def test_equals_plain_calls_of_step(cell, how):
    close(run(cell, inputs(), **how), by_hand(cell))


@both
def test_one_step_is_step(cell):
    want = by_hand(cell, 1)
    for how in ({}, {"remat": True}, {"chunk": 1}, {"chunk": 4}):
        close(run(cell, inputs()[:1], **how), want)
    close(run(cell, inputs()[0], steps=1), want)


@both
def test_a_run_goes_on_from_its_last_state(cell):
    xs = inputs()
    want, whole = run(cell, xs)
    middle, first = run(cell, xs[:4])
    last, second = run(cell, xs[4:], middle)
    close((last, np.concatenate((first, second))), (want, whole))


@cache
def repeated():
    return run(nested(), np.broadcast_to(inputs()[1], inputs().shape))


@every_way
def test_static_input_equals_its_repetition(how):
    close(run(nested(), inputs()[1], steps=STEPS, **how), repeated())


def test_a_static_input_of_one_axis_is_a_batch():
    _, ys = run(sx.LIF(), jnp.ones(3), steps=5)
    assert ys.shape == (5, 3)


LENGTHS = np.array([4, STEPS, 1])


@cache
def alone(cell, static, n):
    """The last state and the outputs of sequence `n`, run on its own and then held."""
    xs = np.broadcast_to(inputs()[:1], inputs().shape) if static else inputs()
    state, ys = run(cell, xs[: LENGTHS[n], n : n + 1])
    after = STEPS - LENGTHS[n]
    return state, np.concatenate((ys, np.repeat(ys[-1:], after, 0)))[:, 0]


@pytest.mark.parametrize(("static", "how"), [(False, how) for how in WAYS[1:4]] + [(True, WAYS[2])], ids=str)
@both
def test_lengths_give_what_each_sequence_gives_alone(cell, static, how):
    given = {"xs": inputs()[0], "steps": STEPS} if static else {"xs": inputs()}
    padded = jax.jit(lambda lengths: sx.run(cell, **given, lengths=lengths, record=["spikes"], **how))
    state, (ys, kept) = jax.tree.map(np.asarray, padded(LENGTHS))
    for n, length in enumerate(LENGTHS):
        last, want = alone(cell, static, n)
        close(jax.tree.map(lambda a, n=n: a[n : n + 1], state), last)
        close(ys[:, n], want)
        for spikes in kept.values():
            assert np.all(spikes[length:, n] == spikes[length - 1, n])


@pytest.mark.parametrize("method", ["scan", "associative"])
def test_a_length_is_counted_from_the_first_chunk(method):
    cell = sx.LeakyIntegrator()
    last, ys = run(cell, inputs(), chunk=5, method=method, lengths=LENGTHS)
    for n in range(len(LENGTHS)):
        state, alone_ys = alone(cell, False, n)
        close(last.v[n : n + 1], state.v)
        close(ys[:, n], alone_ys)


@pytest.mark.parametrize("how", [{}, {"chunk": 4, "remat": True}], ids=str)
def test_steps_after_the_length_get_no_gradient(how):
    cell = sx.LIF(v_reset=None)

    def loss(xs, lengths):
        return sx.losses.firing_rate(sx.run(cell, xs, lengths=lengths, **how)[1], lengths).sum()

    grad = np.asarray(jax.jit(jax.grad(loss))(inputs(), LENGTHS))
    for n, length in enumerate(LENGTHS):
        want = jax.jit(jax.grad(lambda xs: sx.run(cell, xs)[1].mean(0).sum()))(inputs()[:length, n : n + 1])
        close(grad[:length, n], want[:, 0])
        assert np.all(grad[length:, n] == 0)


def test_random_cells_go_on_after_a_length(key):
    state = sx.encoding.Poisson().init_state((2, 50), key=key)
    xs = jnp.full((6, 2, 50), 0.5)
    free = np.asarray(run(sx.encoding.Poisson(), xs, state)[1])
    ys = np.asarray(run(sx.encoding.Poisson(), xs, state, lengths=[6, 2])[1])
    np.testing.assert_array_equal(ys[:, 0], free[:, 0])
    np.testing.assert_array_equal(ys[:2, 1], free[:2, 1])
    assert np.all(ys[2:, 1] == free[1, 1])


def test_integer_input_keeps_membranes_in_float32():
    state, ys = sx.run(sx.LIF(tau=4.0), np.ones((3, 2, 3), np.uint8))
    assert state.v.dtype == ys.dtype == jnp.float32
    np.testing.assert_allclose(state.v, 1 - 0.75**3)


def test_remat_bounds_memory():
    def temporary(**how):
        def loss(xs):
            return sx.run(sx.nn.Sequential(sx.LIF(), sx.LIF()), xs, **how)[0][1].v.sum()

        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones((2048, 8, 64))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole, bounded = temporary(chunk=2048), temporary(remat=True)
    assert bounded < whole / 2, (whole, bounded)


@pytest.mark.parametrize("chunk", [32, 20], ids=["one", "one-and-a-rest"])
def test_remat_keeps_no_membranes_of_chunks_outside_the_loop(chunk):
    xs = jnp.ones((32, 2, 8))

    def kept(remat):
        pull = jax.vjp(lambda xs: sx.run(sx.LIF(), xs, chunk=chunk, remat=remat)[1], xs)[1]
        return sum(a.size for a in jax.tree.leaves(pull))

    assert kept(True) < kept(False) - xs.size // 4


def test_the_program_does_not_grow_with_the_number_of_chunks():
    def equations(steps):
        program = jax.make_jaxpr(lambda xs: sx.run(nested(), xs, chunk=4))(jnp.ones((steps, BATCH, INPUTS)))
        return str(program).count(" = ")

    assert equations(20) == equations(2000)


def test_a_network_alone_is_a_cell():
    assert isinstance(nested(), Network)
    assert isinstance(nested(), nnx.Module)
    assert not isinstance(sx.LIF(), Network)


def test_takes_a_sequence():
    x = jnp.linspace(0.0, 2.0, 6).reshape(2, 3)
    want = sx.run(sx.LIF(), x, steps=STEPS)
    for xs in (Static(x, STEPS), Steps(jnp.broadcast_to(x, (STEPS, *x.shape)))):
        jax.tree.map(np.testing.assert_array_equal, sx.run(sx.LIF(), xs), want)
    with pytest.raises(ValueError, match=rf"`steps` must not be given with a sequence, which has {STEPS} steps, got 3"):
        sx.run(sx.LIF(), Static(x, STEPS), steps=3)
