"""Layers wired in any way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import Graph, Sequential

XS = jax.random.normal(jax.random.key(0), (9, 3, 4))


def layers():
    rngs = nnx.Rngs(0)
    inner = Sequential(nnx.Linear(4, 4, rngs=rngs), sx.IF(v_threshold=0.5))
    return [nnx.Linear(4, 4, rngs=rngs), sx.LIF(v_threshold=0.3), inner, jnp.add, nnx.Linear(4, 2, rngs=rngs), sx.LIF()]


WIRES = [[0], [1], [2], [3, 0], [4], [5]]


@pytest.mark.parametrize("how", [{}, {"chunk": 1}, {"chunk": 4, "remat": True}, {"method": "scan"}], ids=str)
def test_it_is_its_equation(how):
    own = layers()
    net = Graph(own, WIRES)
    state, ys = sx.run(net, XS, **how)
    _, first = sx.run(Sequential(own[0], own[1]), XS)
    _, second = sx.run(own[2], first)
    _, want = sx.run(Sequential(own[4], own[5]), second + XS)
    np.testing.assert_array_equal(ys, want)
    assert 0 < ys.mean() < 1
    assert len(state) == 6


def test_step_by_step_and_static_input():
    net = Graph(layers(), WIRES)
    state, ys = net.init_state((3, 4)), []
    for _ in range(5):
        state, y = net.step(state, XS[0])
        ys.append(y)
    np.testing.assert_array_equal(sx.run(net, XS[0], steps=5)[1], jnp.stack(ys))


def test_gradients_records_and_a_random_cell():
    net = Graph([sx.encoding.Poisson(), *layers()], [[0], *([i + 1 for i in wires] for wires in WIRES)])
    x = jnp.abs(jnp.tanh(XS[0]))
    state = net.init_state(x.shape, key=jax.random.key(0))
    _, (_, kept) = jax.jit(lambda x: sx.run(net, x, state, steps=6, record=("spikes", "5.output")))(x)
    assert set(kept) == {"0.spikes", "2.spikes", "3.1.spikes", "6.spikes", "5.output"}
    grads = nnx.jit(nnx.grad(lambda net: sx.run(net, x, state, steps=6)[1].sum()))(net)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_errors():
    own = layers()
    with pytest.raises(ValueError, match=r"one entry a layer, at least one, got 6 and 5"):
        Graph(own, WIRES[:-1])
    with pytest.raises(
        ValueError, match=r"`inputs`\[1\] must be indices from 0, the input, to 2, the last output, got \(3,\)"
    ):
        Graph(own[:2], [[0], [3]])
    with pytest.raises(ValueError, match=r"`inputs`\[1\] must be one index, because layer 1 is a cell, got \(0, 1\)"):
        Graph(own[:2], [[0], [0, 1]])
    wide = Graph([nnx.Linear(4, 3, rngs=nnx.Rngs(0)), jnp.add], [[0], [1, 0]])
    with pytest.raises(ValueError, match=r"layer 1 \(add\) refused an input of shape \(3, 3\) and \(3, 4\)"):
        wide.init_state((3, 4))
