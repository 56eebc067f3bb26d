"""Layers without a state between parameters and a cell: the gradient is that of BPTT, or they are refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.plasticity.online.reference import KEY, check_equal, compiled, each, loss, normal

import spikejax as sx
from spikejax.nn import (
    AvgPool,
    DropConnectLinear,
    ElementwiseRecurrent,
    Flatten,
    Graph,
    MaxPool,
    Parallel,
    Recurrent,
    Residual,
    Scale,
    Sequential,
    TemporalEffectiveBatchNorm,
    ThresholdDependentBatchNorm,
    TimeInvariantDropout,
    WeightStandardizedConv,
    WinnerTakeAll,
)
from spikejax.plasticity import DECOLLE, OTTT, SLTT, DiagonalRTRL, EProp, ForwardGradient, value_and_grad_online

STEPS, BATCH = 7, 2
RTRL, TRACE = DiagonalRTRL(), OTTT()


class Excitatory(nnx.Linear):
    def __call__(self, x):
        return x @ jnp.abs(self.kernel[...])


class Block(nnx.Module):
    def __init__(self, rngs):
        self.inner = nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, x):
        return self.inner(x)


def lif():
    return sx.LIF(tau=2.5, v_reset=None, detach_reset=True, v_threshold=0.5)


def identity(x):
    return x


def linear(inputs=4, outputs=5, seed=0):
    return nnx.Linear(inputs, outputs, rngs=nnx.Rngs(seed))


def conv(*args, kind=nnx.Conv, **options):
    return kind(2, 3, (3, 3), *args, rngs=nnx.Rngs(0), **options)


def norm(kind=nnx.BatchNorm, **options):
    layer = kind(5, rngs=nnx.Rngs(0), **options)
    layer.scale[...] = jnp.linspace(0.5, 1.5, 5)
    return layer


def steady_norm(kind=nnx.BatchNorm):
    layer = norm(kind, use_running_average=True)
    layer.mean[...], layer.var[...] = jnp.linspace(-0.1, 0.1, 5), jnp.linspace(0.5, 2.0, 5)
    return layer


FORMS = {
    "a function": (lambda: (linear(), identity), 4),
    "dropout in eval mode": (lambda: (linear(), nnx.Dropout(0.5, deterministic=True)), 4),
    "one mask": (lambda: (linear(), TimeInvariantDropout(0.3)), 4),
    "norm in eval mode": (lambda: (linear(), steady_norm()), 4),
    "tdBN in eval mode": (lambda: (linear(), steady_norm(ThresholdDependentBatchNorm)), 4),
    "scales": (lambda: (Scale(jnp.array(1.5)), linear(), Scale(jnp.linspace(0.5, 1.5, 5))), 4),
    "average pool": (lambda: (conv(), AvgPool(2)), (4, 4, 2)),
    "flattened": (lambda: (conv(strides=2), Flatten()), (4, 4, 2)),
    "flattened spikes": (lambda: (AvgPool(2), Flatten(), linear(8)), (4, 4, 2)),
    "sum of branches": (lambda: (Parallel(linear(seed=1), Sequential(linear(), steady_norm())),), 4),
    "joined branches": (lambda: (Parallel(linear(seed=1), identity, join="concatenate"),), 4),
    "residual": (lambda: (Residual(linear(4, 4)),), 4),
    "graph": (lambda: (Graph([linear(), identity, linear(seed=1), jnp.subtract], [[0], [1], [0], [2, 3]]),), 4),
    "nested": (lambda: (Sequential(Sequential(linear()), identity),), 4),
    "several axes": (lambda: (nnx.LinearGeneral((2, 3), (4, 2), axis=(1, 2), rngs=nnx.Rngs(0)),), (2, 3)),
    "transposed": (lambda: (conv(kind=nnx.ConvTranspose, strides=2),), (3, 2, 2)),
    "standardised": (lambda: (conv(kind=WeightStandardizedConv), Scale(jnp.array(0.2))), (4, 4, 2)),
}
"""Layers before a cell, and the shape of the input: exact for rules by influence and by traces."""

OF_INFLUENCE = {
    "rectifier": (lambda: (linear(), nnx.relu, steady_norm()), 4),
    "max pool": (lambda: (conv(), MaxPool(2)), (4, 4, 2)),
    "product": (lambda: (Graph([linear(), linear(seed=1), jnp.multiply], [[0], [0], [1, 2]]),), 4),
    "norm of the input": (lambda: (nnx.LayerNorm(4, use_scale=False, use_bias=False, rngs=nnx.Rngs(0)), linear()), 4),
    "parameters of a norm": (lambda: (norm(nnx.LayerNorm),), 5),
}
OF_TRACES = {
    "two layers": (lambda: (linear(4, 6), linear(6, 5, 1)), 4),
    "another class": (lambda: (Excitatory(4, 5, use_bias=False, rngs=nnx.Rngs(0)),), 4),
    "a module": (lambda: (Block(nnx.Rngs(0)),), 4),
    "norm after linear": (lambda: (linear(), lambda x: x - x.mean(-1, keepdims=True)), 4),
}


def prepared(form):
    """The network, its state, input and targets."""
    build, shape = form
    net = Sequential(*build(), lif())
    xs = normal(1, STEPS, BATCH, *np.atleast_1d(shape), scale=2.0)
    state = net.init_state(xs.shape[1:], key=KEY)
    return net, state, xs, normal(2, STEPS, *jax.eval_shape(lambda x: net.step(state, x)[1], xs[0]).shape)


@pytest.mark.parametrize(
    ("forms", "rules"),
    [
        (dict(list(FORMS.items())[::2]), (RTRL, TRACE)),
        (dict(list(FORMS.items())[1::2]), (RTRL, TRACE)),
        (OF_INFLUENCE, (RTRL, EProp())),
        (OF_TRACES, (TRACE,)),
    ],
    ids=("both", "both too", "influence", "traces"),
)
def test_gradients_are_those_of_bptt(forms, rules):
    cases = {name: prepared(form) for name, form in forms.items()}

    def run():
        return {name: each(net, xs, targets, *rules, state=state) for name, (net, state, xs, targets) in cases.items()}

    for name, (*results, (value, exact)) in compiled(run).items():
        for rule, (mean, grads) in zip(rules, results, strict=True):
            np.testing.assert_allclose(mean, value, rtol=1e-5, err_msg=name)
            try:
                check_equal(grads, exact)
            except AssertionError as error:
                raise AssertionError(f"{name}, {rule}: {error}") from error


@pytest.mark.parametrize("name", ["norm", "dropout"])
def test_layers_in_train_mode_have_the_gradient_of_their_steps(name):
    """Statistics that join the samples of one step, and masks that are new at each: BPTT takes steps one by one too."""
    layer = norm() if name == "norm" else nnx.Dropout(0.3, rngs=nnx.Rngs(0))
    net, xs, targets = Sequential(linear(), layer, lif()), normal(1, STEPS, 3, 4), normal(2, STEPS, 3, 5)
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def bptt(params):
        _, ys = sx.run(nnx.merge(graph, params, rest, copy=True), xs, chunk=1)
        return jax.vmap(loss)(ys, targets).mean()

    def online(params):
        return value_and_grad_online(RTRL)(loss, nnx.merge(graph, params, rest, copy=True), xs, targets)

    (value, have), (mean, want) = compiled(lambda params: (online(params), jax.value_and_grad(bptt)(params)), params)
    np.testing.assert_allclose(value, mean, rtol=1e-5)
    check_equal(have, want, but=("[0]['bias']",) if name == "norm" else ())  # which the mean takes away


def test_feedback_through_other_layers():
    """The same gradients as of a loop in which the last output is a constant."""
    cells = (
        Recurrent(lif(), lambda y: 0.5 * y),
        ElementwiseRecurrent(lif(), lambda x, y: x * (1 - 0.5 * y)),
        Recurrent(lif(), nnx.Linear(5, 5, rngs=nnx.Rngs(3))),
    )
    xs, targets = normal(1, STEPS, BATCH, 4, scale=2.0), normal(2, STEPS, BATCH, 5)

    def loop(params, graph):
        net = nnx.merge(graph, params)
        state, total = net[1].init_state((BATCH, 5)), 0.0
        for x, target in zip(xs, targets, strict=True):
            state, y = net[1].step(state._replace(y=jax.lax.stop_gradient(state.y)), net[0](x))
            total += loss(y, target)
        return total / STEPS

    def both(cell):
        net = Sequential(linear(), cell)
        graph, params = nnx.split(net)
        return value_and_grad_online(RTRL)(loss, net, xs, targets)[1], jax.grad(loop)(params, graph)

    for have, want in compiled(lambda: [both(cell) for cell in cells]):
        check_equal(have, want)


REFUSED = [
    (
        (Excitatory(4, 5, rngs=nnx.Rngs(0)),),
        RTRL,
        r"DiagonalRTRL: .* `kernel` of layer 0 \(Excitatory\) .*LinearMap does not",
    ),
    ((nnx.LoRALinear(4, 5, lora_rank=2, rngs=nnx.Rngs(0)),), EProp(), r"EProp: .* of layer 0 \(LoRALinear\)"),
    ((Block(nnx.Rngs(0)),), RTRL, r"`inner.kernel` of layer 0 \(Block\)"),
    (
        (linear(), nnx.LayerNorm(5, rngs=nnx.Rngs(0))),
        RTRL,
        r"(kernel|bias)` of layer 0 .* which layer 1 \(LayerNorm\) joins",
    ),
    ((linear(4, 6), linear(6, 5)), RTRL, r"(kernel|bias)` of layer 0 .* which layer 1 \(Linear\) joins: use SLTT\(\)"),
    ((linear(), lambda x: x[:, ::-1].cumsum(-1)), RTRL, r"layer 1 \(<lambda>\) joins"),
    ((linear(), norm()), TRACE, r"OTTT: layer 1 \(BatchNorm\) is not one linear function .* eval mode"),
    ((linear(), nnx.Dropout(0.5, rngs=nnx.Rngs(0))), TRACE, r"layer 1 \(Dropout\) is not one linear function"),
    ((linear(), nnx.relu), TRACE, r"layer 1 \(relu\) is not one linear function"),
    ((Graph([linear(), linear(), jnp.multiply], [[0], [0], [1, 2]]),), TRACE, r"layer 0.2 \(multiply\) is not"),
    ((linear(), DropConnectLinear(5, 5, rngs=nnx.Rngs(0))), TRACE, r"layer 1 \(DropConnectLinear\) is not one"),
    ((linear(), TemporalEffectiveBatchNorm(5, 9, rngs=nnx.Rngs(0))), RTRL, r"`factor` of layer 1 \(Temporal"),
    ((linear(), WinnerTakeAll(sx.LIF())), RTRL, r"the neurons of layer 1 \(WinnerTakeAll\) are not independent"),
    ((linear(), sx.nn.Delay(2)), RTRL, r"layer 1 \(Delay\) are not independent"),
    ((linear(), sx.nn.Delay(2)), TRACE, r"`leak` must be given, because that of layer 1 cannot be derived"),
    ((sx.GatedLIF(conduct=jnp.zeros((9, 4))),), RTRL, r"`conduct` of GatedLIF has an axis of its own"),
    (
        (Recurrent(Sequential(linear(4, 4), lif()), identity),),
        RTRL,
        r"the outputs of layers come back to others in '0' .*: use SLTT",
    ),
]


@pytest.mark.parametrize(("layers", "rule", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_has_no_gradient_is_refused_by_name(layers, rule, message):
    net = Sequential(*layers, lif())
    state = net.init_state((BATCH, 4), key=KEY)
    for each_rule in (rule, DECOLLE(KEY, rule)):
        with pytest.raises(ValueError, match=message):
            each_rule.init(lambda y, _: jnp.mean(y), net, jnp.ones((BATCH, 4)), state=state)


class Doubled(Sequential):
    def propagate(self, state, xs, visitor, path=()):
        return super().propagate(state, xs.map(lambda x: 2 * x), visitor, path)


def test_the_origin_of_a_value_must_be_known():
    net = Sequential(linear(), Doubled(lif()))
    with pytest.raises(ValueError, match=r"the input of layer 1.0 was computed by the network around it"):
        value_and_grad_online(RTRL)(loss, net, jnp.ones((1, BATCH, 4)), jnp.ones((1, BATCH, 5)))


def test_sltt_takes_all_that_is_refused():
    """And so does what is built on it; the value is that of a run."""

    def run(xs):
        results = []
        for layers, _, _ in REFUSED:
            net = nnx.clone(Sequential(*layers, lif()))
            state = net.init_state(xs.shape[1:], key=KEY)
            of_step = lambda y, _: jnp.mean(y)  # noqa: E731
            for rule in (SLTT(), ForwardGradient(KEY)):
                carry = rule.init(of_step, net, xs[0], state=state)
                results.append(rule.step(of_step, net, carry, xs[0])[1:])
        return results

    for value, grads in compiled(run, jnp.ones((1, BATCH, 4))):
        assert np.isfinite(value) and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_the_filter_of_eprop_reaches_through_pools():
    """Average pools and branches between the spikes and a leaky read-out are linear, so that the filter is exact."""
    conv = nnx.Conv(2, 3, (3, 3), rngs=nnx.Rngs(0))
    net = Sequential(conv, lif(), AvgPool(2), Flatten(), linear(12, 5), identity, sx.LeakyIntegrator(tau=4.0))
    xs, targets = normal(1, STEPS, BATCH, 4, 4, 2, scale=3.0), normal(2, STEPS, BATCH, 5)
    (_, grads), (_, exact) = compiled(lambda: each(net, xs, targets, EProp()))
    check_equal(grads, exact)
