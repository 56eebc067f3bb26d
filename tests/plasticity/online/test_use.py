"""Every rule on every kind of network, inside every transformation, in constant memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.plasticity.online.reference import (
    ALL,
    KEY,
    QUICK,
    check_equal,
    compiled,
    cosine,
    deep,
    each,
    loss,
    normal,
    recurrent,
)

import spikejax as sx
from spikejax.nn import Delay, Flatten, Recurrent, Scale, Sequential, SpikeLinear
from spikejax.plasticity import (
    BPTT,
    DECOLLE,
    FPTT,
    OTTT,
    SLTT,
    DiagonalRTRL,
    EProp,
    ForwardGradient,
    train_online,
    value_and_grad_online,
)

XS, TARGETS = normal(1, 20, 4, 6, scale=2.0), normal(2, 20, 4, 3)


def mixed(statistics=True):
    """Convolution with groups and dilation, delays, feedback, layers in between and in networks of networks."""
    rngs = nnx.Rngs(0)
    conv = nnx.Conv(2, 4, (2, 2), kernel_dilation=2, feature_group_count=2, rngs=rngs)
    lif = partial(sx.LIF, decay_input=False, v_threshold=0.3)
    inner = Sequential(SpikeLinear(36, 5, rngs=rngs), Recurrent(lif(tau=jnp.array(2.0)), nnx.Linear(5, 5, rngs=rngs)))
    norm = nnx.BatchNorm(4, use_running_average=not statistics, rngs=rngs)
    return Sequential(Delay(1), Scale(jnp.array(1.5)), conv, norm, lif(), Flatten(), inner, nnx.Linear(5, 3, rngs=rngs))


@pytest.mark.parametrize("name", [*ALL, "BPTT"])
def test_every_rule_trains_every_layer(name):
    """Gradients reach every parameter, statistics are kept, and which of three noisy patterns is shown is learnt."""
    train_mode = name != "OTTT"  # which needs the same layers at every step
    net, optimizer, labels = mixed(train_mode), optax.adam(1e-2), jnp.arange(9) % 3
    xs = normal(7, 3, 3, 3, 2, scale=2.0)[labels] + normal(8, 6, 9, 3, 3, 2)
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def cross_entropy(y, _):
        return optax.softmax_cross_entropy_with_integer_labels(y, labels).mean()

    def epoch(carry, key):
        params, rest, opt_state = carry
        rule = ALL.get(name, BPTT())
        rule = rule.replace(key=key) if isinstance(rule, ForwardGradient) else rule
        net = nnx.merge(graph, params, rest)
        value, grads = value_and_grad_online(rule)(cross_entropy, net, xs)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        rest = nnx.state(net, nnx.Not(nnx.Param))
        return (optax.apply_updates(params, updates), rest, opt_state), (value, grads)

    def run(params, rest):
        carry = params, rest, optimizer.init(params)
        carry, (values, grads) = jax.lax.scan(epoch, carry, jax.random.split(KEY, 60))
        return carry[1], values, jax.tree.map(lambda g: g[0], grads)

    after, values, grads = compiled(run, params, rest)
    assert values[-5:].mean() < 0.8 * values[0], values
    assert jax.tree.structure(grads) == jax.tree.structure(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert np.isfinite(leaf).all() and abs(leaf).max() > 0, path
    assert np.array_equal(after["layers"][3]["mean"][...], net[3].mean[...]) != train_mode


NETS = {
    "deep": deep(),
    "recurrent": recurrent(),
    "adaptive": recurrent(cell=sx.ALIF(tau=3.0, tau_a=8.0, decay_input=False)),
}
# Of SLTT, OTTT, DiagonalRTRL and EProp; measured 0.70 to 0.92, 0.87 to 0.99 and 0.92 to 0.99.
LEAST = {"deep": (0.65, 0.8, 0.77, 0.88), "recurrent": (0.82, 0.93, 0.92, 0.97), "adaptive": (0.89, 0.95, 0.93, 0.97)}


def test_gradients_point_where_bptt_points():
    chosen = SLTT(), OTTT(), DiagonalRTRL(), EProp()
    results = compiled(lambda xs: {name: each(net, xs, TARGETS, *chosen) for name, net in NETS.items()}, XS)
    for name, (*online, (want, exact)) in results.items():
        for rule, least, (value, grads) in zip(chosen, LEAST[name], online, strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-5)
            assert cosine(grads, exact) > least, (name, rule)


@pytest.mark.parametrize("name", [*ALL, "BPTT"])
def test_memory_does_not_grow_with_time(name):
    linear = partial(nnx.Linear, rngs=nnx.Rngs(0))
    net, rule = Sequential(linear(6, 3), Recurrent(sx.LIF(), linear(3, 3))), ALL.get(name, BPTT())

    def scratch(steps):
        def run(xs, targets):
            return value_and_grad_online(rule)(loss, net, xs, targets)

        shapes = [jax.ShapeDtypeStruct((steps, 2, width), jnp.float32) for width in (6, 3)]
        compiled = jax.jit(run).lower(*shapes).compile(compiler_options=QUICK)
        return compiled.memory_analysis().temp_size_in_bytes

    short, long = scratch(100), scratch(10_000)
    if name == "BPTT":
        assert long > 20 * short
    else:
        assert long < short + 1024


def test_vmap_jit_and_nnx_jit_keep_the_result():
    net, rule = recurrent(), EProp()
    learn = value_and_grad_online(rule)
    value, grads = compiled(lambda xs, t: learn(loss, net, xs, t), XS, TARGETS)
    values, each_grads = compiled(
        jax.vmap(lambda xs, t: learn(loss, net, xs[:, None], t[:, None]), in_axes=1), XS, TARGETS
    )
    np.testing.assert_allclose(values.mean(), value, rtol=1e-5)
    check_equal(jax.tree.map(lambda g: g.mean(0), each_grads), grads)
    again, by_nnx = nnx.jit(lambda net, xs, t: learn(loss, net, xs, t))(net, XS, TARGETS)
    np.testing.assert_allclose(again, value, rtol=1e-5)
    check_equal(by_nnx, grads)
    optimizer = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)
    before = net[0].kernel[...]
    optimizer.update(net, by_nnx)
    np.testing.assert_allclose(net[0].kernel[...], before - 0.1 * grads["layers"][0]["kernel"][...], rtol=1e-5)


def test_fptt_follows_the_paper():
    """A plain loop: gradient, step, gradient again at the new parameters, running mean."""
    alpha, rate, steps = 0.7, 0.5, 6
    net = recurrent(2)
    graph, params = nnx.split(net)
    xs, targets = XS[:steps], TARGETS[:steps]

    def loop(params):
        mean, last = params, jax.tree.map(jnp.zeros_like, params)
        state, values = net.init_state(xs.shape[1:]), []
        for x, target in zip(xs, targets, strict=True):

            def one(params, state=state, x=x, target=target):
                new, y = nnx.merge(graph, params).step(state, x)
                return loss(y, target), new

            def pulled(params, mean=mean, last=last, one=one):
                gaps = jax.tree.map(lambda w, m, g: ((w - m - g / (2 * alpha)) ** 2).sum(), params, mean, last)
                value, state = one(params)
                return value + alpha / 2 * sum(jax.tree.leaves(gaps)), (value, state)

            grads, (value, state) = jax.grad(pulled, has_aux=True)(params)
            values.append(value)
            params = jax.tree.map(lambda w, g: w - rate * g, params, grads)
            last = jax.grad(one, has_aux=True)(params)[0]
            mean = jax.tree.map(lambda m, w, g: (m + w) / 2 - g / (2 * alpha), mean, params, last)
        return params, jnp.stack(values)

    def online(params):
        net, optimizer = nnx.merge(graph, params), optax.sgd(rate)
        start = optimizer.init(nnx.state(net, nnx.Param))
        _, values = train_online(FPTT(alpha=alpha), optimizer)(loss, net, start, xs, targets)
        return nnx.state(net, nnx.Param), values

    (want, values), (have, online_values) = compiled(lambda params: (loop(params), online(params)), params)
    np.testing.assert_allclose(online_values, values, rtol=1e-4)
    check_equal(have, want, atol=1e-5)


def test_single_steps_are_the_whole():
    net, rule = recurrent(), OTTT()

    def run(xs, targets):
        carry, values, total = rule.init(loss, net, xs[0], targets[0]), [], None
        for x, target in zip(xs[:4], targets[:4], strict=True):
            carry, value, grads = rule.step(loss, net, carry, x, target)
            values.append(value)
            total = grads if total is None else jax.tree.map(jnp.add, total, grads)
        return sum(values) / 4, jax.tree.map(lambda g: g / 4, total), each(net, xs[:4], targets[:4], rule)[0]

    value, grads, (want, whole) = compiled(run, XS, TARGETS)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    check_equal(grads, whole, but=("feedback",))


def test_training_is_a_single_step_and_an_update_in_turn():
    rule, optimizer = SLTT(), optax.sgd(0.1, momentum=0.9)
    graph, params = nnx.split(deep())

    def by_hand(params):
        net, opt_state = nnx.merge(graph, params, copy=True), optimizer.init(params)
        carry = rule.init(loss, net, XS[0], TARGETS[0])
        for x, target in zip(XS[:3], TARGETS[:3], strict=True):
            carry, _, grads = rule.step(loss, net, carry, x, target)
            updates, opt_state = optimizer.update(grads, opt_state)
            nnx.update(net, optax.apply_updates(nnx.state(net, nnx.Param), updates))
        return nnx.state(net, nnx.Param), opt_state

    def trained(params):
        net = nnx.merge(graph, params, copy=True)
        opt_state, _ = train_online(rule, optimizer)(loss, net, optimizer.init(params), XS[:3], TARGETS[:3])
        return nnx.state(net, nnx.Param), opt_state

    (have, state), (want, state_by_hand) = compiled(lambda params: (trained(params), by_hand(params)), params)
    check_equal(have, want)
    check_equal(state[0].trace, state_by_hand[0].trace)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda learn: learn(loss, sx.LIF(), XS), TypeError, "`net` must be a network, got LIF: wrap"),
        (lambda learn: learn(loss, deep(), XS, TARGETS[:7]), ValueError, r"`targets` must have the 20 .*\(7, 4, 3\)"),
        (lambda learn: learn(loss, deep(), XS, {"a": 1.0}), ValueError, r"`targets`\['a'\] must have the 20 time"),
        (lambda learn: learn(loss, deep(), XS[0, 0]), ValueError, r"`xs` must be \[T, N, \*\].*\(6,\)"),
        (lambda learn: learn(lambda y, t: y, deep(), XS), ValueError, r"`loss` must give one number.*\(4, 3\)"),
        (
            lambda learn: learn(loss, Sequential(sx.PSN(T=20, key=KEY)), XS),
            ValueError,
            r"layer 0 takes its whole",
        ),
        (lambda _: value_and_grad_online("OTTT"), TypeError, "`rule` must be an online rule"),
        (lambda _: train_online(BPTT(), optax.sgd(1))(loss, deep(), (), XS, TARGETS), TypeError, "no single step"),
        (lambda _: OTTT(leak=1.5), ValueError, "`leak` must be within \\[0, 1\\]"),
        (lambda _: EProp(kappa=-1.0), ValueError, "`kappa` must be within \\[0, 1\\]"),
        (lambda _: FPTT(alpha=0.0), ValueError, "`alpha` must be > 0"),
        (lambda _: ForwardGradient(KEY, samples=0), ValueError, "`samples` must be an integer >= 1"),
        (lambda _: ForwardGradient(KEY, samples=jnp.array(2)), ValueError, "`samples` must be an integer >= 1"),
        (lambda _: ForwardGradient(jax.random.PRNGKey(0)), TypeError, "`key` must be a jax.random.key"),
        (lambda _: DECOLLE(0), TypeError, "`key` must be a jax.random.key"),
        (lambda _: DECOLLE(KEY, FPTT()), TypeError, "`base` must be SLTT"),
    ],
)
def test_errors_say_what_to_do(call, error, message):
    with pytest.raises(error, match=message):
        call(value_and_grad_online(DiagonalRTRL()))
