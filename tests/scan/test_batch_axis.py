"""A state says which of its leaves all samples share, and `lengths` stops the others alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.typing import LayerVisitor, ParallelCell, batched

T = 5


class Counted(NamedTuple):
    v: jax.Array
    count: jax.Array

    shared = ("count",)


class Undeclared(NamedTuple):
    v: jax.Array
    count: jax.Array


class Counter:
    """A cell that sums its input, and counts its steps for each of 4 features, samples alike."""

    def __init__(self, state=Counted, size=4):
        self.state, self.size = state, size

    def init_state(self, shape, dtype=jnp.float32, *, key=None):
        return self.state(jnp.zeros(shape, dtype), jnp.zeros(self.size, dtype))

    def step(self, state, x):
        state = self.state(state.v + x, state.count + 1)
        return state, state.v


@pytest.mark.parametrize("batch", [3, 4, 5])
@pytest.mark.parametrize("record", [None, "count", {"count": "mean"}], ids=str)
def test_shared_leaves_go_on_whatever_the_number_of_samples(batch, record):
    xs, lengths = jnp.ones((T, batch, 4)), jnp.full(batch, 2)
    for chunk in (1, 2, T):
        state, out = sx.run(Counter(), xs, lengths=lengths, record=record, chunk=chunk)
        np.testing.assert_array_equal(state.count, np.full(4, T))
        np.testing.assert_array_equal(state.v, np.full((batch, 4), 2))
        if record == "count":
            np.testing.assert_array_equal(out[1]["count"], np.repeat(np.arange(1, T + 1)[:, None], 4, 1))
        elif record:
            np.testing.assert_array_equal(out[1]["count"], np.full(4, 3.0))


@pytest.mark.parametrize("batch", [3, 4])
def test_a_leaf_without_batch_axis_must_be_declared(batch):
    xs, lengths = jnp.ones((T, batch, 4)), jnp.full(batch, 2)
    sx.run(Counter(Undeclared), xs)  # of no consequence without lengths
    with pytest.raises(ValueError, match=r"state.count of Counter has shape \(4,\) for inputs .* lists it in `shared`"):
        sx.run(Counter(Undeclared), xs, lengths=lengths)


def test_a_leaf_with_batch_axis_must_not_be_declared_as_shared():
    class Wrong(Counter):
        def init_state(self, shape, dtype=jnp.float32, *, key=None):
            return Counted(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    with pytest.raises(ValueError, match=r"state.count of Wrong .* take it out of `shared`"):
        sx.run(Wrong(), jnp.ones((T, 3, 4)), lengths=jnp.full(3, 2))


def test_batched_looks_into_networks():
    net = sx.nn.Sequential(sx.encoding.Poisson(), sx.nn.Recurrent(sx.LIF(), jnp.negative), Counter())
    state = net.init_state((3, 4), key=jax.random.key(0))
    encoder, recurrent, counter = batched(state)
    assert tuple(encoder) == (False, False)
    assert recurrent.cell.v is True and recurrent.y is True
    assert tuple(counter) == (True, False)


def test_a_visitor_that_forgets_a_kind_of_layer_cannot_be_made():
    class Forgetful(LayerVisitor):
        def cell(self, path, cell, state, xs):
            return state, xs

        def stateless(self, path, layer, *inputs):
            return layer.over_time(*inputs)

        def loop(self, path, network, state, inputs):
            return state, inputs

    with pytest.raises(TypeError, match="reverse"):
        Forgetful()  # pyright: ignore[reportAbstractUsage]


def test_a_field_called_steps_makes_no_parallel_cell():
    cell = sx.Refractory(sx.LIF(), 2)
    assert not isinstance(cell, ParallelCell)
    net = sx.nn.Sequential(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), cell)
    assert sx.run(net, jnp.ones((T, 2, 3)))[1].shape == (T, 2, 3)
