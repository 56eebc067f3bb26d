"""Synapses for spikes, against those of Flax."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.kernels import events
from spikejax.kernels.llvm.table import kernel_table
from spikejax.nn import Sequential, SpikeConv, SpikeLinear


def spikes_of(*shape, seed=0):
    return jax.random.bernoulli(jax.random.key(seed), 0.3, shape).astype(jnp.float32)


def pair(plain, ours, *args, **options):
    """A Flax layer and ours, with equal parameters, as functions of them and the input."""
    layers = [kind(*args, **options, rngs=nnx.Rngs(3)) for kind in (plain, ours)]
    graphs, params = zip(*map(nnx.split, layers), strict=True)
    assert jax.tree.all(jax.tree.map(np.array_equal, *map(nnx.to_pure_dict, params)))
    return [lambda params, x, graph=graph: nnx.merge(graph, params)(x) for graph in graphs], params[0]


def loss_of(call):
    return lambda params, x: jnp.sum(jnp.sin(call(params, x).astype(jnp.float32)))


def close(got, want, tolerance=2e-6):
    def leaf(got, want):
        assert got.dtype == want.dtype
        scale = max(1.0, float(jnp.abs(want).max(initial=0)))
        np.testing.assert_allclose(np.float32(got), np.float32(want), atol=tolerance * scale)

    jax.tree.map(leaf, got, want)


LAYERS = {
    "linear": ((nnx.Linear, SpikeLinear, 5, 7), {}, (3, 5)),
    "linear-many-axes": ((nnx.Linear, SpikeLinear, 5, 7), {}, (2, 3, 5)),
    "linear-skips": ((nnx.Linear, SpikeLinear, 50, 12), {}, (3, 10, 50)),
    "linear-no-batch": ((nnx.Linear, SpikeLinear, 5, 7), {}, (5,)),
    "linear-empty": ((nnx.Linear, SpikeLinear, 5, 7), {}, (0, 5)),
    "linear-no-bias": ((nnx.Linear, SpikeLinear, 5, 7), {"use_bias": False, "precision": "highest"}, (3, 5)),
    "linear-mixed": ((nnx.Linear, SpikeLinear, 16, 8), {"dtype": jnp.bfloat16}, (3, 16)),
    "linear-bfloat16": (
        (nnx.Linear, SpikeLinear, 16, 8),
        {"param_dtype": jnp.bfloat16, "dtype": jnp.bfloat16},
        (3, 16),
    ),
    "linear-wide-sum": (
        (nnx.Linear, SpikeLinear, 16, 8),
        {"dtype": jnp.bfloat16, "preferred_element_type": jnp.float32},
        (3, 16),
    ),
    "conv": ((nnx.Conv, SpikeConv, 3, 4, (3, 3)), {}, (2, 6, 5, 3)),
    "conv-1d": ((nnx.Conv, SpikeConv, 3, 4, 3), {"padding": "CAUSAL"}, (2, 7, 3)),
    "conv-3d": ((nnx.Conv, SpikeConv, 2, 3, (3, 2, 1)), {}, (1, 4, 4, 3, 2)),
    "conv-strides": ((nnx.Conv, SpikeConv, 3, 4, (3, 3), 2), {"padding": "VALID", "use_bias": False}, (2, 7, 6, 3)),
    "conv-padding": ((nnx.Conv, SpikeConv, 3, 4, (3, 3), (1, 2)), {"padding": ((2, 0), (1, 3))}, (2, 6, 5, 3)),
    "conv-circular": ((nnx.Conv, SpikeConv, 3, 4, (3, 3)), {"padding": "CIRCULAR"}, (2, 6, 5, 3)),
    "conv-dilation": (
        (nnx.Conv, SpikeConv, 3, 4, (3, 3)),
        {"padding": 2, "kernel_dilation": 2, "input_dilation": 3},
        (2, 6, 5, 3),
    ),
    "conv-groups": ((nnx.Conv, SpikeConv, 4, 8, (3, 3)), {"feature_group_count": 2}, (2, 6, 5, 4)),
    "conv-many-axes": ((nnx.Conv, SpikeConv, 3, 4, (3, 3)), {}, (2, 2, 6, 5, 3)),
    "conv-mask": ((nnx.Conv, SpikeConv, 3, 4, (3, 3)), {"mask": spikes_of(3, 3, 3, 4)}, (2, 6, 5, 3)),
    "conv-bfloat16": ((nnx.Conv, SpikeConv, 3, 4, (3, 3)), {"dtype": jnp.bfloat16}, (2, 6, 5, 3)),
}


@pytest.mark.parametrize(("name", "compiled"), [*((name, True) for name in LAYERS), ("linear", False), ("conv", False)])
def test_values_and_gradients_are_those_of_flax(name, compiled):
    kinds, options, shape = LAYERS[name]
    calls, params = pair(*kinds, **options)
    x = spikes_of(*shape)
    want, got = (
        (jax.jit if compiled else lambda f: f)(
            lambda params, x, call=call: (call(params, x), jax.grad(loss_of(call), (0, 1))(params, x))
        )(params, x)
        for call in calls
    )
    close(got, want)


def total(f):
    return lambda *args: f(*args).sum()


def over_scan(f):
    return lambda params, many: jax.lax.scan(lambda sum, x: (sum + f(params, x), None), 0.0, many)[0]


BOTH = (0, 1)
TRANSFORMATIONS = {
    "jvp": lambda f, at, along, many: jax.jvp(f, at, along),
    "grad-jit": lambda f, at, along, many: jax.grad(jax.jit(f), BOTH)(*at),
    "vmap-grad": lambda f, at, along, many: jax.vmap(jax.grad(f, BOTH), (None, 0))(at[0], many),
    "grad-vmap": lambda f, at, along, many: jax.grad(total(jax.vmap(f, (None, 0))), BOTH)(at[0], many),
    "vmap-params": lambda f, at, along, many: jax.vmap(jax.grad(f, BOTH), (0, None))(
        jax.tree.map(lambda a: jnp.stack((a, 2 * a)), at[0]), at[1]
    ),
    "checkpoint": lambda f, at, along, many: jax.jit(jax.grad(jax.checkpoint(f), BOTH))(*at),
    "grad-scan": lambda f, at, along, many: jax.grad(over_scan(f), BOTH)(at[0], many),
    "forward-reverse": lambda f, at, along, many: jax.hessian(f, BOTH)(*at),
    "third": lambda f, at, along, many: jax.jvp(jax.grad(total_of_hessian(f), BOTH), at, along),
}


def total_of_hessian(f):
    return lambda *at: sum(leaf.sum() for leaf in jax.tree.leaves(jax.hessian(f, BOTH)(*at)))


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        *(("linear", name) for name in TRANSFORMATIONS),
        *(("linear-skips", name) for name in ("jvp", "vmap-grad", "vmap-params", "checkpoint", "grad-scan")),
        *(("conv-1d", name) for name in ("jvp", "vmap-grad", "forward-reverse")),
    ],
)
def test_transformations_give_what_they_give_of_flax(name, layer):
    kinds, options, shape = LAYERS[layer]
    calls, params = pair(*kinds, **options)
    at = params, spikes_of(*shape)
    along = jax.tree.map(lambda a: jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape), at)
    many = spikes_of(3, *shape, seed=1)
    want, got = (jax.jit(partial(TRANSFORMATIONS[name], loss_of(call)))(at, along, many) for call in calls)
    close(got, want, 1e-5)


def test_a_network_over_time():
    xs = spikes_of(8, 2, 6, 6, 1)

    def gradients(conv, linear):
        rngs = nnx.Rngs(0)
        net = Sequential(
            conv(1, 4, (3, 3), rngs=rngs),
            sx.LIF(v_threshold=0.3),
            sx.nn.MaxPool(2),
            sx.nn.Flatten(),
            linear(36, 5, rngs=rngs),
            sx.LIF(v_threshold=0.3),
        )
        graph, params = nnx.split(net)

        def loss(params, xs):
            _, ys = sx.run(nnx.merge(graph, params), xs, chunk=3, remat=True)
            return jnp.sum(ys * jnp.arange(5)), ys

        return nnx.to_pure_dict(params), jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, xs)

    _, (want, ys) = gradients(nnx.Conv, nnx.Linear)
    _, (got, ours) = gradients(SpikeConv, SpikeLinear)
    assert 0 < ys.mean() < 1
    np.testing.assert_array_equal(ours, ys)
    close(nnx.to_pure_dict(got[0]), nnx.to_pure_dict(want[0]), 1e-5)
    close(got[1], want[1], 1e-5)


@pytest.mark.parametrize("name", ["linear-many-axes", "conv"])
def test_a_bit_an_element_is_kept(name):
    kinds, options, shape = LAYERS[name]
    (_, call), params = pair(*kinds, **options)
    x = spikes_of(32, *shape[1:])

    def kept(function, *at):
        return sum(leaf.nbytes for leaf in jax.tree.leaves(jax.vjp(function, *at)[1]))

    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
    assert kept(call, params, x) <= x.size / 8 + weights
    assert kept(lambda x: call(params, x), x) <= weights  # nothing of the input, where no kernel is trained


@pytest.mark.parametrize("skips", [True, False])
def test_the_compiled_training_step_needs_less(skips, monkeypatch):
    monkeypatch.setattr(events, "MIN_SPIKES", events.MIN_SPIKES if skips else 2**30)

    def scratch(linear, chunk):
        rngs = nnx.Rngs(0)
        net = Sequential(*(layer for _ in range(3) for layer in (linear(64, 64, rngs=rngs), sx.LIF())))
        graph, params = nnx.split(net)
        loss = lambda params, xs: sx.run(nnx.merge(graph, params), xs, chunk=chunk)[1].mean()  # noqa: E731
        compiled = jax.jit(jax.grad(loss)).lower(params, jnp.zeros((32, 16, 64))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    sequence = 32 * 16 * 64 * 4
    for chunk in (4, 32):
        assert scratch(nnx.Linear, chunk) - scratch(SpikeLinear, chunk) > 1.5 * sequence  # the input of two layers


def test_both_products_of_a_large_layer_skip_zeros():
    def products(layer, *shape):
        loss = lambda layer, x: jnp.square(layer(x)).sum()  # noqa: E731
        return jax.jit(nnx.grad(loss)).lower(layer, jnp.zeros(shape)).as_text().count("spikejax_events")

    linear = partial(SpikeLinear, rngs=nnx.Rngs(0))
    assert products(linear(50, 12), 3, 10, 50) == 2
    assert products(linear(50, 12, dtype=jnp.bfloat16), 3, 10, 50) == 0
    assert products(linear(50, 12, dot_general=lambda *a, **how: -jax.lax.dot_general(*a, **how)), 3, 10, 50) == 0


def test_nothing_is_compiled_for_a_call_outside_jit():
    layer, x = SpikeLinear(50, 12, rngs=nnx.Rngs(0)), spikes_of(33, 50)
    before = len(kernel_table())
    layer(x)
    nnx.grad(lambda layer: layer(x).sum())(layer)
    assert len(kernel_table()) == before
    jax.jit(layer)(x)
    assert len(kernel_table()) > before


def test_a_transpose_is_that_of_the_product():
    layer, x = SpikeLinear(50, 12, use_bias=False, rngs=nnx.Rngs(0)), jnp.zeros((30, 50))
    got = jax.linear_transpose(jax.jit(layer), x)(jnp.ones((30, 12)))
    close(got, (jnp.ones((30, 12)) @ layer.kernel[...].T,))


def test_equal_layers_compile_once():
    first, second = (nnx.split(SpikeLinear(3, 4, rngs=nnx.Rngs(0)))[0] for _ in range(2))
    assert first == second and hash(first) == hash(second)


LINEAR = r"`inputs` of SpikeLinear must be 0 or 1, got values from 0.0 to 0.5: use nnx.Linear, which takes any values"
HALF = jnp.array([[0.0, 0.5, 0.5]])


def test_other_values_are_refused():
    layer = SpikeLinear(3, 4, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=LINEAR):
        layer(HALF)
    with pytest.raises(ValueError, match=LINEAR):
        nnx.grad(lambda layer, x: layer(x).sum(), argnums=(0, 1))(layer, HALF)
    with pytest.raises(ValueError, match="got values from nan to nan"):
        layer(HALF * jnp.nan)
    with pytest.raises(ValueError, match=r"`inputs` of SpikeConv .* from -1.0 to -0.0: use nnx.Conv"):
        SpikeConv(3, 4, (1,), rngs=nnx.Rngs(0))(-jnp.eye(3))
    with pytest.raises(ValueError, match=rf"layer 1 \(SpikeLinear\) refused an input of shape \(1, 3\): {LINEAR}"):
        net = Sequential(jnp.abs, layer)
        net.step(net.init_state(HALF.shape), HALF)


@pytest.mark.parametrize(
    "layer", [SpikeLinear, lambda *sizes, **o: SpikeConv(*sizes, (1,), **o)], ids=["linear", "conv"]
)
@pytest.mark.parametrize("way", ["value", "grad", "vmap", "run"])
def test_debug_refuses_other_values_under_jit(layer, way):
    graph, params = nnx.split(layer(3, 4, debug=True, rngs=nnx.Rngs(0)))

    def value(params, x):
        return nnx.merge(graph, params)(x).sum()

    ways = {
        "value": value,
        "grad": jax.grad(value, (0, 1)),
        "vmap": jax.vmap(value, (None, 0)),
        "run": lambda params, x: sx.run(Sequential(nnx.merge(graph, params), sx.LIF()), x, steps=2)[1],
    }
    x = jnp.stack([HALF, HALF])
    compiled = jax.jit(ways[way])
    jax.block_until_ready(compiled(params, jnp.ceil(x)))
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"must be 0 or 1, got values from 0.0 to 0.5: use nnx"):
        jax.block_until_ready(compiled(params, x))


def test_without_debug_nothing_is_looked_at_under_jit():
    layer = SpikeLinear(3, 4, rngs=nnx.Rngs(0))
    graph, params = nnx.split(layer)
    y = jax.jit(lambda params, x: nnx.merge(graph, params)(x))(params, HALF)
    np.testing.assert_allclose(y, HALF @ layer.kernel[...], rtol=1e-6)
