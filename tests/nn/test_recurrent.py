"""Recurrent cells and delays, against their equations in plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import Delay, Recurrent, Sequential

XS = 2 * jax.random.normal(jax.random.key(0), (9, 3, 4))


def recurrent(cell=None):
    kernel = jnp.linspace(-1.0, 1.2, 16).reshape(4, 4)
    feedback = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
    feedback.kernel[...], feedback.bias[...] = kernel, jnp.linspace(-0.2, 0.2, 4)
    return Recurrent(cell or sx.LIF(tau=jnp.array(2.5)), feedback)


def loop(net, xs):
    """y[t] = cell(x[t] + feedback(y[t-1]))."""
    state, y, ys = net.cell.init_state(xs.shape[1:], key=jax.random.key(0)), jnp.zeros(xs.shape[1:]), []
    for x in xs:
        state, y = net.cell.step(state, x + net.feedback(y))
        ys.append(y)
    return jnp.stack(ys)


@pytest.mark.parametrize("how", [{}, {"chunk": 1}, {"chunk": 4, "remat": True}, {"method": "scan"}], ids=str)
def test_every_way_is_the_loop_with_its_gradients(how):
    def loss(run, net, xs):
        ys = run(net, xs)
        return (ys * jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)).sum(), ys

    (_, ys), grads = nnx.value_and_grad(loss, argnums=(1, 2), has_aux=True)(
        lambda net, xs: sx.run(Sequential(net), xs, **how)[1], recurrent(), XS
    )
    (_, want), by_loop = nnx.value_and_grad(loss, argnums=(1, 2), has_aux=True)(loop, recurrent(), XS)
    np.testing.assert_array_equal(ys, want)
    assert 10 < ys.sum() < ys.size - 10
    assert len(jax.tree.leaves(grads)) == 4  # tau, kernel, bias, input
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(by_loop), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert jnp.abs(b).max() > 0


def test_alone_it_is_a_cell():
    net = recurrent()
    last, ys = sx.run(net, XS)
    np.testing.assert_array_equal(ys, loop(net, XS))
    np.testing.assert_array_equal(last.y, ys[-1])
    np.testing.assert_array_equal(last.v, last.cell.v)
    _, (_, records) = sx.run(Sequential(net), XS, record=("membrane",))
    assert records["0.membrane"].shape == XS.shape
    _, cut = sx.run(net, XS, lengths=jnp.array([2, 9, 5]))
    np.testing.assert_array_equal(cut[:2], ys[:2])


def test_the_feedback_may_be_a_convolution_or_elementwise():
    image = 2 * jax.random.normal(jax.random.key(1), (5, 2, 6, 4, 3))
    for feedback in (nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0)), lambda y: -0.5 * y):
        net = Recurrent(sx.LIF(), feedback)
        np.testing.assert_array_equal(sx.run(net, image)[1], loop(net, image))


def test_random_cells_and_half_precision():
    net = recurrent(sx.Stochastic(sx.LIF()))
    _, ys = sx.run(net, XS, net.init_state(XS.shape[1:], key=jax.random.key(2)))
    assert 0 < ys.sum() < ys.size
    assert sx.run(recurrent(), XS.astype(jnp.bfloat16))[1].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        ((jnp.tanh, jnp.tanh), TypeError, "`cell` must be a cell such as sx.LIF"),
        ((sx.LIF(), sx.LIF()), TypeError, "`feedback` must be a module or a function of one batch"),
        ((sx.LIF(), 3), TypeError, "`feedback` must be a module or a function of one batch, .* got int"),
    ],
)
def test_wrong_parts(args, kind, message):
    with pytest.raises(kind, match=message):
        Recurrent(*args)


def test_a_feedback_of_another_shape():
    net = Recurrent(sx.LIF(), nnx.Linear(4, 5, rngs=nnx.Rngs(0)))
    with pytest.raises(
        ValueError, match=r"`feedback` turns the output \(3, 4\) into \(3, 5\), but is added to an input"
    ):
        net.init_state((3, 4))


def late(xs, delay):
    """y[t] = x[t - delay], by NumPy."""
    ys = np.zeros_like(xs)
    for i, d in enumerate(np.broadcast_to(delay, xs.shape[-1:])):
        ys[d:, ..., i] = xs[: max(len(xs) - d, 0), ..., i]
    return ys


@pytest.mark.parametrize("delay", [0, 2, (0, 3, 1, 0), (12, 0, 0, 1)])
@pytest.mark.parametrize("chunk", [None, 1, 4])
def test_a_delay_shows_its_input_later(delay, chunk):
    _, ys = sx.run(Sequential(Delay(delay)), XS, chunk=chunk)
    np.testing.assert_array_equal(ys, late(np.asarray(XS), delay))
    weights = jnp.cos(jnp.arange(XS.size)).reshape(XS.shape)
    grad = jax.grad(lambda xs: (sx.run(Delay(delay), xs)[1] * weights).sum())(XS)
    np.testing.assert_allclose(grad, late(np.asarray(weights)[::-1], delay)[::-1], rtol=1e-6)


def test_a_delay_of_a_static_input_continues_from_its_state():
    first, _ = sx.run(Delay((1, 2, 3, 0)), XS[:4])
    _, ys = sx.run(Delay((1, 2, 3, 0)), XS[4:], first)
    np.testing.assert_array_equal(ys, late(np.asarray(XS), (1, 2, 3, 0))[4:])
    _, ys = sx.run(Delay(2), XS[0], steps=5)
    np.testing.assert_array_equal(ys, late(np.repeat(np.asarray(XS[:1]), 5, 0), 2))


@pytest.mark.parametrize("delay", [-1, 1.5, (1, -2), ((1, 2), (3, 4)), ()])
def test_wrong_delays(delay):
    with pytest.raises(ValueError, match="`delay` must be whole steps >= 0, one or one a feature"):
        Delay(delay)


def test_a_delay_for_other_features():
    with pytest.raises(ValueError, match=r"`delay` has 3 values for an input of shape \(2, 4\)"):
        Delay((1, 2, 3)).init_state((2, 4))
