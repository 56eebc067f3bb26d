"""Branches, loops and reversed layers: every way through time, against plain loops over the steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import (
    DelayedLinear,
    DropConnectLinear,
    ElementwiseRecurrent,
    Graph,
    LearnedDelay,
    Parallel,
    Recurrent,
    Residual,
    Reversed,
    Sequential,
    SynapseFilter,
)
from spikejax.plasticity import OTTT, value_and_grad_online

T, N, F = 6, 3, 4
XS = np.float32(1.0 + 2.5 * np.sin(np.arange(T * N * F) * 1.7)).reshape(T, N, F)


def linear(inputs=F, outputs=F, seed=0):
    return nnx.Linear(inputs, outputs, rngs=nnx.Rngs(seed))


def chain(seed=0):
    return Sequential(linear(seed=seed), sx.LIF(tau=jnp.array(2.5), v_threshold=0.2))


def branches():
    return Parallel(chain(1), sx.IF(), linear(F, 2, 2), join="concatenate")


def around():
    """In front, a loop over a nested network and back through a linear layer, and layers behind it."""
    layers = [
        linear(),
        linear(5, F, 1),
        jnp.add,
        chain(2),
        branches_of_five(),
        linear(5, 3, 4),
        sx.LIF(v_threshold=0.05),
    ]
    return Graph(layers, [[0], [5], [1, 2], [3], [4], [5], [6]])


def branches_of_five():
    return Parallel(Sequential(linear(F, 3, 5), sx.IF(v_threshold=0.2)), linear(F, 2, 6), join="concatenate")


def two_loops():
    """Two loops with a layer between them, one of them a neuron's own; the input goes past both."""
    layers = [jnp.add, sx.LIF(v_threshold=0.6), linear(), jnp.subtract, sx.IF(), jnp.add, jnp.add]
    return Graph(layers, [[0, 2], [1], [2], [3, 5], [4], [5, 0], [6, 5]])


CASES = {
    "residual": lambda: Residual(chain()),
    "residual and": lambda: Residual(chain(), sx.IF(v_threshold=0.1, v_reset=None), join="and"),
    "residual iand": lambda: Sequential(linear(), sx.IF(), Residual(chain(), Sequential(linear(F, F, 7)), join="iand")),
    "parallel": branches,
    "parallel maximum": lambda: Parallel(chain(), Residual(chain(3)), join=jnp.maximum),
    "elementwise": lambda: ElementwiseRecurrent(sx.LIF(tau=jnp.array(2.5)), jnp.add),
    "elementwise network": lambda: Sequential(linear(), ElementwiseRecurrent(chain(2), lambda x, y: x * (1 - y))),
    "recurrent network": lambda: Recurrent(Sequential(chain(), linear(F, 2), sx.IF(v_threshold=0.1)), linear(2, F)),
    "loop": around,
    "two loops": two_loops,
    "loop in a loop": lambda: Recurrent(Residual(two_loops()), linear(F, F, 8)),
    "synapse filter": lambda: Sequential(sx.IF(), SynapseFilter(tau=jnp.array([2.0, 3.0, 1.5, 9.0])), linear()),
    "learned delay": lambda: Sequential(sx.IF(), LearnedDelay(F, 3, sigma=0.7, rngs=nnx.Rngs(0)), linear()),
    "delayed linear": lambda: Sequential(sx.IF(), DelayedLinear(F, 2, 7, rngs=nnx.Rngs(0))),
    "drop connect": lambda: Sequential(linear(), DropConnectLinear(F, 3, activation=jnp.tanh, rngs=nnx.Rngs(0))),
    "drop connect fixed": lambda: Residual(DropConnectLinear(F, F, fixed=True, activation=None, rngs=nnx.Rngs(0))),
}


def weighted(ys):
    return (ys * jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)).sum()


def gradients(net, run, xs=XS):
    """Outputs and last state, and the gradients of parameters and input, by `run(net, xs)`."""
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def loss(params, xs):
        state, ys = run(nnx.merge(graph, params, rest), xs)
        return weighted(ys), (ys, state)

    return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, jnp.asarray(xs))


def start(net, xs):
    return net.init_state(xs.shape[1:], key=jax.random.key(0))


def by_steps(net, xs):
    return jax.lax.scan(net.step, start(net, xs), xs)


def close(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if not jnp.issubdtype(b.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_every_way_is_the_loop_with_its_gradients(name):
    grads, (ys, _) = want = gradients(CASES[name](), by_steps)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(grads))
    assert np.mean(ys != 0) > 0.02
    for how in ({"chunk": 1}, {"chunk": 4, "remat": True, "method": "scan"}):
        close(gradients(CASES[name](), lambda net, xs, how=how: sx.run(net, xs, start(net, xs), **how)), want)


@pytest.mark.parametrize("name", ["residual iand", "elementwise network", "loop", "learned delay", "synapse filter"])
def test_static_input_and_lengths(name):
    net, lengths = CASES[name](), np.array([2, 6, 3])
    both = jax.jit(lambda: (sx.run(net, XS[0], steps=T), sx.run(net, XS, lengths=lengths, chunk=4)))
    static, (state, ys) = both()

    @jax.jit
    def after_every_step(xs):
        def step(state, x):
            state, y = net.step(state, x)
            return state, (state, y)

        return jax.lax.scan(step, start(net, xs), xs)[1]

    states, want = after_every_step(np.broadcast_to(XS[0], XS.shape))
    close(static, (jax.tree.map(lambda a: a[-1], states), want))
    for i, length in enumerate(lengths):  # alone, others' steps being zero
        states, want = jax.tree.map(
            lambda a, i=i: np.asarray(a)[:, i], after_every_step(XS * (np.arange(N) == i)[:, None])
        )
        close(ys[:, i], np.concatenate([want[:length], np.repeat(want[length - 1 : length], T - length, 0)]))
        close(jax.tree.map(lambda a, i=i: a[i], state), jax.tree.map(lambda a, n=length: a[n - 1], states))


def test_equations_of_residual_and_parallel():
    body, past = sx.IF(v_threshold=0.3), sx.IF(v_threshold=0.9)
    (_, a), (_, s) = sx.run(body, XS), sx.run(past, XS)
    for join, want in {"add": a + s, "and": a * s, "iand": (1 - a) * s, jnp.minimum: jnp.minimum(a, s)}.items():
        np.testing.assert_array_equal(sx.run(Residual(body, past, join), XS)[1], want)
    np.testing.assert_array_equal(sx.run(Residual(body), XS)[1], a + XS)
    np.testing.assert_allclose(sx.run(Parallel(body, past, jnp.negative), XS)[1], a + s - XS, rtol=1e-6)
    np.testing.assert_array_equal(sx.run(Parallel(body, join="concatenate"), XS)[1], a)


def test_what_comes_back_keeps_a_neuron_firing():
    xs = jnp.zeros((8, 1, 1)).at[0].set(1.5)
    np.testing.assert_array_equal(sx.run(ElementwiseRecurrent(sx.IF(), jnp.add), xs)[1], jnp.ones((8, 1, 1)))
    np.testing.assert_array_equal(sx.run(Graph([jnp.add, sx.IF()], [[0, 2], [1]]), xs)[1], jnp.ones((8, 1, 1)))


def test_only_the_loop_goes_step_by_step():
    seen = []

    def note(where):
        return lambda *xs: seen.append((where, len(xs[0]))) or sum(xs)

    net = Graph(
        [note("in front"), linear(5, F, 1), note("inside"), chain(2), branches_of_five(), note("behind"), sx.LIF()],
        around().inputs,
    )
    assert (net.before, net.loop, net.after) == ((0,), (1, 2, 3, 4), (5, 6))
    sx.run(net, XS, chunk=T)
    assert {("in front", T * N), ("inside", N), ("behind", T * N)} <= set(seen)
    assert ("inside", T * N) not in seen


def test_layers_inside_are_recorded_under_their_paths():
    net = Sequential(around(), Residual(Sequential(sx.IF(), linear(3, 3))), Recurrent(chain_of(3), jnp.negative))
    _, (ys, kept) = sx.run(net, XS, record=("spikes", "membrane", "0.2.output", "0.2.input", "1.1.output"), chunk=4)
    cells = ("0.3.1", "0.4.0.1", "0.6", "1.0.0", "2.0")
    names = {f"{cell}.{kind}" for cell in cells for kind in ("spikes", "membrane")}
    assert set(kept) == names | {"0.2.output", "0.2.input", "1.1.output"}
    assert all(leaf.shape[:2] == (T, N) for leaf in jax.tree.leaves(kept))
    np.testing.assert_array_equal(kept["2.0.spikes"], ys)
    np.testing.assert_allclose(kept["0.2.output"], sum(kept["0.2.input"]), rtol=1e-6)
    state, net = net[0].init_state((N, F)), net[0]
    for t in range(T):
        state, y = net.step(state, XS[t])
        np.testing.assert_allclose(kept["0.3.1.membrane"][t], state[3][1].v, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(kept["0.6.spikes"][t], y)


def chain_of(features):
    return Sequential(sx.LIF(v_threshold=0.5)) if features == 3 else chain()


def test_online_rules_refuse_loops_over_layers():
    with pytest.raises(ValueError, match="the outputs of layers come back to others in '1' through whole layers"):
        value_and_grad_online(OTTT())(lambda y, _: y.sum(), Sequential(linear(), two_loops()), XS, None)


def test_variables_change_inside_a_loop():
    rngs = nnx.Rngs(0)
    norm = nnx.BatchNorm(F, momentum=0.5, rngs=rngs)
    net = Graph([norm, nnx.Dropout(0.3, rngs=rngs), jnp.add, sx.IF()], [[3], [1], [0, 2], [3]])
    steps = nnx.clone(net)
    state, mean = steps.init_state((N, F)), []
    for x in XS:
        state, _ = steps.step(state, x)
        mean.append(steps.layers[0].mean[...])
    for how in ({}, {"chunk": 4, "remat": True}):
        own = nnx.clone(net)
        sx.run(own, XS, **how)
        np.testing.assert_allclose(own.layers[0].mean[...], mean[-1], rtol=1e-5)
        assert np.any(own.layers[0].mean[...] != mean[0])


def test_reversed_reads_each_sequence_from_its_end():
    net = Parallel(chain(), Reversed(linear(F, F, 1), sx.LIF(tau=3.0, v_threshold=0.3)), join="concatenate")
    lengths = np.array([2, 6, 3])
    grads, (ys, _) = gradients(net, sx.run)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(grads))
    run = nnx.jit(sx.run)
    _, forward = run(net[0], XS)
    _, backward = run(Sequential(net[1][0], net[1][1]), XS[::-1])
    close(ys, jnp.concatenate([forward, backward[::-1]], -1))
    assert sx.scan.plan(Sequential(linear(), net), 6).chunk == 6
    _, cut = run(Sequential(net), XS, lengths=lengths)
    for i, length in enumerate(lengths):
        close(cut[:length, i : i + 1], run(net, XS[:length, i : i + 1])[1])
    whole = Sequential(net, linear(2 * F, F), sx.PSN(T=T, key=jax.random.key(0)))
    assert sx.run(Sequential(Residual(Reversed(whole))), XS[0], steps=T)[1].shape == XS.shape
    with pytest.raises(ValueError, match=r"layer 0.1 starts at the end .* all 6 steps in one chunk, got chunk=2"):
        sx.run(Sequential(net), XS, chunk=2)
    with pytest.raises(ValueError, match="cannot take a single step"):
        net.step(net.init_state((N, F)), XS[0])


@pytest.mark.parametrize(
    ("build", "kind", "message"),
    [
        (lambda: Parallel(), ValueError, "`branches` must not be empty"),
        (lambda: Parallel(sx.IF(), join="or"), ValueError, "`join` must be 'sum', 'concatenate' or a function"),
        (lambda: Residual(sx.IF(), join=2), ValueError, "`join` must be 'add', 'and', 'iand' or a function .* got 2"),
        (lambda: Residual(3), TypeError, "layer 0 must be a cell"),
        (lambda: ElementwiseRecurrent(sx.IF(), 3), TypeError, "`f` must be a module or a function of two batches"),
        (lambda: ElementwiseRecurrent(jnp.add, jnp.add), TypeError, "`cell` must be a cell"),
    ],
)
def test_wrong_parts(build, kind, message):
    with pytest.raises(kind, match=message):
        build()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: Residual(linear(F, 3)), r"layer 1 \(add\) refused an input of shape \(3, 3\) and \(3, 4\)"),
        (lambda: Graph([sx.IF()], [[1]]), r"leave open what shape goes round"),
        (lambda: ElementwiseRecurrent(sx.IF(), lambda x, y: x[:, :2]), r"it must give the shape of the input"),
    ],
)
def test_shapes_that_do_not_fit(net, message):
    with pytest.raises(ValueError, match=message):
        net().init_state((N, F))
