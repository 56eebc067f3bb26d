"""Spiking recurrent networks, against a loop in float64 and plain autodiff of their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.lax import stop_gradient

import spikejax as sx
from spikejax.nn import SpikingGRU, SpikingLSTM, SpikingVanillaRNN

T, N, F, H = 5, 3, 4, 5
XS = np.float32(3 * np.sin(np.arange(T * N * F) * 1.7)).reshape(T, N, F)
CANDIDATE = sx.surrogate.ATan(3.0)
KINDS = {SpikingLSTM: 4, SpikingGRU: 3, SpikingVanillaRNN: 1}
every = pytest.mark.parametrize("kind", KINDS)


def build(kind, **options):
    own = {} if kind is SpikingVanillaRNN else {"candidate_surrogate": CANDIDATE}
    return kind(F, H, rngs=nnx.Rngs(0), **own, **options)


def weights(layer):
    """(W_x, b_x, W_h, b_h) of one direction of a layer."""
    x, h = layer[0], layer[1].recurrent
    return [leaf[...] for linear in (x, h) for leaf in (linear.kernel, linear.bias)]


def equations(kind, parameters, state, x, theta, candidate, np=jnp, constant=stop_gradient):
    """One step of a layer, with `np` for arrays."""
    w_x, b_x, w_h, b_h = parameters
    h, c = state
    a, b = np.split(x @ w_x + b_x, KINDS[kind], -1), np.split(h @ w_h + b_h, KINDS[kind], -1)
    if kind is SpikingLSTM:
        i, f, o = (theta(a[k] + b[k]) for k in (0, 1, 3))
        free = f * c + i * candidate(a[2] + b[2])
        c = free - constant(free - np.minimum(free, 1.0))
        h = o * c
    elif kind is SpikingGRU:
        r, z = theta(a[0] + b[0]), theta(a[1] + b[1])
        h = (1 - z) * candidate(a[2] + r * b[2]) + z * h
    else:
        h = theta(a[0] + b[0])
    return (h, c), h


def heaviside(u):
    return (u >= 0).astype(np.float64)


def weighted(ys):
    return (ys * jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)).sum()


def close(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), got, want)


@every
def test_one_layer_is_its_equations_in_float64(kind):
    net = build(kind)
    double = [np.asarray(leaf, np.float64) for leaf in weights(net[0])]
    state, want = (np.zeros((N, H)), np.zeros((N, H))), []
    for x in np.float64(XS):
        state, y = equations(kind, double, state, x, heaviside, heaviside, np, lambda a: a)
        want.append(y)
    want = np.stack(want)
    ys = sx.run(net, XS)[1]
    np.testing.assert_array_equal(ys, want)
    assert 0.05 < want.mean() < 0.95
    assert all(np.abs(leaf).max() < H**-0.5 for leaf in double)
    assert np.concatenate([leaf.ravel() for leaf in double]).std() == pytest.approx(H**-0.5 / 3**0.5, rel=0.15)
    assert np.all(sx.run(net, XS[0], steps=T)[1] == sx.run(net, np.broadcast_to(XS[0], XS.shape))[1])


@pytest.mark.parametrize(
    ("kind", "bidirectional"),
    [(SpikingLSTM, False), (SpikingLSTM, True), (SpikingGRU, False), (SpikingVanillaRNN, True)],
)
def test_two_layers_are_two_singles_with_their_gradients(kind, bidirectional):
    net = build(kind, layers=2, bidirectional=bidirectional)

    theta, candidate = sx.surrogate.Erf(), sx.surrogate.Erf() if kind is SpikingVanillaRNN else CANDIDATE

    def over_time(way, xs):
        start = jnp.zeros((N, H)), jnp.zeros((N, H))
        return jax.lax.scan(lambda state, x: equations(kind, weights(way), state, x, theta, candidate), start, xs)[1]

    def plain(net, xs):
        for layer in (net[0], net[1]):
            ways = [(layer[0], 1), (layer[1], -1)] if bidirectional else [(layer, 1)]
            xs = jnp.concatenate([over_time(way, xs[::d])[::d] for way, d in ways], -1)
        return xs

    def both(run):
        graph, params = nnx.split(net)

        def loss(params, xs):
            ys = run(nnx.merge(graph, params), xs)
            return weighted(ys), ys

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, jnp.asarray(XS))

    want = both(plain)
    assert want[1].shape == (T, N, (1 + bidirectional) * H)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(want))
    ways = [{}] if bidirectional else [{"chunk": 1}, {"chunk": 4, "remat": True}]
    for how in ways:
        close(both(lambda net, xs, how=how: sx.run(net, xs, **how)[1]), want)


def test_the_memory_holds_at_most_one():
    net = SpikingLSTM(1, 1, rngs=nnx.Rngs(0))
    net[0][0].kernel[...], net[0][0].bias[...] = jnp.zeros((1, 4)), jnp.full(4, 5.0)
    state, (ys, kept) = sx.run(net, jnp.zeros((4, 1, 1)), record=("c", "0.1.spikes"))
    assert set(kept) == {"0.1.c", "0.1.spikes"}
    np.testing.assert_array_equal(kept["0.1.c"].ravel(), 1)
    np.testing.assert_array_equal(ys.ravel(), 1)
    assert state[0][1].c.shape == (1, 1)


def test_dropout_between_layers():
    net = SpikingVanillaRNN(F, 64, layers=2, dropout=0.5, dropout_fixed=True, rngs=nnx.Rngs(0))
    varying = SpikingVanillaRNN(F, 64, layers=2, dropout=0.5, rngs=nnx.Rngs(0))
    first = sx.run(net[0], XS)[1]

    def dropped(net, **how):
        state = net.init_state((N, F), key=jax.random.key(1))
        return sx.run(net, XS, state, record="1.spikes", **how)[1][1]["1.spikes"]

    fixed, new = dropped(net), dropped(varying)
    silent = (first > 0) & (fixed == 0)
    assert not (silent.any(0) & (fixed > 0).any(0)).any()  # the same neurons at every step
    assert ((first > 0) & (new == 0)).any(0).sum() > silent.any(0).sum()
    for masked in (fixed, new):
        assert set(np.unique(masked)) == {0, 2}
        assert masked.sum() / first.sum() == pytest.approx(1, abs=0.15)
    np.testing.assert_array_equal(dropped(varying, chunk=1), new)
    for refused in (net, varying):
        with pytest.raises(ValueError, match=r"`key` must be given, because .* in train mode"):
            refused.init_state((N, F))
    net.eval()
    close(sx.run(net, XS)[1], sx.run(net[2], first)[1])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"layers": 0}, ValueError, "`layers` must be an integer >= 1, got 0"),
        ({"layers": 2, "dropout": 1.0}, ValueError, r"`dropout` must be within \[0, 1\), got 1.0"),
        ({"surrogate": sx.surrogate.Erf(spiking=False)}, ValueError, "must both spike or both not"),
        ({"surrogate": jnp.tanh}, TypeError, "`surrogate` must be an object such as"),
    ],
)
def test_wrong_arguments(options, kind, message):
    with pytest.raises(kind, match=message):
        build(SpikingGRU, **options)
