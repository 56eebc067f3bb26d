"""A state says which of its leaves all samples share, and `lengths` stops the others alone."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.cells.cases import ALL
from tests.cells.elsewhere import ELSEWHERE, build
from tests.nn.layer_cases import CASES, network

import spikejax as sx
from spikejax.scan.lengths import check_batch_axis
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


RNGS = nnx.Rngs(0)
CELLS = {
    **{row.name: (row.build(row.variant), (4,)) for row in ALL},
    **{name: (build(name), (4,)) for name in ELSEWHERE},
    **{name: (network(case, True), case.shape) for name, case in CASES.items()},
    "Poisson": (sx.encoding.Poisson(), (4,)),
    "Latency": (sx.encoding.Latency(6), (4,)),
    "DeltaModulation": (sx.encoding.DeltaModulation(0.1), (4,)),
    "Delay": (sx.nn.Delay([1, 2, 0, 3]), (4,)),
    "LearnedDelay": (sx.nn.LearnedDelay(4, 3, rngs=RNGS), (4,)),
    "DelayedLinear": (sx.nn.DelayedLinear(4, 2, 3, rngs=RNGS), (4,)),
    "DropConnectLinear": (sx.nn.DropConnectLinear(4, 2, rngs=RNGS), (4,)),
    "SynapseFilter": (sx.nn.SynapseFilter(), (4,)),
    "WinnerTakeAll": (sx.nn.WinnerTakeAll(sx.LIF()), (4,)),
    "Recurrent": (sx.nn.Recurrent(sx.NoisyLIF(), nnx.Linear(4, 4, rngs=RNGS)), (4,)),
    "Graph": (sx.nn.Graph([jnp.add, sx.GatedLIF()], [[0, 2], [1]]), (4,)),
    "Reversed": (sx.nn.Reversed(sx.Refractory(sx.LIF(), 2)), (4,)),
    "SpikingLSTM": (sx.nn.SpikingLSTM(4, 3, layers=2, dropout=0.5, rngs=RNGS), (4,)),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_state_declares_its_batch_axis(name):
    cell, shape = CELLS[name]
    for batch in (3, 6):
        state = cell.init_state((batch, *shape), key=jax.random.key(0))
        check_batch_axis(cell, state, (batch, *shape))
        for leaf, is_batched in zip(jax.tree.leaves(state), jax.tree.leaves(batched(state)), strict=True):
            assert (jnp.shape(leaf)[:1] == (batch,)) == is_batched


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
