"""Escape noise: against its probability, and its gradient by the loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.cells.wrapping import (
    FEATURES,
    KEY,
    SMOOTH,
    TAU,
    XS,
    close,
    grad_of,
    inputs,
    refractory_loop,
    run,
    start,
    weights,
)

import spikejax as sx


def resting(cell, n, steps=50, u=0.0):
    """Spikes of many neurons that are held at `u` from their threshold: [T, n]."""
    state = cell.init_state((n,), key=KEY)
    return run(cell, jnp.full((steps, n), u + 1.0), state)[1]


class Follower(sx.Neuron):
    """A neuron that is where its input is."""

    def charge(self, state, x):
        return state._replace(v=0 * state.v + x)


ESCAPES = {
    "sigmoid": (None, lambda u: 1 / (1 + np.exp(-4 * u))),
    "hazard": (lambda u: 1 - jnp.exp(-jnp.exp(2 * u)), lambda u: 1 - np.exp(-np.exp(2 * u))),
}


@pytest.mark.parametrize("u", [-0.7, -0.2, 0.0, 0.3])
@pytest.mark.parametrize(("escape", "probability"), ESCAPES.values(), ids=ESCAPES)
def test_spikes_come_with_their_probability(escape, probability, u):
    ys = np.asarray(resting(sx.Stochastic(Follower(), escape), 2000, u=u))
    p, count = probability(u), ys.size
    assert set(np.unique(ys)) <= {0, 1}
    assert abs(ys.mean() - p) < 5 * np.sqrt(p * (1 - p) / count)
    # independent from step to step, and from neuron to neuron
    centred = (ys - p) / np.sqrt(p * (1 - p))
    for product in (centred[1:] * centred[:-1], centred[:, 1:] * centred[:, :-1]):
        assert abs(product.mean()) < 5 / np.sqrt(product.size)
    # each neuron's own rate is spread as a binomial's
    deviation = (ys.sum(0) - 50 * p) / np.sqrt(50 * p * (1 - p))
    assert abs((deviation**2).mean() - 1) < 5 * np.sqrt(2.5 / 2000)


def test_the_draw_is_that_of_the_key():
    cell = sx.Stochastic(sx.LIF())
    again = [run(cell, XS, cell.init_state(XS.shape[1:], key=key))[1] for key in (KEY, KEY, jax.random.key(4))]
    np.testing.assert_array_equal(again[0], again[1])
    assert (again[0] != again[2]).any()


def test_refractory_chance_spikes_as_renewal_theory_says():
    pause, p = 4, 1 / (1 + np.exp(-4 * -0.2))
    rates = {}
    for name, cell in (
        ("outside", sx.Refractory(sx.Stochastic(Follower()), pause)),
        ("inside", sx.Stochastic(sx.Refractory(Follower(), pause))),
    ):
        ys = np.asarray(resting(cell, 2000, steps=200, u=-0.2))
        intervals = np.concatenate([np.diff(np.flatnonzero(column)) for column in ys[:, :400].T])
        assert intervals.min() == pause + 1
        # a geometric waiting time after the pause; intervals cut off at the end bias the mean by far less
        rates[name] = ys[50:].mean()
        want = 1 / (pause + 1 / p)
        error = np.sqrt(want**3 * (1 - p) / p**2 / ys[50:].size)
        assert abs(rates[name] - want) < 5 * error
    assert set(rates) == {"outside", "inside"}


def test_drawn_spikes_reset_and_have_the_gradient_of_the_surrogate():
    w1, w2 = weights()
    for soft in (True, False):
        with jax.enable_x64(True):
            cell = sx.Stochastic(sx.LIF(tau=TAU, v_reset=None if soft else 0.0))
            xs, state = jnp.asarray(inputs()), start(cell, jnp.float64)
            found = jax.jit(partial(grad_of, cell))(xs, state, w1, w2)
        drawn = np.asarray(found[0])
        assert (drawn != refractory_loop(np.zeros(FEATURES), w1, w2, soft)[0]).any()
        spikes, last, grad = refractory_loop(np.zeros(FEATURES), w1, w2, soft, spiked=drawn)
        np.testing.assert_array_equal(spikes, drawn)
        close(found[1:], (last, grad), 1e-12)


def test_a_steep_surrogate_is_certain():
    xs = 1.01 * XS  # no membrane exactly at its threshold, where chances are even
    for neuron in (sx.ALIF(tau=2.0), sx.KLIF(), sx.LIAF()):
        steep = neuron.replace(surrogate=sx.surrogate.Sigmoid(1e6))
        want = run(steep, xs, start(steep))
        got = run(sx.Stochastic(steep), xs, start(sx.Stochastic(steep)))
        close((got[0].cell, got[1]), want)
        assert want[1].any()


def test_the_smooth_twin_is_not_drawn():
    twin = sx.LIF(surrogate=SMOOTH)
    got = run(sx.Stochastic(twin), XS, start(sx.Stochastic(twin)))
    close((got[0].cell, got[1]), run(twin, XS, start(twin)))


def test_a_liaf_resets_by_the_draw_that_it_fired_by(key):
    cell = sx.Refractory(sx.Stochastic(sx.LIAF(tau=TAU, act="sigmoid", v_reset=-1.0)), 1)
    xs = jnp.full((40, 50), 2.0)
    _, (_, kept) = run(cell, xs, cell.init_state((50,), key=key), record=("membrane", "wait"))
    fired, reset = np.asarray(kept["wait"] == 1), np.asarray(kept["membrane"] == -1)
    assert 0.05 < fired.mean() < 0.6
    np.testing.assert_array_equal(reset[1:] & ~reset[:-1], fired[1:] & ~reset[:-1])
    assert (reset[fired]).all()
