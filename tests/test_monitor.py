"""What is recorded of a run, gradients at layers, operations."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.monitor import count_operations, layer_gradients
from spikejax.nn import AvgPool, ElementwiseRecurrent, Flatten, Recurrent, Sequential

T, N = 11, 3
XS = jax.random.normal(jax.random.key(0), (T, N, 6)) + 0.5
LENGTHS = np.array([4, 11, 7])


def network():
    rngs = nnx.Rngs(0)
    dense = lambda i, o: nnx.Linear(i, o, rngs=rngs)  # noqa: E731
    inner = Sequential(dense(8, 8), sx.LIF(v_reset=None))
    return Sequential(dense(6, 8), sx.LIF(), inner, Recurrent(sx.IF(), dense(8, 8)), dense(8, 4), sx.ALIF())


NET = network()


def test_the_membrane_before_the_reset():
    cells = [sx.IF(), sx.LIF(v_reset=None), sx.ALIF(), sx.CubaLIF(), sx.Izhikevich(), sx.KLIF()]
    for cell in cells:
        state, want = cell.init_state(XS.shape[1:]), []
        for x in XS:
            want.append(cell.charge(state, x).v)
            state, _ = cell.step(state, x)
        for method in ("fused", "scan"):
            kept = jax.jit(lambda xs, cell=cell, method=method: sx.run(cell, xs, record="h", method=method)[1][1])(XS)
            np.testing.assert_allclose(kept["h"], want, atol=1e-5)
            assert list(kept) == ["h"]
    _, (_, kept) = sx.run(cells[0], XS[0], steps=3, record=("h", "v"))
    assert set(kept) == {"h", "v"}
    np.testing.assert_allclose(kept["h"][0], XS[0])


@cache
def every_step(ending):
    """What the reductions are of, with lengths or without."""
    names = dict.fromkeys(("spikes", "membrane", "h", "0.output", "1.input"))
    lengths = LENGTHS if ending else None
    return jax.jit(lambda xs: sx.run(NET, xs, record=names, lengths=lengths)[1][1])(XS)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("chunk", [11, 4, 1])
def test_reductions_are_those_of_every_step(chunk, lengths):
    ways = {"spikes": "mean", "membrane": "max", "h": "sum", "0.output": "sum", "1.input": "max"}
    every = every_step(lengths is not None)
    run = jax.jit(lambda xs: sx.run(NET, xs, record=ways, chunk=chunk, lengths=lengths, remat=chunk == 4)[1][1])
    found = run(XS)
    assert set(found) == set(every)
    ends = LENGTHS if lengths is not None else np.full(N, T)
    for name, values in every.items():
        way = ways.get(name) or ways[name.rsplit(".", 1)[-1]]
        want = np.stack([getattr(np.asarray(values)[:end, n], way)(0) for n, end in enumerate(ends)])
        np.testing.assert_allclose(found[name], want, atol=1e-5)


def test_a_rate_needs_no_memory_for_the_steps():
    def scratch(steps, record):
        xs = jax.ShapeDtypeStruct((steps, 64, 6), jnp.float32)
        go = jax.jit(lambda xs: sx.run(NET, xs, record=record, chunk=10)[1][1]["1.spikes"])
        memory = go.lower(xs).compile().memory_analysis()
        return memory.temp_size_in_bytes + memory.output_size_in_bytes

    grown, whole = (scratch(2000, r) - scratch(200, r) for r in ({"1.spikes": "mean"}, "1.spikes"))
    spikes = 1800 * 64 * 8 * 4
    assert whole > 0.9 * spikes
    assert grown < 0.01 * spikes


@pytest.mark.parametrize("chunk", [11, 4])
def test_a_function_of_each_step(chunk):
    of_all = every_step(False)
    record = {"spikes": lambda s: s.mean((1, 2)), "1.spikes": None}
    found = jax.jit(lambda xs: sx.run(NET, xs, record=record, chunk=chunk)[1][1])(XS)
    np.testing.assert_array_equal(found["1.spikes"], of_all["1.spikes"])
    np.testing.assert_allclose(found["2.1.spikes"], of_all["2.1.spikes"].mean((1, 2)), rtol=1e-6)


@pytest.mark.parametrize("chunk", [11, 4])
def test_gradients_at_layers(chunk):
    """Against the network cut in two, and a value nudged by hand."""
    nudged = jax.jit(lambda p: (sx.run(NET, XS, perturb=p, chunk=chunk)[1] * WEIGHTS).sum())
    names = ("0.output", "1.input", "1.spikes", "2.1.spikes", "4.output", "3.spikes")
    loss = lambda ys: (ys * WEIGHTS).sum()  # noqa: E731
    found = layer_gradients(loss, NET, XS, names, chunk=chunk)
    assert set(found) == set(names)
    by_hand, of_spikes = of_the_rest()
    np.testing.assert_allclose(found["0.output"], by_hand, atol=1e-5)
    np.testing.assert_allclose(found["1.input"], by_hand, atol=1e-5)
    np.testing.assert_allclose(found["1.spikes"], of_spikes, atol=1e-5)
    assert all(jnp.abs(g).max() > 0 for g in found.values())
    assert nudged({"4.output": 0.0 * found["4.output"] + 3.0}) != nudged({})


WEIGHTS = jax.random.normal(jax.random.key(2), (T, N, 4))


@cache
def of_the_rest():
    """The gradients of the network cut behind layers 0 and 1, at what these put out."""

    def after(xs, first):
        return (sx.run(Sequential(*list(NET)[first:]), xs)[1] * WEIGHTS).sum()

    kept = every_step(False)
    both = jax.jit(lambda output, spikes: (jax.grad(after)(output, 1), jax.grad(after)(spikes, 2)))
    return both(kept["0.output"], kept["1.spikes"])


def test_gradients_reach_into_loops_and_leave_statistics_alone():
    rngs = nnx.Rngs(0)
    net = Sequential(nnx.Linear(6, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs), ElementwiseRecurrent(sx.LIF(), jnp.add))
    before = jnp.array(net[1].mean[...])
    found = layer_gradients(jnp.sum, net, XS, ("input", "output", "spikes"))
    np.testing.assert_array_equal(net[1].mean[...], before)
    assert found["0.input"].shape == XS.shape
    whole = jax.grad(lambda xs: sx.run(nnx.clone(net), xs)[1].sum())(XS)
    np.testing.assert_allclose(found["0.input"], whole, atol=1e-5)
    static = layer_gradients(jnp.sum, sx.LIF(), XS[0], "input", steps=5)
    np.testing.assert_allclose(
        static["input"].sum(0), jax.grad(lambda x: sx.run(sx.LIF(), x, steps=5)[1].sum())(XS[0]), atol=1e-5
    )


def test_layers_stand_in_order():
    net = Sequential(*(jnp.sin for _ in range(12)), sx.IF())
    assert list(layer_gradients(jnp.sum, net, XS, "output")) == [f"{i}.output" for i in range(12)]


def test_operations_by_hand():
    rngs = nnx.Rngs(0)
    conv = nnx.Conv(2, 4, (3, 3), padding="VALID", rngs=rngs)
    net = Sequential(conv, sx.IF(), AvgPool(2), Flatten(), nnx.Linear(16, 8, rngs=rngs), sx.IF(),
                     Recurrent(sx.IF(), nnx.Linear(8, 8, rngs=rngs)))  # fmt: skip
    xs = jax.random.bernoulli(jax.random.key(1), 0.3, (7, 5, 6, 6, 2)).astype(jnp.float32)
    found = count_operations(net, xs)
    first, second, third = found.layers
    assert (first.name, second.name, third.name) == ("0", "4", "6.feedback")
    assert (first.products, second.products, third.products) == (4 * 4 * 3 * 3 * 2 * 4, 16 * 8, 64)
    assert (first.spiking, second.spiking, third.spiking) == (True, False, True)
    np.testing.assert_allclose(first.activity, xs.mean(), rtol=1e-5)
    np.testing.assert_allclose(first.operations, 7 * first.products * float(xs.mean()), rtol=1e-5)
    np.testing.assert_allclose(first.energy, 0.9 * first.operations)
    assert second.operations == 7 * second.products  # means of four spikes are analog
    np.testing.assert_allclose(second.energy, 4.6 * second.operations)
    np.testing.assert_allclose(third.activity, sx.run(net, xs)[1].mean(), rtol=1e-5)
    assert found.analog_energy == 4.6 * (first.products + second.products + third.products)
    assert found.energy == first.energy + second.energy + third.energy
    assert found.synaptic_operations == first.operations + third.operations
    lines = str(found).splitlines()
    assert len(lines) == 5
    assert "1,152" in lines[1]
    assert "AC" in lines[1]
    assert lines[-1].startswith("T = 7: ")
    assert str(count_operations(net, xs, chunk=3)) == str(found)


def test_errors():
    with pytest.raises(ValueError, match=r"`record`\['spikes'\] must be None, 'sum', 'mean', 'max' or a function of"):
        sx.run(NET, XS, record={"spikes": "median"})
    with pytest.raises(ValueError, match=r"`record`\['spikes'\] is a function, which does not know of `lengths`"):
        sx.run(NET, XS, record={"spikes": jnp.abs}, lengths=LENGTHS)
    with pytest.raises(ValueError, match=r"`record`\['1.spikes'\] must keep the 11 steps of a chunk in the first axis"):
        sx.run(NET, XS, record={"1.spikes": jnp.sum}, chunk=11)
    with pytest.raises(ValueError, match=r"`perturb` names '1.membrane', which no layer has: choose from 0.input, "):
        sx.run(NET, XS, perturb={"1.membrane": XS})
    with pytest.raises(ValueError, match=r"`perturb`\['1.spikes'\] must be \[T, N, \*\] with 11 time steps, got shape"):
        sx.run(NET, XS, perturb={"1.spikes": XS[:3]})
    with pytest.raises(ValueError, match=r"`perturb`\['1.spikes'\] must have the shape of what it is added to"):
        sx.run(NET, XS, perturb={"1.spikes": XS})
    with pytest.raises(ValueError, match=r"`record` names 'voltage', which no layer has"):
        layer_gradients(jnp.sum, NET, XS, "voltage")
    with pytest.raises(ValueError, match=r"`perturb` names '1.v', which no layer has"):
        layer_gradients(jnp.sum, NET, XS, "1.v")
    with pytest.raises(ValueError, match=r"`net` must have a layer of weights"):
        count_operations(Sequential(sx.IF()), XS)


def test_operations_of_other_layers_with_a_kernel():
    class Excitatory(nnx.Linear):
        pass

    rngs, xs = nnx.Rngs(0), jnp.ones((2, 1, 4, 6))
    net = Sequential(
        nnx.ConvTranspose(6, 2, (3,), strides=2, rngs=rngs), nnx.LinearGeneral((8, 2), 5, axis=(1, 2), rngs=rngs)
    )
    assert [layer.products for layer in count_operations(net, xs).layers] == [4 * 6 * 2 * 3, 8 * 2 * 5]
    with pytest.raises(TypeError, match=r"layer 0 \(Excitatory\) must be .* exactly one of Linear"):
        count_operations(Sequential(Excitatory(6, 2, rngs=rngs)), xs)
