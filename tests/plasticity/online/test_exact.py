"""Where the rules are exact they equal backpropagation through time, elsewhere a plain loop of their equations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.flatten_util import ravel_pytree
from tests.cells.cases import BATCH, FEATURES, ROWS, STEPS
from tests.plasticity.online.reference import (
    KEY,
    check_equal,
    compiled,
    deep,
    each,
    flat,
    loss,
    normal,
    recurrent,
)

import spikejax as sx
from spikejax.nn import Recurrent, Sequential, SpikeConv
from spikejax.plasticity import DECOLLE, OTTT, SLTT, DiagonalRTRL, EProp, ForwardGradient, value_and_grad_online

NAMES = "LIF", "AdEx", "ALIF", "CubaLIF", "ResonateAndFire", "GatedLIF", "NoisyLIF"
CELLS = [
    (row, variant)
    for row in ROWS
    if row.name in NAMES
    for variant in (row.variants if row.name == "LIF" else row.variants[:1])
]


def one_layer(row, variant):
    """A synapse whose currents lie where the cell fires, and the cell."""
    linear = nnx.Linear(FEATURES, FEATURES, rngs=nnx.Rngs(0))
    linear.kernel[...] = jnp.eye(FEATURES) * 0.9 + 0.05
    linear.bias[...] = jnp.linspace(-0.1, 0.1, FEATURES)
    xs = row.drive[0] + row.drive[1] * jax.random.uniform(jax.random.key(2), (STEPS, BATCH, FEATURES), minval=-1)
    cell = row.build(variant)
    if isinstance(cell, sx.GatedLIF):
        cell = cell.replace(conduct=jnp.array(0.3))  # one of each step has an axis of time
    return Sequential(linear, cell), xs


@pytest.mark.parametrize("part", range(2))
def test_diagonal_rtrl_is_exact_for_one_layer_of_any_cell(part):
    targets = normal(3, STEPS, BATCH, FEATURES)
    cases = CELLS[part::2]

    def run():
        results = []
        for row, variant in cases:
            net, xs = one_layer(row, variant)
            results.append(each(net, xs, targets, DiagonalRTRL(), state=net.init_state(xs.shape[1:], key=KEY)))
        return results

    for (row, variant), ((value, grads), (want, exact)) in zip(cases, compiled(run), strict=True):
        np.testing.assert_allclose(value, want, rtol=1e-5, err_msg=row.name)
        try:
            check_equal(grads, exact)
        except AssertionError as error:
            raise AssertionError(f"{row.name} {variant}: {error}") from error


def layers():
    conv = partial(nnx.Conv, rngs=nnx.Rngs(1))
    mask = (jnp.arange(72) % 5 > 0).reshape(3, 2, 2, 6)
    yield conv(4, 6, (3, 2), strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2, mask=mask), (6, 5, 4)
    yield conv(3, 5, (2, 3), padding="CIRCULAR", use_bias=False), (4, 4, 3)
    yield conv(4, 4, 3, padding=((2, 1),), input_dilation=2, feature_group_count=4), (5, 4)
    yield SpikeConv(2, 3, (3, 3), padding="VALID", rngs=nnx.Rngs(1)), (4, 4, 2)
    yield nnx.Linear(5, 3, rngs=nnx.Rngs(1)), (4, 5)


def test_every_linear_layer_has_the_right_patches_and_traces():
    """Rows that hold without a reset for one neuron with one leak: exact for both ways to remember."""

    def run():
        results = []
        for layer, shape in layers():
            net = Sequential(layer, sx.LinearLIF(tau=3.0, v_threshold=0.2))
            xs = (normal(1, 6, 2, *shape) > 0).astype(float)
            targets = normal(2, 6, *jax.eval_shape(layer, xs[0]).shape)
            results.append(each(net, xs, targets, DiagonalRTRL(), OTTT()))
        return results

    for *results, (want, exact) in compiled(run):
        for value, grads in results:
            np.testing.assert_allclose(value, want, rtol=1e-5)
            check_equal(grads, exact)


def test_exact_pairs_of_rule_and_network():
    """OTTT behind a detached soft reset, also with the leak given; e-prop before a leaky read-out."""
    linear, tau = partial(nnx.Linear, rngs=nnx.Rngs(0)), jnp.linspace(2.0, 5.0, 6)
    soft = Sequential(linear(4, 5), sx.LIF(tau=2.5, v_reset=None, detach_reset=True))
    hidden = linear(4, 6), sx.LIF(tau=tau, detach_reset=True)
    leaky = Sequential(*hidden, linear(6, 5), sx.LeakyIntegrator(tau=jnp.array(4.0)))
    resting = Sequential(linear(4, 5), sx.Refractory(sx.LIF(tau=2.5), 2))
    nothing_between = Sequential(*hidden, sx.LeakyIntegrator(tau=4.0), lambda y: y[:, :5])
    cases = (
        (soft, OTTT(), OTTT(leak=0.6), EProp()),
        (leaky, EProp(), EProp(kappa=0.75)),
        (resting, DiagonalRTRL()),
        (nothing_between, EProp()),
    )
    xs, targets = normal(1, 9, 3, 4, scale=2.0), normal(2, 9, 3, 5)
    for *results, (_, exact) in compiled(lambda xs: [each(net, xs, targets, *rules) for net, *rules in cases], xs):
        for _, grads in results:
            check_equal(grads, exact)


def test_sltt_is_the_mean_of_the_steps_alone():
    net, xs, targets = recurrent(), normal(1, 5, 3, 6, scale=2.0), normal(2, 5, 3, 3)
    graph, params = nnx.split(net)

    def loop(params):
        net = nnx.merge(graph, params)
        state, total = net.init_state(xs.shape[1:]), 0.0
        for x, target in zip(xs, targets, strict=True):
            state, y = net.step(jax.lax.stop_gradient(state), x)
            total += loss(y, target) / len(xs)
        return total

    (_, grads), want = compiled(
        lambda params: (value_and_grad_online(SLTT())(loss, net, xs, targets), jax.grad(loop)(params)), params
    )
    check_equal(grads, want)


def test_recurrent_synapses_are_exact_but_for_paths_between_neurons():
    """The same gradients as of a loop in which the fed back output is a constant."""
    linear = partial(nnx.Linear, rngs=nnx.Rngs(0))
    net = Sequential(linear(4, 5), Recurrent(sx.ALIF(tau=jnp.array(2.5), tau_a=4.0), linear(5, 5)))
    xs, targets = normal(1, 9, 3, 4, scale=3.0), normal(2, 9, 3, 5)

    graph, params = nnx.split(net)

    def loop(params):
        net = nnx.merge(graph, params)
        layer, total = net[1], 0.0
        state, y = layer.cell.init_state((3, 5)), jnp.zeros((3, 5))
        for x, target in zip(xs, targets, strict=True):
            state, y = layer.cell.step(state, net[0](x) + layer.feedback(jax.lax.stop_gradient(y)))
            total += loss(y, target)
        return total / len(xs)

    (_, grads), want = compiled(
        lambda params: (value_and_grad_online(DiagonalRTRL())(loss, net, xs, targets), jax.grad(loop)(params)), params
    )
    check_equal(grads, want)


def test_forward_gradient_projects_the_exact_gradient():
    """Along a whole basis, one direction after another, it is the gradient; along any, its projection."""
    net, xs, targets = recurrent(), normal(1, 9, 3, 6, scale=2.0), normal(2, 9, 3, 3)
    params = nnx.state(net, nnx.Param)
    size = flat(params).size
    basis, one = ForwardGradient(KEY, samples=size), ForwardGradient(KEY)
    unravel = ravel_pytree(params)[1]

    def along_basis(xs):
        carry = basis.init(loss, net, xs[0], targets[0])
        carry = carry._replace(memory=carry.memory._replace(params=jax.vmap(unravel)(jnp.eye(size))))

        def step(carry, inputs):
            carry, value, grads = basis.step(loss, net, carry, *inputs)
            return carry, (value, flat(grads) * size)

        return jax.tree.map(lambda a: a.mean(0), jax.lax.scan(step, carry, (xs, targets))[1])

    (value, grads), (want, exact), (_, projected), start = compiled(
        lambda xs: (along_basis(xs), *each(net, xs, targets, one)[::-1], one.init(loss, net, xs[0], targets[0])), xs
    )
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(grads, flat(exact), rtol=1e-3, atol=1e-6)
    v = flat(jax.tree.map(lambda v: v[0], start.memory.params))
    np.testing.assert_allclose(flat(projected), (flat(exact) @ v) * v, rtol=1e-3, atol=1e-6)


def test_decolle_is_every_layer_with_its_own_readout():
    """The same as of each layer alone, on inputs that are constants."""
    net, xs, targets = deep(), normal(1, 7, 3, 6, scale=4.0), normal(2, 7, 3, 3)
    rule = DECOLLE(KEY, DiagonalRTRL())

    def alone(layers, readout, xs):
        one = Sequential(*layers)
        graph, params = nnx.split(one)

        def own(params):
            _, ys = sx.run(nnx.merge(graph, params), xs)
            return jnp.mean(jax.vmap(loss)(ys @ readout, targets)), ys

        grads, ys = jax.grad(own, has_aux=True)(params)
        return ys, grads["layers"][0]

    def run(xs):
        readouts = rule.init(loss, net, xs[0], targets[0]).memory[1]
        assert {name: weights.shape for name, weights in readouts.items()} == {"1": (12, 3), "2.1": (12, 3)}
        first, of_first = alone((net[0], net[1]), readouts["1"], xs)
        second, of_second = alone((net[2][0], net[2][1]), readouts["2.1"], first)
        _, of_last = alone((net[3], net[4]), jnp.eye(3), second)
        return each(net, xs, targets, rule), (of_first, of_second, of_last)

    ((value, grads), (last, _)), wants = compiled(run, xs)
    np.testing.assert_allclose(value, last, rtol=1e-5)
    layers = grads["layers"]
    for have, want in zip((layers[0], layers[2]["layers"][0], layers[3]), wants, strict=True):
        check_equal(have, want)
