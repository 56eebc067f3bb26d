"""Networks that learn by rules attached to their layers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.nn.linear_layers import spikes

import spikejax as sx
from spikejax.plasticity import (
    MSTDP,
    MSTDPET,
    STDP,
    SynapticScaling,
    ThresholdHomeostasis,
    TripletSTDP,
    keep_within,
    labels,
    learn,
    mix,
)

XS = spikes(0, 7, 3, 6, 6, 2)
REWARDS = jax.random.normal(jax.random.key(1), (7, 3))
RULES = {
    "0": (STDP(3.0, 4.0), SynapticScaling()),
    "4.0": MSTDPET(tau_trace=5.0),
    "4.1.feedback": TripletSTDP(),
    "4.1": ThresholdHomeostasis(),
}


def network(seed=0):
    rngs = nnx.Rngs(seed)
    neurons = sx.LIF(v_threshold=jnp.full(5, 0.2))
    inner = sx.nn.Sequential(
        nnx.Linear(36, 5, rngs=rngs), sx.nn.Recurrent(neurons, nnx.Linear(5, 5, rngs=rngs)), nnx.Linear(5, 2, rngs=rngs)
    )
    first = nnx.Conv(2, 4, (3, 3), rngs=rngs), sx.LIF(v_threshold=0.2), sx.nn.MaxPool(2), sx.nn.Flatten()
    return sx.nn.Sequential(*first, inner)


def of(updates, *path):
    """The value at a path of a tree of parameters."""
    return dict(nnx.to_flat_state(updates))[path][...]


@pytest.fixture(scope="module")
def whole():
    return jax.jit(lambda net, xs: learn(net, RULES, xs, rewards=REWARDS))(network(), XS)


def close(a, b, atol=2e-3):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol), a, b)


def test_it_is_each_rule_on_what_was_recorded(whole):
    net = network()
    state, (ys, kept) = jax.jit(lambda xs: sx.run(net, xs, record=("input", "spikes")))(XS)
    np.testing.assert_array_equal(whole.ys, ys)
    close(whole.state, state)
    after = kept["4.1.spikes"]
    before = jnp.concatenate((jnp.zeros_like(after[:1]), after[:-1]))
    inner = net[4]
    plain = [
        (STDP(3.0, 4.0), net[0], kept["0.input"], kept["1.spikes"], ()),
        (SynapticScaling(), net[0], kept["0.input"], kept["1.spikes"], ()),
        (MSTDPET(tau_trace=5.0), inner[0], kept["4.0.input"], after, (REWARDS,)),
        (TripletSTDP(), inner[1].feedback, before, after, ()),
        (ThresholdHomeostasis(), None, kept["4.1.input"], after, ()),
    ]
    changes = jax.jit(
        lambda: [
            rule.steps(rule.init_state(layer, pre.shape[1:]), layer, pre, post, *reward)[1]
            for rule, layer, pre, post, reward in plain
        ]
    )()
    close(of(whole.updates, "layers", 0, "kernel"), -(changes[0] + changes[1]))
    close(of(whole.updates, "layers", 4, "layers", 0, "kernel"), -changes[2])
    close(of(whole.updates, "layers", 4, "layers", 1, "feedback", "kernel"), -changes[3])
    close(of(whole.updates, "layers", 4, "layers", 1, "module", "v_threshold"), -changes[4])
    assert all(np.abs(change).max() > 1e-3 for change in changes)
    assert np.abs(of(whole.updates, "layers", 4, "layers", 2, "kernel")).max() == 0
    assert jax.tree.map(jnp.shape, whole.updates) == jax.tree.map(jnp.shape, nnx.state(net, nnx.Param))


@pytest.mark.parametrize("chunk", [2, 7])
def test_chunks_change_nothing(whole, chunk):
    found = jax.jit(lambda net, xs: learn(net, RULES, xs, rewards=REWARDS, chunk=chunk))(network(), XS)
    np.testing.assert_array_equal(found.ys, whole.ys)
    close(found, whole)


def test_it_goes_on_from_traces_that_are_given_away(whole):
    def on(net, xs, rewards, state, traces):
        return learn(net, RULES, xs, state, traces, rewards=rewards)

    first = jax.jit(lambda net, xs: learn(net, RULES, xs, rewards=REWARDS[:4]))(network(), XS[:4])
    second = jax.jit(on, donate_argnums=(3, 4))(network(), XS[4:], REWARDS[4:], first.state, first.traces)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.traces))
    close(jax.tree.map(jnp.add, first.updates, second.updates), whole.updates)
    close(second.traces, whole.traces)


def test_static_input():
    x = jnp.linspace(0, 1, 18).reshape(3, 6)
    net = sx.nn.Sequential(nnx.Linear(6, 4, rngs=nnx.Rngs(0)), sx.LIF(v_threshold=0.2))
    rules = {"0": STDP()}
    want = learn(net, rules, jnp.broadcast_to(x, (7, 3, 6)))
    for chunk in (None, 3):
        close(learn(net, rules, x, steps=7, chunk=chunk), want, 1e-5)


def test_seeds_at_once():
    def one(seed):
        rngs = nnx.Rngs(params=jax.random.key(seed))
        net = sx.nn.Sequential(nnx.Linear(6, 4, rngs=rngs), sx.LIF(v_threshold=0.2))
        return learn(net, {"0": STDP()}, spikes(2, 5, 2, 6)).updates

    many, alone = jax.jit(jax.vmap(one))(jnp.arange(3)), jax.jit(one)
    for seed in range(3):
        close(jax.tree.map(lambda a, i=seed: a[i], many), alone(seed), 1e-5)


def test_variables_of_the_network_are_written_back():
    net = sx.nn.Sequential(nnx.Linear(6, 4, rngs=nnx.Rngs(0)), sx.LIF(), nnx.BatchNorm(4, rngs=nnx.Rngs(0)))
    twin = nnx.clone(net)
    learn(net, {"0": STDP()}, 3 * spikes(3, 5, 2, 6))
    sx.run(twin, 3 * spikes(3, 5, 2, 6))
    np.testing.assert_allclose(net[2].mean[...], twin[2].mean[...], rtol=1e-6)
    assert np.abs(net[2].mean[...]).max() > 0


def test_gradients_and_rules_in_one_step():
    net = network()
    rules = {"0": STDP(), "4.1": ThresholdHomeostasis()}
    kinds = labels(net, rules)
    assert {path: v.get_value() for path, v in nnx.to_flat_state(kinds) if v.get_value() != "gradient"} == {
        ("layers", 0, "kernel"): "0",
        ("layers", 4, "layers", 1, "module", "v_threshold"): "4.1",
    }
    plastic = optax.chain(optax.sgd(0.1), keep_within(-0.5, 0.5))
    optimizer = optax.partition({"0": plastic, "4.1": plastic, "gradient": optax.adam(1e-2)}, kinds)
    graph, params = nnx.split(net, nnx.Param)

    @jax.jit
    def step(params, opt_state, xs):
        def loss(net):
            learned = learn(net, rules, xs)
            return jnp.mean((learned.ys - 1) ** 2), learned.updates

        (value, updates), grads = nnx.value_and_grad(loss, has_aux=True)(nnx.merge(graph, params))
        changes, opt_state = optimizer.update(mix(kinds, updates, grads), opt_state, params)
        return optax.apply_updates(params, changes), opt_state, value

    opt_state, values, first = optimizer.init(params), [], params
    for _ in range(20):
        params, opt_state, value = step(params, opt_state, XS)
        values.append(value)
    assert values[-1] < 0.5 * values[0]
    kernel = np.clip(
        of(first, "layers", 0, "kernel") - 0.1 * of(learn(net, rules, XS).updates, "layers", 0, "kernel"), -0.5, 0.5
    )
    once, _, _ = step(first, optimizer.init(first), XS)
    np.testing.assert_allclose(of(once, "layers", 0, "kernel"), kernel, rtol=1e-5, atol=1e-6)


def test_the_loss_of_what_was_learnt_has_a_gradient():
    net = sx.nn.Sequential(nnx.Linear(6, 4, rngs=nnx.Rngs(0)), sx.LIF(v_threshold=0.2))

    def after(rule):
        learned = learn(net, {"0": rule}, spikes(2, 5, 2, 6))
        return jnp.sum(of(learned.updates, "layers", 0, "kernel") ** 2)

    grads = jax.grad(after)(STDP(jnp.array(3.0), jnp.array(4.0), f_post=jnp.array(1.5)))
    assert all(np.isfinite(leaf) and leaf != 0 for leaf in jax.tree.leaves(grads))


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"7": STDP()}, ValueError, r"names '7', .*choose from 0, 1, 4.0, 4.1, 4.1.feedback, 4.2"),
        ({"4.1.cell": STDP()}, ValueError, r"names '4.1.cell', which is no layer"),
        (
            {"2": STDP()},
            TypeError,
            r"layer 2 \(MaxPool\) must be a layer that is linear in its kernel, exactly one of Linear",
        ),
        ({"4.2": STDP()}, ValueError, r"layer 4.2 \(Linear\) must be followed by the cell that it drives, got nothing"),
        (
            {"1": STDP()},
            ValueError,
            r"STDP changes `kernel`, which layer 1 does not have .* attach it to a layer with a kernel",
        ),
        ({"1": ThresholdHomeostasis()}, ValueError, r"changes `v_threshold`, which layer 1 .*: give it as an array"),
        ({"0": STDP}, TypeError, r"`rules`\['0'\] must be a rule such as STDP\(\)"),
        ({"0": MSTDP()}, ValueError, r"`rewards` must be given, because the rule of layer 0 takes them"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_errors(rules, error, message):
    with pytest.raises(error, match=message):
        learn(network(), rules, XS)


def test_more_errors():
    with pytest.raises(ValueError, match=r"`rewards` must not be given, because no rule takes them"):
        learn(network(), {"0": STDP()}, XS, rewards=1.0)
    with pytest.raises(ValueError, match=r"`chunk` must be an integer >= 1, got 0: None takes all 7 steps"):
        learn(network(), {"0": STDP()}, XS, chunk=0)
    with pytest.raises(TypeError, match=r"`net` must be a network of layers such as sx.nn.Sequential, got LIF"):
        learn(sx.LIF(), {"0": STDP()}, XS)
    pooled = sx.nn.Sequential(nnx.Conv(2, 4, (3, 3), rngs=nnx.Rngs(0)), sx.nn.MaxPool(2), sx.LIF())
    with pytest.raises(ValueError, match=r"layer 0 \(Conv\) must be followed by the cell that it drives, got MaxPool"):
        learn(pooled, {"0": STDP()}, XS)
