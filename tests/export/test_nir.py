"""NIR: what is written computes NIR's equations, and what is read back computes the same."""

import os
from functools import partial

import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import spikejax as sx
from spikejax.export.nir import from_nir, to_nir, write
from spikejax.nn import AvgPool, Delay, Flatten, MaxPool, Recurrent, Scale, Sequential, SumPool, Voting
from tests.export.nir_equations import evaluate

RNGS = nnx.Rngs(0)
STEPS = 12


def normal(size):
    return lambda key, shape, dtype: jnp.asarray(np.random.default_rng(shape).normal(0.0, size, shape), dtype)


def dense(n_in, n_out, *, bias=False, size=0.9):
    return nnx.Linear(n_in, n_out, use_bias=bias, kernel_init=normal(size), bias_init=normal(size), rngs=RNGS)


def conv(n_in, n_out, window, **options):
    return nnx.Conv(n_in, n_out, window, kernel_init=normal(0.5), bias_init=normal(0.3), rngs=RNGS, **options)


def norm(features):
    layer = nnx.BatchNorm(features, use_running_average=True, rngs=RNGS)
    layer.mean[...] = jnp.linspace(-0.3, 0.3, features)
    layer.var[...] = jnp.linspace(0.5, 2.0, features)
    return layer


def some(n, low, high):
    return jnp.asarray(np.linspace(low, high, n), jnp.float32)


FLAT = {
    "IF": lambda: [dense(5, 6), sx.IF(v_threshold=0.9)],
    "IF, v_reset": lambda: [dense(5, 6), sx.IF(v_reset=-0.3, v_threshold=some(6, 0.4, 1.2))],
    "LIF": lambda: [dense(5, 6, size=2.0), sx.LIF(tau=3.7, v_threshold=0.6)],
    "LIF, v_reset": lambda: [dense(5, 6, size=2.0), sx.LIF(v_reset=-0.25)],
    "LIF, gain folded": lambda: [dense(5, 6, bias=True), sx.LIF(tau=some(6, 1.5, 7.0), decay_input=False)],
    "LIF, gain in r": lambda: [sx.LIF(tau=3.3, decay_input=False)],
    "LIF, one a neuron": lambda: [dense(5, 6, size=2.0), sx.LIF(tau=some(6, 1.5, 5.0), v_threshold=some(6, 0.5, 1))],
    "LIF, no leak": lambda: [dense(5, 6), sx.LIF(tau=float("inf"), decay_input=False)],
    "ParametricLIF": lambda: [dense(5, 6, size=2.0), sx.ParametricLIF(init_tau=3.0)],
    "ParametricLIF, gain": lambda: [dense(5, 6), sx.ParametricLIF(init_tau=some(6, 2.0, 3.0), decay_input=False)],
    "CubaLIF": lambda: [dense(5, 6), sx.CubaLIF(tau_syn=2.3, tau=5.1)],
    "CubaLIF, decay_input": lambda: [dense(5, 6), sx.CubaLIF(tau=3.0, decay_input=True, w_in=3.0, r=2.5)],
    "CubaLIF, one a neuron": lambda: [dense(5, 6), sx.CubaLIF(tau_syn=some(6, 1.5, 4.0), w_in=some(6, 0.5, 1.0))],
    "CubaLIF, v_rest": lambda: [dense(5, 6), sx.CubaLIF(v_rest=0.2, v_reset=-0.1, r=0.7)],
    "CubaLIF as LIF": lambda: [dense(5, 6), sx.CubaLIF(tau_syn=1.0, tau=3.0, v_rest=0.2, r=0.8)],
    "LinearLIF": lambda: [dense(5, 6, size=2.0), sx.LinearLIF(tau=2.5)],
    "LinearLIF, gain folded": lambda: [dense(5, 6), sx.LinearLIF(tau=2.5, decay_input=False)],
    "recurrent LIF": lambda: [dense(5, 6), Recurrent(sx.LIF(tau=3.0, decay_input=False), dense(6, 6, bias=True))],
    "recurrent CubaLIF": lambda: [dense(5, 6), Recurrent(sx.CubaLIF(), dense(6, 6)), dense(6, 3), sx.IF()],
    "recurrent, gain in r": lambda: [Recurrent(sx.LIF(tau=3.0, decay_input=False), dense(5, 5))],
    "nested": lambda: [dense(5, 8), Sequential(sx.IF(), Sequential(dense(8, 6), sx.LIF(tau=1.5))), Voting(3)],
    "Delay": lambda: [Delay(2), dense(5, 6), sx.IF(), Delay([0, 1, 2, 3, 0, 1])],
    "Scale": lambda: [Scale(0.7), dense(5, 6), Scale(some(6, 0.5, 2.0)), sx.IF()],
    "BatchNorm, Dropout": lambda: [dense(5, 6), norm(6), sx.IF(), nnx.Dropout(0.5, deterministic=True), Flatten()],
    "LeakyIntegrator": lambda: [dense(5, 6), sx.LeakyIntegrator(tau=2.5)],
    "LeakyIntegrator, gain": lambda: [sx.LeakyIntegrator(tau=2.5, decay_input=False)],
    "LeakyIntegrator, no leak": lambda: [dense(5, 6), sx.LeakyIntegrator(tau=float("inf"), decay_input=False)],
}
IMAGES = {
    "Conv1d": ((9, 3), lambda: [conv(3, 4, (3,), strides=(2,), padding=((1, 1),)), sx.IF(v_threshold=0.7)]),
    "Conv1d, same": ((9, 3), lambda: [conv(3, 4, (4,)), sx.IF(), Flatten(), dense(36, 5), sx.LIF(tau=1.2)]),
    "Conv2d": ((7, 5, 2), lambda: [conv(2, 3, (3, 2), strides=(2, 1), padding="VALID"), sx.IF(v_threshold=0.6)]),
    "Conv2d, groups": ((6, 5, 4), lambda: [conv(4, 6, (2, 3), feature_group_count=2, padding=1), sx.IF()]),
    "Conv2d, dilation": ((8, 7, 2), lambda: [conv(2, 3, (2, 3), kernel_dilation=(2, 3)), sx.LIF(tau=2.0)]),
    "Conv2d, no bias": ((5, 6, 2), lambda: [conv(2, 3, (3, 3), use_bias=False, padding=((0, 0), (2, 2))), sx.IF()]),
    "AvgPool": ((7, 6, 2), lambda: [conv(2, 3, (3, 3)), norm(3), sx.IF(), AvgPool((3, 2), padding=((1, 1), (0, 0)))]),
    "SumPool": ((7, 6, 2), lambda: [SumPool(2, (1, 2)), sx.LIF(tau=2.5)]),
    "a neuron a pixel": ((4, 3, 2), lambda: [sx.IF(v_threshold=some(24, 0.3, 1.4).reshape(4, 3, 2))]),
    "a neuron a channel": ((4, 3, 2), lambda: [conv(2, 3, (1, 1)), sx.LIF(tau=some(3, 2.0, 4.0), decay_input=False)]),
    "Delay": ((4, 3, 2), lambda: [Delay([1, 2]), Scale(some(2, 0.5, 0.8)), sx.IF()]),
    "Flatten": (
        (4, 3, 2),
        lambda: [Flatten(), sx.IF(v_threshold=some(24, 0.3, 1.4)), Recurrent(sx.IF(), dense(24, 24)), Delay(range(24)), Voting(4)],
    ),
}
CASES = {name: ((5,), make) for name, make in FLAT.items()} | {f"image, {name}": case for name, case in IMAGES.items()}


def inputs(shape, steps=STEPS):
    return np.asarray(jax.random.uniform(jax.random.key(3), (steps, 1, *shape), minval=-0.3, maxval=1.5))


def outputs(net, xs):
    return np.asarray(compiled(*nnx.split(net), xs)[:, 0])


@partial(jax.jit, static_argnums=0)
def compiled(graph, variables, xs):
    return sx.run(nnx.merge(graph, variables), xs, method="scan")[1]


def first(ys):
    """Channels first, after time."""
    return np.moveaxis(ys, -1, 1)


@pytest.mark.parametrize("name", CASES)
def test_round_trip(name, tmp_path):
    """What is written computes NIR's equations, as spikejax does, and what is read back does too."""
    shape, make = CASES[name]
    net, xs = Sequential(*make()), inputs(shape)
    ys = outputs(net, xs)
    assert len(np.unique(ys)) > 1, "nothing fires, or all"
    write(tmp_path / "net.nir", net, shape)
    graph = nir.read(tmp_path / "net.nir", type_check=False)
    equal = np.testing.assert_array_equal if set(np.unique(ys)) == {0, 1} else close
    equal(evaluate(graph, first(xs[:, 0])), first(ys))
    equal(outputs(from_nir(tmp_path / "net.nir"), xs), ys)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
