"""The chain of layers: names, states, chunks, and what is computed once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.core import Tracer

import spikejax as sx

T, N, F = 7, 3, 4
XS = np.float32(0.5 + 1.5 * np.sin(np.arange(T * N * F) * 1.7)).reshape(T, N, F)


def build():
    rngs = nnx.Rngs(0)
    inner = sx.nn.Sequential(
        nnx.Linear(6, 5, rngs=rngs), sx.ParametricLIF(init_tau=2.5, v_threshold=0.1), lambda x: 2 * x
    )
    first = sx.LIF(tau=jnp.array([2.0, 2.5, 3.0, 3.5, 4.0, 4.5]), v_threshold=0.5)
    return sx.nn.Sequential(
        nnx.Linear(F, 6, rngs=rngs), first, inner, nnx.Linear(5, 2, rngs=rngs), sx.LeakyIntegrator()
    )


def value_and_grads(net, xs, state=None, **how):
    """Outputs and last state; gradients in the parameters, the input and the first state."""
    graph, params = nnx.split(net)
    state = net.init_state(xs.shape[1:]) if state is None else state

    def loss(params, xs, state):
        last, ys = sx.run(nnx.merge(graph, params), xs, state, **how)
        return (ys * jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)).sum() + last[1].v.sum(), (ys, last)

    grads, outs = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(params, xs, state)
    return outs, grads


def close(got, want, tolerance=5e-6):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


@pytest.fixture(scope="module")
def whole():
    return value_and_grads(build(), XS, chunk=T)


@pytest.mark.parametrize(("chunk", "remat"), [(1, False), (3, True)])
def test_every_chunk_and_remat_is_equal(whole, chunk, remat):
    close(value_and_grads(build(), XS, chunk=chunk, remat=remat), whole)


def test_gradients_reach_every_parameter(whole):
    (grads, grad_xs, grad_state) = whole[1]
    names = {path for path, _ in nnx.to_flat_state(grads)}
    assert ("layers", 1, "tau") in names
    assert ("layers", 2, "layers", 1, "w") in names
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves((grads, grad_xs, grad_state[1])))


def test_states_are_one_a_layer():
    state = build().init_state((N, F))
    shapes = jax.tree.map(jnp.shape, state)
    membrane = sx.cells.Membrane
    assert shapes == ((), membrane((N, 6)), ((), membrane((N, 5)), ()), (), membrane((N, 2)))
    half = build().init_state((N, F), jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}


def test_layers_come_back_as_they_were_given():
    net = build()
    assert len(net) == 5
    assert net[4] == sx.LeakyIntegrator()
    assert net[-1] == net[4]
    assert isinstance(net[1], sx.LIF)
    np.testing.assert_array_equal(net[1].tau, [2.0, 2.5, 3.0, 3.5, 4.0, 4.5])
    assert isinstance(net[2], sx.nn.Sequential)
    assert isinstance(net[2][1], sx.ParametricLIF)
    assert isinstance(net[0], nnx.Linear)


def test_nesting_changes_nothing():
    def layers():
        rngs = nnx.Rngs(1)
        return [nnx.Linear(F, 5, rngs=rngs), sx.IF(), nnx.Linear(5, 2, rngs=rngs), sx.LeakyIntegrator()]

    flat = sx.nn.Sequential(*layers())
    a, b, c, d = layers()
    deep = sx.nn.Sequential(sx.nn.Sequential(a, b), sx.nn.Sequential(sx.nn.Sequential(c), d))
    _, want = sx.run(flat, XS)
    _, ys = sx.run(deep, XS, chunk=3)
    np.testing.assert_allclose(ys, want, atol=1e-6)
    _, static = sx.run(deep, XS[0], steps=T)
    np.testing.assert_allclose(static, sx.run(flat, np.broadcast_to(XS[0], XS.shape))[1], atol=1e-6)


def test_a_network_without_cells_runs():
    net = sx.nn.Sequential(jnp.sin, lambda x: x + 1)
    _, ys = sx.run(net, XS, chunk=2)
    np.testing.assert_allclose(ys, np.sin(XS) + 1, rtol=1e-6)
    _, ys = sx.run(net, XS[0], steps=T)
    np.testing.assert_allclose(ys, np.broadcast_to(np.sin(XS[0]) + 1, XS.shape), rtol=1e-6)


def test_a_layer_may_stand_twice():
    linear = nnx.Linear(F, F, rngs=nnx.Rngs(0))
    cell = sx.IF(v_threshold=0.3)
    net = sx.nn.Sequential(linear, cell, linear, cell)
    _, ys = sx.run(net, XS)
    _, first = sx.run(sx.nn.Sequential(linear, cell), XS)
    _, want = sx.run(sx.nn.Sequential(linear, cell), first)
    np.testing.assert_array_equal(ys, want)
    assert 0 < ys.mean() < 1
    assert len(jax.tree.leaves(nnx.state(net))) == 2


def test_static_prefix_is_computed_once():
    seen = []

    def count(x):
        seen.append((x.shape, isinstance(x, Tracer)))
        return x

    net = sx.nn.Sequential(count, nnx.Linear(F, 5, rngs=nnx.Rngs(0)), count, sx.IF(), count)
    state = net.init_state((N, F))
    seen.clear()
    sx.run(net, XS[0], state, steps=20, chunk=8)
    assert [shape for shape, traced in seen if not traced] == [(N, F), (N, 5), (4 * N, 5)]
    in_the_loop = {shape for shape, traced in seen if traced and shape[0] > N}
    assert in_the_loop == {(8 * N, 5)}


def test_static_prefix_costs_one_step():
    net = sx.nn.Sequential(nnx.Linear(64, 64, use_bias=False, rngs=nnx.Rngs(0)), sx.IF())
    one_product = 2 * 8 * 64 * 64

    def flops(net, xs, **how):
        compiled = jax.jit(lambda xs: sx.run(net, xs, **how)[0]).lower(xs).compile()
        return compiled.cost_analysis()["flops"]

    xs = jnp.ones((20, 8, 64))
    assert flops(net, xs, chunk=20) > 19 * one_product
    for same in (net, sx.nn.Sequential(net, sx.IF())):
        assert 0.9 * one_product < flops(same, xs[0], steps=20, chunk=20) < 2 * one_product


def test_an_encoder_first_keeps_the_prefix_in_the_loop(key):
    net = sx.nn.Sequential(sx.encoding.Poisson(), nnx.Linear(F, 5, rngs=nnx.Rngs(0)), sx.IF())
    state = net.init_state((N, F), key=key)
    x = np.full((N, F), 0.5, np.float32)
    _, want = sx.run(net, np.broadcast_to(x, (T, N, F)), state, chunk=T)
    _, ys = sx.run(net, x, state, steps=T, chunk=2)
    np.testing.assert_array_equal(ys, want)


def test_closed_over_by_jit_and_vmap():
    net = build()
    _, want = sx.run(net, XS)
    _, jitted = jax.jit(lambda xs: sx.run(net, xs))(XS)
    _, mapped = jax.jit(jax.vmap(lambda xs: sx.run(net, xs), in_axes=1, out_axes=(0, 1)))(XS[:, :, None])
    np.testing.assert_allclose(jitted, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mapped[:, :, 0], want, rtol=1e-5, atol=1e-6)


def test_split_and_merge_keep_the_network():
    net = build()
    graph, state = nnx.split(net)
    _, want = sx.run(net, XS)
    np.testing.assert_array_equal(sx.run(nnx.merge(graph, state), XS)[1], want)
    assert nnx.split(build())[0] != nnx.split(sx.nn.Sequential(sx.IF()))[0]


def test_equal_networks_of_constants_compile_once():
    traces = []

    @nnx.jit
    def run(net, xs):
        traces.append(net)
        return sx.run(net, xs)[1]

    def network(tau):
        return sx.nn.Sequential(nnx.Linear(F, 5, rngs=nnx.Rngs(0)), sx.LIF(tau=tau))

    for _ in range(2):
        run(network(2.0), XS)
    assert len(traces) == 1
    run(network(3.0), XS)
    assert len(traces) == 2


def test_mixed_precision_keeps_membranes_in_float32():
    rngs = nnx.Rngs(0)
    net = sx.nn.Sequential(nnx.Linear(F, 5, dtype=jnp.bfloat16, rngs=rngs), sx.LIF(), sx.LeakyIntegrator())
    state, ys = sx.run(net, XS)
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype("float32")}
    assert ys.dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((sx.LIF,), r"layer 0 is the class LIF: give an instance, such as LIF\(\)"),
        ((sx.IF(), 3), r"layer 1 must be a cell, an nnx.Module or a function, got int"),
        (([sx.IF()],), r"layer 0 must be a cell, an nnx.Module or a function, got list"),
        ((sx.IF(), None), r"layer 1 must be .*, got NoneType"),
    ],
)
def test_what_is_no_layer(layers, message):
    with pytest.raises(TypeError, match=message):
        sx.nn.Sequential(*layers)


def test_no_layers():
    with pytest.raises(ValueError, match=r"`layers` must not be empty: Sequential needs at least one layer"):
        sx.nn.Sequential()


def test_a_layer_that_refuses_its_input_is_named():
    rngs = nnx.Rngs(0)
    net = sx.nn.Sequential(nnx.Linear(F, 5, rngs=rngs), sx.IF(), nnx.Linear(4, 2, rngs=rngs))
    message = r"layer 2 \(Linear\) refused an input of shape \(3, 5\)"
    for call in (
        lambda: net.init_state((N, F)),
        lambda: sx.run(net, XS),
        lambda: sx.run(net, XS[0], steps=3),
        lambda: net.step(((), sx.cells.Membrane(jnp.zeros((N, 5))), ()), XS[0]),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match=r"layer 1 \(wrong\) refused an input of shape \(3, 4\)"):
        sx.run(sx.nn.Sequential(sx.IF(), wrong), XS)
    with pytest.raises(ValueError, match=r"layer 1 \(Conv\) refused"):
        sx.run(sx.nn.Sequential(sx.IF(), nnx.Conv(3, 4, (3, 3), rngs=rngs)), jnp.ones((T, N, 8, 8, 2)))


def wrong(x):
    return x @ jnp.ones((9, 9))


def test_a_container_without_propagate_says_so():
    class Bare(sx.nn.Container):
        pass

    with pytest.raises(NotImplementedError, match=r"Bare must define `propagate"):
        Bare().propagate((), XS, None)


def test_a_network_prints_its_cells():
    def build():
        return sx.nn.Sequential(sx.LIF(tau=jnp.array([1.5, 2.0])))

    assert "cell=LIF(tau=jnp.array([1.5, 2.0]), decay_input=True" in repr(build())
    assert "cell=LIF(tau=float32[2], decay_input=True" in repr(nnx.eval_shape(build))
    shown = []
    nnx.jit(lambda net: shown.append(repr(net)))(build())
    assert "cell=LIF(tau=float32[2], decay_input=True" in shown[0]
