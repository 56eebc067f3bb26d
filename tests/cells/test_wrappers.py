"""Refractory and Stochastic around every neuron, every way against the others, and what they refuse."""

import copy
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.cells.runs import QUICK
from tests.cells.wrapping import (
    BATCH,
    FEATURES,
    KEY,
    PAUSES,
    TAU,
    XS,
    T,
    close,
    each_neuron,
    grad_of,
    inputs,
    refractory_loop,
    run,
    start,
    weights,
)

import spikejax as sx


@pytest.mark.parametrize(
    ("steps", "soft"),
    [(0, True), (1, False), (3, True), (PAUSES, True), (PAUSES, False)],  # PAUSES has 0, 1, 2 and 5 in it
    ids=["0-soft", "1-hard", "3-soft", "many-soft", "many-hard"],
)
def test_refractory_equals_the_loop_and_its_gradient(steps, soft):
    w1, w2 = weights()
    spikes, last, grad = refractory_loop(np.broadcast_to(steps, FEATURES), w1, w2, soft)
    assert 0.1 < spikes.mean() < 0.9
    with jax.enable_x64(True):
        cell = sx.Refractory(sx.LIF(tau=TAU, v_reset=None if soft else 0.0), steps)
        found = jax.jit(partial(grad_of, cell, chunk=5, remat=True))(
            jnp.asarray(inputs()), start(cell, jnp.float64), w1, w2
        )
    np.testing.assert_array_equal(found[0], spikes)
    close(found[1:], (last, grad), 1e-12)


@each_neuron
def test_a_pause_is_observed_and_nothing_moves_in_it(neuron):
    cell, pause = sx.Refractory(neuron, PAUSES.astype(np.float32)), PAUSES
    xs = 4 * jnp.asarray(XS) - 3
    _, (ys, kept) = run(cell, xs, start(cell), record=("cell", "wait"))
    states = [np.asarray(leaf) for leaf in jax.tree.leaves(kept["cell"]) if leaf.shape == xs.shape]
    ys, wait = np.asarray(ys), np.asarray(kept["wait"])
    paused = wait[:-1] > 0  # the next step is one of the pause
    assert (ys[1:][paused] == 0).all()
    np.testing.assert_array_equal(wait[1:][paused], wait[:-1][paused] - 1)
    for state in states:
        np.testing.assert_allclose(state[1:][paused], state[:-1][paused], rtol=5e-7)  # one rounding
    fired = (wait == pause) & (pause > 0)
    for n in range(BATCH):
        for f in range(1, FEATURES):
            assert (np.diff(np.flatnonzero(fired[:, n, f])) > pause[f]).all()
    assert fired[..., 1:].any((0, 1)).all(), "no spikes, so no pauses"
    spikes = ys != 0  # the output of LIAF is relu(h - v_threshold)
    np.testing.assert_array_equal(fired[..., 1:], spikes[..., 1:])
    assert not isinstance(neuron, sx.TernaryLIF) or (ys < 0).any()


@each_neuron
def test_no_pause_is_the_neuron_itself(neuron):
    want, ys = run(neuron, XS, start(neuron))
    got, same = run(sx.Refractory(neuron, 0), XS, start(sx.Refractory(neuron, 0)))
    np.testing.assert_array_equal(same, ys)
    close(got.cell.v, want.v)
    assert jax.tree.structure(got.cell) == jax.tree.structure(want)


def test_pauses_of_nested_wrappers_add_up():
    cell = sx.Refractory(sx.Refractory(sx.IF(), 2), 3)
    _, ys = run(cell, jnp.ones((13, 1)), cell.init_state((1,)))
    np.testing.assert_array_equal(np.flatnonzero(ys[:, 0]), [0, 6, 12])


def test_a_leaky_integrator_never_pauses():
    cell = sx.Refractory(sx.LeakyIntegrator(), 3)
    np.testing.assert_array_equal(run(cell, XS, start(cell))[1], run(sx.LeakyIntegrator(), XS, None)[1])


WRAPPED = {
    "Refractory": sx.Refractory(sx.LIF(tau=np.array([1.5, 2.0, 3.0, 4.0]), v_reset=None), 2),
    "Refractory-a-neuron": sx.Refractory(sx.ALIF(tau=2.0, tau_a=5.0), PAUSES),
    "Stochastic-Refractory": sx.Stochastic(
        sx.Refractory(sx.LIF(tau=np.array([1.5, 2.0, 3.0, 4.0])), 2), lambda u: 1 - jnp.exp(-jnp.exp(2 * u))
    ),
    "Refractory-Stochastic": sx.Refractory(sx.Stochastic(sx.LIF()), 2),
}
each_wrapped = pytest.mark.parametrize("cell", WRAPPED.values(), ids=WRAPPED)


@partial(jax.jit, static_argnames=("chunk", "remat"), compiler_options=QUICK)
def outcome(cell, xs, state, **how):
    """Outputs and last membrane; gradients in the cell's arrays, the input and the first membrane."""
    inner = state.cell.cell if hasattr(state.cell, "cell") else state.cell

    def loss(cell, xs, v):
        first = inner._replace(v=v)
        first = state._replace(cell=state.cell._replace(cell=first) if hasattr(state.cell, "cell") else first)
        last, ys = sx.run(cell, xs, first, **how)
        weight = jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)
        return jnp.sum(weight * ys) + jnp.sum(weight[0] * last.v), (ys, last.v)

    found, outs = jax.grad(loss, (0, 1, 2), has_aux=True)(cell, xs, inner.v)
    return outs, found


@each_wrapped
def test_every_way_is_equal(cell):
    want = outcome(cell, XS, start(cell))
    assert 0.05 < want[0][0].mean() < 0.95
    got = outcome(cell, XS, start(cell), chunk=5, remat=True)
    np.testing.assert_array_equal(got[0][0], want[0][0])
    close(got, want)
    step, state, spikes = jax.jit(cell.step), start(cell), []
    for x in XS:
        state, s = step(state, x)
        spikes.append(s)
    np.testing.assert_array_equal(jnp.stack(spikes), want[0][0])
    close(state.v, want[0][1])


def test_a_sequence_ends_at_its_length():
    cell = WRAPPED["Refractory-Stochastic"]
    _, (want, kept) = run(cell, XS, start(cell), record=("membrane",))
    state, ys = run(cell, XS, start(cell), lengths=jnp.array([T, 3]), chunk=7)
    np.testing.assert_array_equal(ys[:, 0], want[:, 0])
    np.testing.assert_array_equal(ys[:3, 1], want[:3, 1])
    close(state.v, jnp.stack((kept["membrane"][-1, 0], kept["membrane"][2, 1])))


@pytest.mark.parametrize("name", ["Refractory-a-neuron", "Stochastic-Refractory"])
def test_transformations_keep_the_result(name):
    cell = WRAPPED[name]
    compiled = partial(jax.jit, compiler_options=QUICK)
    last, want = run(cell, XS, start(cell))
    np.testing.assert_array_equal(compiled(jax.checkpoint(sx.run))(cell, XS, start(cell))[1], want)
    many = compiled(jax.vmap(sx.run, in_axes=(None, 0, None)))(cell, jnp.stack((XS, 0 * XS)), start(cell))
    np.testing.assert_array_equal(many[1][0], want)
    close(many[0].v[0], last.v)


def test_a_pause_is_not_trained():
    cell = WRAPPED["Refractory-a-neuron"]
    np.testing.assert_array_equal(outcome(cell, XS, start(cell))[1][0].steps, np.zeros(FEATURES))


@each_wrapped
def test_states_and_copies(cell):
    traces = []

    @jax.jit
    def step(cell, state, x):
        traces.append(cell)
        return cell.step(state, x)

    x = jnp.asarray(XS[1], jnp.bfloat16)
    state, spikes = step(cell, start(cell), x)
    assert spikes.dtype == jnp.bfloat16
    assert jax.tree.map(lambda a: (a.shape, a.dtype), state) == jax.tree.map(lambda a: (a.shape, a.dtype), start(cell))
    half, _ = run(cell, XS, start(cell, jnp.bfloat16))
    assert half.v.dtype == jnp.bfloat16
    others = [copy.copy(cell), cell.replace(), jax.tree.unflatten(*jax.tree.flatten(cell)[::-1])]
    if getattr(cell, "escape", None) is None:
        others.append(pickle.loads(pickle.dumps(cell)))
    for other in others:
        assert other == cell and repr(other) == repr(cell)
        np.testing.assert_array_equal(step(other, start(cell), x)[1], spikes)
    assert len(traces) == 1
    assert repr(cell).startswith(f"{type(cell).__name__}(cell={type(cell.cell).__name__}(")


@pytest.mark.parametrize("wrap", [lambda cell: sx.Refractory(cell, 2), sx.Stochastic], ids=["Refractory", "Stochastic"])
def test_what_a_neuron_has_a_step_is_not_taken_for_one_a_neuron(wrap):
    one, rows = wrap(sx.GatedLIF(conduct=0.3)), wrap(sx.GatedLIF(conduct=jnp.full((T, FEATURES), 0.3)))
    np.testing.assert_array_equal(run(rows, XS, start(rows))[1], run(one, XS, start(one))[1])
    with pytest.raises(ValueError, match=r"`cell.conduct` has shape \(3,\), which does not broadcast"):
        start(wrap(sx.GatedLIF(conduct=jnp.zeros((T, 3)))))


def test_constants_make_it_hashable():
    cell = sx.Refractory(sx.Stochastic(sx.LIF()), 2)
    assert hash(cell) == hash(sx.Refractory(sx.Stochastic(sx.LIF()), 2))
    assert cell != sx.Refractory(sx.Stochastic(sx.LIF()), 3)
    assert eval(repr(cell), vars(sx) | vars(sx.surrogate)) == cell


def test_wrapped_parameters_are_trained_in_a_network():
    rngs = nnx.Rngs(0)
    cell = sx.Refractory(sx.LIF(tau=jnp.full(6, 2.0)), 1)
    net = sx.nn.Sequential(nnx.Linear(FEATURES, 6, rngs=rngs), cell, sx.Stochastic(sx.IF()))
    state = net.init_state((BATCH, FEATURES), key=KEY)

    @nnx.jit
    def slopes(net):
        return nnx.grad(lambda net: sx.run(net, XS, state, record="1.membrane")[1][1]["1.membrane"].sum())(net)

    assert abs(dict(nnx.to_flat_state(slopes(net)))[("layers", 1, "cell.tau")][...]).min() > 0


def test_records():
    cell = sx.Refractory(sx.LIF(), 2)
    _, (ys, kept) = run(cell, XS, start(cell), record=("membrane", "spikes", "wait"))
    np.testing.assert_array_equal(kept["spikes"], ys)
    np.testing.assert_array_equal(kept["membrane"][ys == 1], 0)
    np.testing.assert_array_equal(kept["wait"] == 2, ys == 1)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: sx.Refractory(sx.LIF(), -1), ValueError, r"`steps` must be an integer >= 0, got -1"),
        (lambda: sx.Refractory(sx.LIF(), 1.5), ValueError, r"`steps` must be an integer >= 0, got 1.5"),
        (lambda: sx.Refractory(sx.LIF(), np.array([1, -2])), ValueError, r"`steps` must be .* got values from -2.0"),
        (lambda: sx.Refractory(sx.LIF(), [1, 2]), TypeError, r"`steps` must be a number or an array, got list"),
        (lambda: sx.Refractory(sx.PSN(T=2, key=KEY), 2), TypeError, r"`cell` must be a neuron such as"),
        (lambda: sx.Refractory(sx.LIF, 2), TypeError, r"`cell` must be a neuron such as sx.LIF\(\)"),
        (lambda: sx.Stochastic(sx.encoding.Poisson()), TypeError, r"`cell` must be a neuron such as"),
        (lambda: sx.Stochastic(sx.LeakyIntegrator()), TypeError, r"must be a neuron with a `surrogate`, got LeakyI"),
        (lambda: sx.Stochastic(sx.Refractory(sx.LeakyIntegrator(), 1)), TypeError, r"with a `surrogate`, got LeakyI"),
        (
            lambda: sx.Stochastic(sx.LIF(surrogate=sx.surrogate.LeakyKReLU())),
            ValueError,
            r"`LeakyKReLU.primitive` must be within \[0, 1\], got values .*: it is the probability .* give `escape`",
        ),
        (lambda: sx.Stochastic(sx.LIF(), jnp.exp), ValueError, r"`escape` must be within \[0, 1\]"),
        (lambda: sx.Stochastic(sx.LIF()).init_state((2,)), ValueError, r"`key` must be given, because Stochastic"),
        (lambda: sx.run(sx.Stochastic(sx.LIF()), XS), ValueError, r"pass state=net.init_state\(shape, key="),
        (
            lambda: sx.Refractory(sx.LIF(tau=jnp.full(5, 2.0)), 2).init_state((2, 4)),
            ValueError,
            r"`cell.tau` has shape \(5,\), which does not broadcast",
        ),
        (lambda: sx.Refractory(sx.LIF(), np.ones(3)).init_state((2, 4)), ValueError, r"`steps` has shape \(3,\)"),
    ],
)
def test_what_is_refused(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_a_surrogate_without_a_primitive_needs_an_escape_function():
    class Slope(sx.surrogate.SurrogateFunction):
        def derivative(self, u):
            return jnp.ones_like(u)

    with pytest.raises(ValueError, match=r"Slope has no primitive.* or give `escape`, the probability of a spike"):
        sx.Stochastic(sx.LIF(surrogate=Slope()))
    sx.Stochastic(sx.LIF(surrogate=Slope()), jax.nn.sigmoid)
