"""The neurons that mix time inside networks, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.cells.mixing import BATCH, FEATURES, KEY, T, build, close, inputs, run

import spikejax as sx


def network():
    rngs = nnx.Rngs(0)
    inner = sx.nn.Sequential(nnx.Linear(5, 3, rngs=rngs), build("MaskedPSN"), lambda x: 2 * x)
    return sx.nn.Sequential(
        nnx.Linear(FEATURES, 5, rngs=rngs), build("PSN"), inner, sx.SlidingPSN(k=2), sx.LIF(), sx.LeakyIntegrator()
    )


def test_a_network_of_them_runs_in_one_chunk():
    net, xs = network(), jnp.asarray(inputs(), jnp.float32)
    for how in ({}, {"remat": True}):
        chosen = sx.scan.plan(net, T, **how)
        assert chosen.chunk == T
        assert f"chunk {T}: layer 1: PSN mixes the T = {T} steps it was built for, all at once" in str(chosen)
    state = net.init_state((BATCH, FEATURES))
    assert state[1] == () and state[2][1] == ()
    assert [state[3].past.shape, state[4].v.shape, state[5].v.shape] == [(BATCH, 3, 1), (BATCH, 3), (BATCH, 3)]
    ys = xs
    for i, layer in enumerate((net[0], net[1], net[2][0], net[2][1], net[2][2], net[3], net[4], net[5])):
        ys = layer(ys) if i in (0, 2, 4) else run(layer, ys)[1]
    for how in ({}, {"remat": True}, {"chunk": 3 * T, "remat": True}):
        got, kept = jax.jit(lambda xs, how=how: sx.run(net, xs, record=["spikes"], **how)[1])(xs)
        assert got.shape == (T, BATCH, 3)
        close(got, ys)
        assert set(kept) == {"1.spikes", "2.1.spikes", "3.spikes", "4.spikes", "5.spikes"}

    @nnx.jit
    def slopes(net, xs):
        return nnx.grad(lambda net: sx.run(net, xs)[1].sum())(net)

    found = nnx.to_flat_state(slopes(net, xs))
    assert {"weight"} < {path[-1] for path, _ in found}
    first = dict(found)[("layers", 1, "weight")]
    assert first[...].shape == (T, T) and abs(first[...]).max() > 0


def test_a_network_of_networks_names_the_layer():
    assert "layer 2.1: MaskedPSN mixes" in str(sx.scan.plan(sx.nn.Sequential(lambda x: x, sx.IF(), network()[2]), T))


def test_after_its_length_a_sequence_is_silent():
    cell, xs = build("PSN"), jnp.asarray(inputs(), jnp.float32)
    _, ys = run(cell, xs, lengths=jnp.array([4, T]))
    silent = xs.at[4:, 0].set(0)
    want = run(cell, silent)[1]
    np.testing.assert_array_equal(ys[:, 1], want[:, 1])
    np.testing.assert_array_equal(ys[:4, 0], want[:4, 0])
    np.testing.assert_array_equal(ys[4:, 0], jnp.stack([want[3, 0]] * (T - 4)))
    _, static = run(cell, xs[2], steps=T, lengths=jnp.array([4, T]))
    np.testing.assert_array_equal(static, run(cell, jnp.stack([xs[2]] * T), lengths=jnp.array([4, T]))[1])


def test_a_psn_of_one_step_steps():
    cell = sx.PSN(T=1, weight=jnp.array([[2.0]]))
    state, spikes = cell.step(cell.init_state((2,)), jnp.array([0.4, 0.6]))
    assert state == ()
    np.testing.assert_array_equal(spikes, [0, 1])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: sx.PSN(T=0, key=KEY), r"`T` must be an integer >= 1, got 0"),
        (lambda: sx.PSN(T=2.0, key=KEY), r"`T` must be an integer >= 1, got 2.0"),
        (lambda: sx.PSN(T=4), r"PSN needs `weight`, or a `key` to draw it from"),
        (lambda: sx.MaskedPSN(T=4, k=2), r"MaskedPSN needs `weight`, or a `key` to draw it from"),
        (lambda: sx.PSN(T=4, weight=jnp.ones((4, 3))), r"`weight` must have shape \[T, T\] = \(4, 4\), got \(4, 3\)"),
        (lambda: sx.PSN(T=4, key=KEY, v_threshold=jnp.ones(3)), r"`v_threshold` must have T = 4 as its first axis"),
        (lambda: sx.PSN(T=4, key=KEY, v_threshold=float("nan")), r"`v_threshold` must be finite, got nan"),
        (lambda: sx.MaskedPSN(T=4, k=5, key=KEY), r"`k` must be an integer from 1 to 4, got 5"),
        (lambda: sx.MaskedPSN(T=4, k=0, key=KEY), r"`k` must be an integer from 1 to 4, got 0"),
        (
            lambda: sx.MaskedPSN(T=4, k=2, key=KEY, masking=1.5),
            r"`masking` must be one number within \[0, 1\], got 1.5",
        ),
        (lambda: sx.MaskedPSN(T=4, k=2, key=KEY, masking=jnp.ones(4)), r"`masking` must be one number within"),
        (lambda: sx.SlidingPSN(k=0), r"`k` must be an integer >= 1, got 0"),
        (lambda: sx.SlidingPSN(k=True), r"`k` must be an integer >= 1, got True"),
        (
            lambda: sx.SlidingPSN(k=3, weight=jnp.ones(2)),
            r"`weight` must have k = 3 as its first axis, got shape \(2,\)",
        ),
        (lambda: build("PSN", jnp.ones((T, 5))).init_state((2, 4)), r"`v_threshold` has shape \(5,\), which does"),
        (lambda: sx.SlidingPSN(k=2, weight=jnp.ones((2, 5))).init_state((2, 4)), r"`weight` has shape \(5,\)"),
        (lambda: sx.SlidingPSN(k=2, v_threshold=jnp.ones(5)).init_state((2, 4)), r"`v_threshold` has shape \(5,\)"),
        (
            lambda: build("PSN", surrogate=sx.surrogate.ATan(jnp.ones(5))).init_state((2, 4)),
            r"`surrogate.alpha` has shape \(5,\), which does not broadcast",
        ),
        (lambda: sx.PSN(T=2, weight=jnp.full((2, 2), jnp.nan)), r"`weight` must be finite, got values from nan"),
        (
            lambda: sx.SlidingPSN(k=2).step(sx.SlidingPSN(k=2).init_state((2, 4)), jnp.ones((3, 4))),
            r"`x` has shape \(3, 4\), but the state was made for \(2, 4\): use init_state\(\(3, 4\)\)",
        ),
    ],
)
def test_values_out_of_range_are_refused(act, message):
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize(
    ("cell", "name"),
    [(build("PSN"), "PSN"), (build("MaskedPSN"), "MaskedPSN"), (network(), "PSN")],
    ids=["PSN", "MaskedPSN", "network"],
)
def test_another_number_of_steps_is_refused(cell, name):
    xs = jnp.ones((T, BATCH, FEATURES))
    for how, chunk in (({"chunk": 3}, 3), ({"chunk": 1, "remat": True}, 1)):
        message = (
            rf"{name} mixes the T = {T} steps it was built for, all at once, got {chunk}: run it over {T} steps in one"
        )
        for transform in (lambda run: run, jax.jit):
            with pytest.raises(ValueError, match=message):
                transform(lambda how=how: sx.run(cell, xs, **how)[1])()
    for steps in (T - 1, T + 1, 2 * T):
        with pytest.raises(
            ValueError, match=rf"{name} mixes the T = {T} steps .* got {steps}: .* or build it with T={steps}"
        ):
            sx.run(cell, xs[0], steps=steps)
    with pytest.raises(
        ValueError, match=rf"{name} cannot take a single step, because .* all T = {T} steps: use sx.run"
    ):
        cell.step(cell.init_state((BATCH, FEATURES)), xs[0])


@pytest.mark.parametrize("build", [sx.PSN, sx.MaskedPSN, sx.SlidingPSN])
def test_values_of_a_wrong_kind_are_refused(build):
    fields = {"key": KEY} | ({} if build is sx.SlidingPSN else {"T": 4}) | ({} if build is sx.PSN else {"k": 2})
    with pytest.raises(TypeError, match=r"`surrogate` must be an object such as"):
        build(surrogate=None, **fields)
    with pytest.raises(TypeError, match=r"positional argument"):
        build(4, **fields)
    with pytest.raises(TypeError, match=r"has no field `tau`"):
        build(**fields).replace(tau=2.0)
