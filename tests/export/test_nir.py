"""NIR: what is written computes NIR's equations, and what is read back computes the same."""

import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import nir
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.export.nir_equations import evaluate

import spikejax as sx
from spikejax.export.nir import from_nir, to_nir, write
from spikejax.nn import AvgPool, Delay, Flatten, MaxPool, Recurrent, Scale, Sequential, SumPool, Voting

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
    "bfloat16": lambda: [
        nnx.Linear(5, 6, param_dtype=jnp.bfloat16, dtype=jnp.float32, kernel_init=normal(1.0), rngs=RNGS),
        sx.IF(v_threshold=0.7),
    ],
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
    "Conv2d": (
        (7, 5, 4),
        lambda: [conv(4, 6, (3, 2), strides=(2, 1), padding="VALID", feature_group_count=2), sx.IF(v_threshold=0.6)],
    ),
    "Conv2d, same": (
        (8, 7, 2),
        lambda: [conv(2, 3, (2, 3), kernel_dilation=(3, 2), use_bias=False), sx.LIF(tau=2.0, v_threshold=0.5)],
    ),
    "AvgPool": ((7, 6, 2), lambda: [conv(2, 3, (3, 3)), norm(3), sx.IF(), AvgPool((3, 2), padding=((1, 1), (0, 0)))]),
    "SumPool": ((7, 6, 2), lambda: [SumPool(2, (1, 2)), sx.LIF(tau=2.5)]),
    "a neuron a pixel": ((4, 3, 2), lambda: [sx.IF(v_threshold=some(24, 0.3, 1.4).reshape(4, 3, 2))]),
    "a neuron a channel": ((4, 3, 2), lambda: [conv(2, 3, (1, 1)), sx.LIF(tau=some(3, 2.0, 4.0), decay_input=False)]),
    "Delay": ((4, 3, 2), lambda: [Delay([1, 2]), Scale(some(2, 0.5, 0.8)), sx.IF()]),
    "Flatten": (
        (4, 3, 2),
        lambda: [
            Flatten(),
            sx.IF(v_threshold=some(24, 0.3, 1.4)),
            Recurrent(sx.IF(), dense(24, 24, bias=True)),
            Delay(range(24)),
            Voting(4),
        ],
    ),
}
CASES = {name: ((5,), make) for name, make in FLAT.items()} | {f"image, {name}": case for name, case in IMAGES.items()}


def inputs(shape, steps=STEPS):
    return np.random.default_rng(3).uniform(-0.3, 1.5, (steps, 1, *shape)).astype(np.float32)


def outputs(net, xs):
    """Step by step, without a compilation for each network."""
    state, ys = net.init_state(xs.shape[1:]), []
    for x in xs:
        state, y = net.step(state, x)
        ys.append(np.asarray(y[0]))
    return np.stack(ys)


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


@pytest.mark.parametrize("recurrent", ["cycle", "graph"])
@pytest.mark.parametrize("cell", [sx.LIF(tau=3.0, decay_input=False), sx.CubaLIF(), sx.IF()])
def test_both_forms_of_recurrence(cell, recurrent):
    net, xs = Sequential(dense(5, 6), Recurrent(cell, dense(6, 6, bias=True)), dense(6, 4), sx.IF()), inputs((5,))
    graph = to_nir(net, (5,), recurrent=recurrent)
    nested = [name for name, node in graph.nodes.items() if isinstance(node, nir.NIRGraph)]
    assert nested == (["recurrent_1"] if recurrent == "graph" else [])
    back = from_nir(graph)
    assert isinstance(back[1], Recurrent)
    assert outputs(net, xs).any()
    np.testing.assert_array_equal(evaluate(graph, xs[:, 0]), outputs(net, xs))
    np.testing.assert_array_equal(outputs(back, xs), outputs(net, xs))


@pytest.mark.parametrize(
    "cell",
    [
        sx.IF(v_threshold=0.3, v_reset=-1.5),
        sx.LIF(tau=7.3, v_threshold=1.7),
        sx.LIF(tau=jnp.array([1.5, 2.0, 7.3])),
        sx.LIF(tau=2.0, v_reset=-0.1, v_threshold=jnp.array([0.5, 1.0, 2.0])),
        sx.CubaLIF(tau_syn=3.3, tau=17.1, v_rest=0.3),
        sx.CubaLIF(tau_syn=1.0, tau=3.0, v_rest=0.3, decay_input=True),
        sx.LeakyIntegrator(tau=4.7),
        sx.LeakyIntegrator(tau=4.7, decay_input=False),
        sx.LeakyIntegrator(tau=float("inf"), decay_input=False),
        sx.LinearLIF(tau=1.9, v_threshold=0.9),
    ],
)
@pytest.mark.parametrize("dt", [1e-4, 3e-3])
def test_cell_comes_back_as_it_was(cell, dt):
    back = from_nir(to_nir(Sequential(cell), (3,), dt=dt), dt=dt)
    assert len(back) == 1
    assert back[0] == cell


def test_fires_at_the_threshold_and_above():
    """IF reaches 1 exactly: what is written fires there; what is read does where NIR's threshold is passed."""
    net, xs = Sequential(sx.IF()), np.full((12, 1, 3), 0.25, np.float32)
    graph = to_nir(net, (3,))
    assert outputs(net, xs).sum() == 9
    np.testing.assert_array_equal(evaluate(graph, xs[:, 0]), outputs(net, xs))
    for node in (nir.IF(np.full(3, 1e4), np.ones(3)), nir.Threshold(np.full(3, 0.25)), nir.Threshold(np.zeros(3))):
        graph = chain(nir.Input(np.array([3])), node)
        signal = xs * 0 if node.input_type and getattr(node, "threshold", np.ones(1))[0] == 0 else xs
        np.testing.assert_array_equal(outputs(from_nir(graph), signal), evaluate(graph, signal[:, 0]))
    assert from_nir(to_nir(net, (3,)))[0].v_threshold == 1.0


def chain(*nodes, **options):
    """A graph of nodes one after another, their types unchecked."""
    names = [f"n{i}" for i in range(len(nodes))]
    named: dict[str, Any] = dict(zip(names, nodes, strict=True)) | {"out": nir.Output(np.array([3]))}
    named["out"].input_type = named["out"].output_type = {"input": None, "output": None}
    return nir.NIRGraph(named, list(zip(names, [*names[1:], "out"], strict=True)), type_check=False, **options)


def full(*values, n=3):
    return [np.full(n, value, np.float32) for value in values]


FOREIGN = {
    "LI, any r": lambda: [nir.LI(*full(4e-4, 2.5, 0.0))],
    "CubaLI": lambda: [nir.CubaLI(*full(2e-4, 4e-4, 4.0, 0.0, 0.7))],
    "LIF, any r": lambda: [nir.LIF(*full(4e-4, 2.5, 0.0, 0.8, 0.0))],
    "LIF, v_leak": lambda: [nir.LIF(*full(4e-4, 2.5, 0.2, 0.8, -0.1))],
    "LIF, tau = dt": lambda: [nir.LIF(*full(1e-4, 1.0, 0.0, 0.8, 0.0))],
    "CubaLIF, any r": lambda: [nir.CubaLIF(*full(2e-4, 4e-4, 2.5, 0.0, 0.8, 0.0, 1.3))],
    "Threshold": lambda: [nir.Threshold(full(0.6)[0])],
    "LI, Threshold": lambda: [nir.LI(*full(4e-4, 1.0, 0.0)), nir.Threshold(full(0.4)[0])],
    "I": lambda: [nir.I(full(1e4)[0])],
    "one number": lambda: [nir.IF(*full(1e4, 0.9, n=1))],
    "float64, bias": lambda: [nir.Affine(np.eye(3) * 0.7, np.array([0.1, 0.2, -0.1])), nir.IF(*full(1e4, 0.9))],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_reads_what_others_write(name):
    graph, xs = chain(nir.Input(np.array([3])), *FOREIGN[name]()), inputs((3,))
    ys = outputs(from_nir(graph), xs)
    assert ys.any()
    if name == "one number":
        graph.nodes["n1"] = nir.IF(*full(1e4, 0.9))
    close(ys, evaluate(graph, xs[:, 0]))


def test_leaky_integrator_and_threshold_are_one_neuron():
    assert from_nir(chain(nir.Input(np.array([3])), *FOREIGN["LI, Threshold"]()))[0] == sx.LinearLIF(
        tau=4.0, v_threshold=float(np.nextafter(np.float32(0.4), np.float32(1)))
    )


@pytest.mark.parametrize(
    ("r", "if_gain", "gain"),
    [
        (1e4, "auto", 1.0),
        (1.0, "auto", 1.0),
        (6e3, "auto", 0.6),
        (4e3, "auto", 4e3),
        (4e3, "r*dt", 0.4),
        (0.4, "r", 0.4),
    ],
)
def test_gain_of_an_integrator(r, if_gain, gain):
    """Scale before it, and in the weights that come back to it."""
    lif, w_rec = nir.IF(*full(r, 1.0)), nir.Affine(np.full((3, 3), 0.5), np.full(3, 0.25))
    nodes = {"input": nir.Input(np.array([3])), "lif": lif, "w_rec": w_rec, "output": nir.Output(np.array([3]))}
    net = from_nir(
        nir.NIRGraph(nodes, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]), if_gain=if_gain
    )
    assert [type(net[i]) for i in range(len(net))] == [Recurrent] if gain == 1 else [Scale, Recurrent]
    if gain != 1:
        assert float(net[0].scale[...]) == pytest.approx(gain)
    np.testing.assert_allclose(net[len(net) - 1].feedback.kernel[...], 0.5 * gain, rtol=1e-6)
    np.testing.assert_allclose(net[len(net) - 1].feedback.bias[...], 0.25 * gain, rtol=1e-6)


@pytest.mark.parametrize(("start", "end"), [(0, -1), (0, 2), (-3, -1), (1, -1), (1, 3)])
def test_flatten_with_and_without_a_batch_axis(start, end):
    weight = np.arange(60.0).reshape(5, 12)
    flatten = nir.Flatten({"input": None}, start_dim=start, end_dim=end)
    net = from_nir(chain(nir.Input(np.array([2, 3, 2])), flatten, nir.Linear(weight)))
    x = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_allclose(outputs(net, np.moveaxis(x, 0, -1)[None, None])[0], weight @ x.ravel())


def test_groups_and_windows_pass_the_check_of_nir():
    """The types are those of the layers, where nir 1.0.8 would infer others."""
    net = Sequential(conv(4, 6, (3, 2), strides=(2, 1), feature_group_count=2, padding="VALID"), sx.IF())
    assert to_nir(net, (7, 5, 4)).check_types()
    shape = (5,)
    assert to_nir(Sequential(*FLAT["nested"]()), shape).check_types()


def test_weights_take_the_gain_and_arrays_are_full():
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    net = Sequential(dense(2, 3, bias=True), sx.LIF(tau=4.0, decay_input=False))
    net[0].kernel[...], net[0].bias[...] = jnp.asarray(kernel), jnp.ones(3)
    graph = to_nir(net, (2,), dt=1e-3)
    assert list(graph.nodes) == ["input", "linear_0", "lif_1", "output"]
    np.testing.assert_array_equal(graph.nodes["linear_0"].weight, 4 * kernel.T)
    np.testing.assert_array_equal(graph.nodes["linear_0"].bias, [4, 4, 4])
    lif = graph.nodes["lif_1"]
    expected = {
        "tau": np.float32(4e-3),
        "r": 1,
        "v_leak": 0,
        "v_reset": 0,
        "v_threshold": np.nextafter(np.float32(1), 0),
    }
    for name, value in expected.items():
        np.testing.assert_array_equal(getattr(lif, name), np.full(3, value, np.float32))
        assert getattr(lif, name).dtype == np.float32
    assert graph.metadata.keys() == {"producer", "dt", "reset"} and graph.metadata["dt"] == 1e-3


def test_current_in_the_form_that_others_run():
    node = to_nir(Sequential(sx.CubaLIF(tau_syn=2.0, tau=5.0)), (3,)).nodes["cubalif_0"]
    np.testing.assert_allclose(node.r, node.tau_mem / 1e-4, rtol=1e-6)
    np.testing.assert_allclose(node.w_in, node.tau_syn / 1e-4, rtol=1e-6)


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.nir"
    path.write_bytes(b"old")

    def broken(file, graph):
        file.write_bytes(b"half")
        raise OSError("full")

    monkeypatch.setattr(nir, "write", broken)
    with pytest.raises(OSError, match="full"):
        write(path, Sequential(sx.IF()), (3,))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["net.nir"]


def soft(cell):
    return Sequential(dense(5, 3), cell)


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (soft(sx.LIF(v_reset=None)), (5,), "layer 1 (LIF) has `v_reset` None, the soft reset"),
        (soft(sx.QIF()), (5,), "layer 1 (QIF) has no NIR node: use CubaLIF, IF, LIF, LeakyIntegrator, LinearLIF, Para"),
        (soft(sx.Refractory(sx.LIF(), 2)), (5,), "layer 1 (Refractory) has no NIR node"),
        (soft(sx.LIF(surrogate=sx.surrogate.Sigmoid(spiking=False))), (5,), "layer 1 (LIF) puts out analog"),
        (soft(sx.CubaLIF(tau=float("inf"))), (5,), "layer 1 (CubaLIF): `tau` is infinite"),
        (soft(sx.LIF(tau=float("inf"))), (5,), "layer 1 (LIF): `tau` is infinite"),
        (soft(Recurrent(sx.LinearLIF(), dense(3, 3))), (5,), "layer 1 (Recurrent) has a cell of 2 NIR nodes"),
        (Sequential(MaxPool(2)), (4, 4, 1), "layer 0 (MaxPool) has no NIR node: use spikejax.nn.AvgPool or SumPool"),
        (Sequential(AvgPool(2)), (4, 1), "layer 0 (AvgPool) has 1 space axes"),
        (Sequential(SumPool(3, 2, "SAME")), (4, 4, 1), "`padding` ((0, 1), (0, 1))"),
        (Sequential(conv(1, 2, (2, 2), strides=2)), (5, 4, 1), "layer 0 (Conv) has `padding` ((0, 1), (0, 0))"),
        (Sequential(conv(1, 2, (2, 2), padding=((1, 0), (1, 0)))), (5, 4, 1), "has `padding` ((1, 0), (1, 0))"),
        (Sequential(nnx.Dropout(0.5, deterministic=True)), (3,), "`net` has no layer to write"),
        (Sequential(conv(1, 2, (2, 2, 2))), (4, 4, 4, 1), "layer 0 (Conv) has 3 space axes"),
        (Sequential(Voting(2)), (4, 4, 2), "layer 0 (Voting) over (4, 4, 2) has no NIR node"),
        (Sequential(Flatten(), sx.IF()), (2, 2, 2), "layer 1 (IF) ends in the features of a flattened image"),
        (Sequential(jax.nn.relu), (3,), "layer 0 (relu) is not a layer that can be exported"),
    ],
)
def test_errors_of_writing(net, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        to_nir(net, shape)


def test_errors_of_arguments(monkeypatch):
    net = Sequential(sx.IF())
    with pytest.raises(ValueError, match=r"`dt` must be > 0, got 0\.0"):
        to_nir(net, (3,), dt=0.0)
    with pytest.raises(ValueError, match="`dt` must be > 0, got -1"):
        from_nir(to_nir(net, (3,)), dt=-1)
    with pytest.raises(ValueError, match="`recurrent` must be one of 'cycle', 'graph', got 'loop'"):
        to_nir(net, (3,), recurrent="loop")
    with pytest.raises(ValueError, match=r"`if_gain` must be one of 'auto', 'r', 'r\*dt', got 'dt'"):
        from_nir(to_nir(net, (3,)), if_gain="dt")
    with pytest.raises(TypeError, match=r"`graph` must be a nir.NIRGraph or the path of a file, got IF"):
        from_nir(nir.IF(*full(1.0, 1.0)))
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ImportError, match=r"pip install spikejax\[nir\]"):
        to_nir(net, (3,))


def conv2d(weight=(2, 1, 3, 3), stride=1, padding=0, groups=1):
    return nir.Conv2d((5, 5), np.ones(weight), stride, padding, 1, groups, np.zeros(weight[0]))


PIXELS = nir.Delay(np.arange(8.0).reshape(2, 2, 2) * 1e-4)


@pytest.mark.parametrize(
    ("shape", "nodes", "message"),
    [
        ((3,), [nir.LI(*full(4e-4, 1.0, 0.1))], "node 'n1' (LI): `v_leak` must be 0, got 0.1"),
        ((3,), [nir.LIF(*full(5e-5, 1.0, 0.0, 1.0))], "node 'n1' (LIF): `tau` must be >= dt = 0.0001, got 5e-05"),
        ((3,), [nir.LI(*full(np.inf, 1.0, 0.0))], "node 'n1' (LI): `tau` must be finite, got inf"),
        ((3,), [nir.LIF(*full(2e-4, 1.0, 0.0, 1.0, 2.0))], "node 'n1' (LIF), in steps of dt: `v_reset` must be <"),
        ((4,), [nir.IF(*full(1e4, 1.0))], "node 'n1' (IF): `v_threshold` must be of shape (4,), got shape (3,)"),
        ((4,), [nir.Linear(np.ones((2, 3)))], "`weight` must be [out, in] for an input of (4,), got shape (2, 3)"),
        ((3,), [nir.Affine(np.ones((2, 3)), np.ones(3))], "`bias` must be of shape (2,), got shape (3,)"),
        ((2, 3), [nir.Linear(np.ones((2, 3)))], "Linear takes features: put a Flatten before it"),
        ((3,), [nir.Delay(*full(1.5e-4))], "node 'n1' (Delay): `delay` must be whole steps >= 0, got 1.5 to 1.5 dt"),
        ((2, 2, 2), [PIXELS], "node 'n1' (Delay): `delay` must be the same for all pixels of a channel"),
        ((2, 5, 5), [conv2d()], "node 'n1' (Conv2d): `weight` must be [out, in / groups, *window] for an input of (2,"),
        ((1, 5, 5), [conv2d(stride=2, padding="same")], "node 'n1' (Conv2d): `stride` must be 1 where `padding`"),
        ((1, 5, 5), [conv2d(stride=(1, 1, 1))], "node 'n1' (Conv2d): `stride` must be one number or 2"),
        ((1, 2, 2), [conv2d()], "node 'n1' (Conv2d): `input shape` must be at least as large as the window"),
        ((5, 5), [nir.SumPool2d(2, 2, 0)], "node 'n1' (SumPool2d): `input shape` must be (C, H, W)"),
        ((2, 3, 2), [nir.Flatten({"input": None})], "node 'n1' (Flatten): `start_dim` must be 0"),
        ((2, 3, 2), [nir.Flatten({"input": None}, 0)], "node 'out' (Output) gives the features of a flattened image"),
        ((3,), [], "the graph has no node between Input and Output"),
    ],
)
def test_errors_of_reading(shape, nodes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_nir(chain(nir.Input(np.array(shape)), *nodes))


def graph_of(edges, **nodes):
    ends = {"input": nir.Input(np.array([3])), "output": nir.Output(np.array([3]))}
    return nir.NIRGraph(ends | nodes, edges, type_check=False)


def test_errors_of_graphs(tmp_path):
    a, b = nir.IF(*full(1e4, 1.0)), nir.Scale(np.ones(3))
    split = graph_of([("input", "a"), ("input", "b"), ("a", "output"), ("b", "output")], a=a, b=b)
    with pytest.raises(ValueError, match=r"node 'input' \(Input\) has 2 outputs \['a', 'b'\]: from_nir reads chains"):
        from_nir(split)
    with pytest.raises(ValueError, match=r"node 'a' \(IF\) has 2 inputs \['input', 'b'\]"):
        from_nir(graph_of([("input", "a"), ("a", "b"), ("b", "a"), ("a", "output")], a=a, b=b))
    with pytest.raises(ValueError, match=r"edge \('a', 'c'\) names 'c', which is no node"):
        from_nir(graph_of([("input", "a"), ("a", "c")], a=a))
    with pytest.raises(ValueError, match=r"node 'b' \(Scale\) has 0 inputs \[\]"):
        from_nir(graph_of([("input", "a"), ("a", "output")], a=a, b=b))
    loop = graph_of([("input", "output"), ("a", "b"), ("b", "a")], a=a, b=b)
    with pytest.raises(ValueError, match=r"nodes \['a', 'b'\] are not on the way"):
        from_nir(loop)
    w = nir.Linear(np.eye(3))
    with pytest.raises(ValueError, match=r"node 'w' \(Linear\) leads back to 'b', which has no neurons"):
        from_nir(graph_of([("input", "b"), ("b", "w"), ("w", "b"), ("b", "output")], b=b, w=w))
    two = nir.CubaLI(*full(2e-4, 2e-4, 1.0, 0.0))
    with pytest.raises(ValueError, match=r"node 'a' \(CubaLI\) has feedback"):
        from_nir(graph_of([("input", "a"), ("a", "w"), ("w", "a"), ("a", "output")], a=two, w=w))
    inner = nir.NIRGraph({"a": a}, [], type_check=False)
    with pytest.raises(ValueError, match="graph 'inner' has 0 Input nodes"):
        from_nir(graph_of([("input", "inner"), ("inner", "output")], inner=inner))
    ends = {"other": nir.Input(np.array([3])), "end": nir.Output(np.array([3]))}
    with pytest.raises(ValueError, match=r"the graph has 2 Input nodes \['input', 'other'\]"):
        from_nir(graph_of([("input", "a"), ("a", "output"), ("other", "b"), ("b", "end")], a=a, b=b, **ends))


def test_unknown_nodes_are_named(tmp_path):
    class Resonator(nir.IF):
        pass

    unknown = chain(nir.Input(np.array([3])), Resonator(*full(1e4, 1.0)))
    with pytest.raises(ValueError, match="node 'n1' is of type Resonator, which spikejax does not know"):
        from_nir(unknown)
    del unknown.nodes["out"]
    nir.write(tmp_path / "net.nir", unknown)
    with pytest.raises(ValueError, match="node 'n1' is of type Resonator, which spikejax does not know"):
        from_nir(tmp_path / "net.nir")


def test_metadata_are_reported(tmp_path):
    net = Sequential(sx.IF())
    graph = to_nir(net, (3,))
    graph.metadata |= {"author": "someone", "reset": "soft"}
    graph.nodes["if_0"].metadata = {"color": "red"}
    nir.write(tmp_path / "net.nir", graph)
    message = r"ignored: graph: author; if_0: color; graph: reset = 'soft'"
    with pytest.warns(UserWarning, match=message):
        from_nir(graph)
    with pytest.warns(UserWarning, match=message):
        from_nir(tmp_path / "net.nir")
    graph.metadata = {"dt": "0.1 ms"}
    graph.nodes["if_0"].metadata = {}
    with pytest.warns(UserWarning, match=r"ignored: graph: dt = '0.1 ms'"):
        from_nir(graph)
    with pytest.warns(UserWarning, match=r"written with dt = 0.0001 and is read with dt = 0.001"):
        from_nir(to_nir(net, (3,)), dt=1e-3)


def drawn_cell(draw, features):
    def value(low, high):
        one = st.floats(low, high, width=32)
        if draw(st.booleans()):
            return draw(one)
        return jnp.asarray(draw(st.lists(one, min_size=features, max_size=features)), jnp.float32)

    v_reset = draw(st.sampled_from([0.0, -0.25]))
    shared = {"v_threshold": value(0.25, 1.5), "v_reset": v_reset}
    gain = draw(st.booleans())
    kind = draw(st.sampled_from(["IF", "LIF", "CubaLIF"]))
    if kind == "IF":
        return sx.IF(**shared)
    if kind == "LIF":
        return sx.LIF(tau=value(1.25, 8.0), decay_input=gain, **shared)
    return sx.CubaLIF(tau=value(1.25, 8.0), tau_syn=value(1.25, 4.0), v_rest=v_reset, decay_input=gain, **shared)


@st.composite
def networks(draw):
    layers, features = [], 4
    for _ in range(draw(st.integers(1, 2))):
        outs = draw(st.integers(1, 4))
        layers.append(dense(features, outs, bias=draw(st.booleans()), size=1.5))
        cell, features = drawn_cell(draw, outs), outs
        layers.append(Recurrent(cell, dense(outs, outs)) if draw(st.booleans()) else cell)
    return Sequential(*layers)


@settings(max_examples=6, derandomize=True, deadline=None, database=None)
@given(networks(), st.sampled_from([1e-4, 1e-3]), st.sampled_from(["cycle", "graph"]))
def test_random_networks(net, dt, recurrent):
    xs = inputs((4,))
    graph = to_nir(net, (4,), dt=dt, recurrent=recurrent)
    np.testing.assert_array_equal(evaluate(graph, xs[:, 0], dt), outputs(net, xs))
    np.testing.assert_array_equal(outputs(from_nir(graph, dt=dt), xs), outputs(net, xs))
