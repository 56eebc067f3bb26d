"""The file: written whole or not at all, described, and read back by a session."""

import importlib
import json
import sys

import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from flax import nnx
from tests.export.onnx import oracle
from tests.export.onnx.networks import inputs, network

import spikejax as sx
from spikejax.export.onnx import Session, check, write
from spikejax.nn import Sequential

module = importlib.import_module("spikejax.export.onnx.write")


def test_metadata_names_the_pairs(tmp_path):
    net = Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), sx.CubaLIF(v_reset=jnp.array([-0.5, 0.25])))
    write(tmp_path / "net.onnx", net, (3,), batch=2)
    model = onnx.load(tmp_path / "net.onnx")
    described = oracle.described(model)
    assert {name: described[name] for name in ("form", "batch", "dtype", "layout", "sample_shape")} == {
        "form": "step",
        "batch": 2,
        "dtype": "float32",
        "layout": "NCHW",
        "sample_shape": [3],
    }
    v, i = described["states"]
    assert v == {
        "name": "layer1.v",
        "input": "layer1.v_in",
        "output": "layer1.v_out",
        "shape": [2, 2],
        "first": [[-0.5, 0.25]],
    }
    assert (i["name"], i["first"]) == ("layer1.i", 0.0)
    assert [x.name for x in model.graph.input] == ["x", "layer1.v_in", "layer1.i_in"]
    assert [y.name for y in model.graph.output] == ["y", "layer1.v_out", "layer1.i_out"]
    assert model.producer_name == "spikejax"
    first = Session(tmp_path / "net.onnx").init_state()
    np.testing.assert_array_equal(first["layer1.v"], [[-0.5, 0.25]] * 2)


def test_metadata_of_the_unrolled_form(tmp_path):
    write(tmp_path / "net.onnx", *network("dense"), form="unrolled", steps=3)
    described = oracle.described(onnx.load(tmp_path / "net.onnx"))
    assert (described["steps"], described["input"], described["readout"]) == (3, "static", "mean")
    assert described["states"] == []


def test_the_step_graph_is_plain(tmp_path):
    """A LIF neuron with hard reset to 0: charge 3, fire 3, reset 2."""
    net = Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), sx.LIF())
    write(tmp_path / "net.onnx", net, (3,))
    graph = onnx.load(tmp_path / "net.onnx").graph
    ops = [node.op_type for node in graph.node]
    assert ops == ["Gemm", "Sub", "Mul", "Add", "Sub", "GreaterOrEqual", "Cast", "Sub", "Mul"]
    assert graph.node[3].output[0] == graph.node[4].input[0]  # the charged membrane meets its threshold
    assert {c.name for c in graph.initializer} >= {"layer0.kernel", "layer0.bias"}


@pytest.mark.parametrize("step", ["replace", "serialise", "onnx"])
def test_an_old_file_survives_a_failed_write(step, tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    class Model:
        SerializeToString = fail

    if step == "replace":
        monkeypatch.setattr(module.os, "replace", fail)
    elif step == "serialise":
        monkeypatch.setattr(module, "_model", lambda *args: Model())
    else:
        monkeypatch.setattr(module, "_model", fail)
    with pytest.raises(OSError, match="disk full"):
        write(path, *network("dense"))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    report = write(str(path), *network("dense"))
    oracle.checked(path)
    assert list(tmp_path.iterdir()) == [path]
    assert report == check(*network("dense"))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_missing_package(package, tmp_path, monkeypatch):
    write(tmp_path / "net.onnx", *network("dense"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package} is needed .*pip install spikejax\[onnx\]"):
        if package == "onnx":
            assert check(*network("dense")).errors == ()
            write(tmp_path / "other.onnx", *network("dense"))
        else:
            Session(tmp_path / "net.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_session_refuses(tmp_path):
    net, sample = network("images")
    write(tmp_path / "step.onnx", net, sample)
    write(tmp_path / "unrolled.onnx", net, sample, form="unrolled", steps=2)
    step, unrolled = Session(tmp_path / "step.onnx"), Session(tmp_path / "unrolled.onnx")
    x = inputs(sample)[0, :1]
    with pytest.raises(ValueError, match="of the step form: use `run`"):
        step.read_out(x)
    with pytest.raises(ValueError, match="of the unrolled form: use `read_out`"):
        unrolled.run(x[None])
    with pytest.raises(ValueError, match=r"shape \(1, 11, 7, 2\), channels last, got \(2, 11, 7, 2\)"):
        step.step(step.init_state(), inputs(sample)[0])
    assert unrolled.init_state() == {}


def test_session_refuses_other_files(tmp_path):
    path = tmp_path / "net.onnx"
    write(path, *network("no neurons"))
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ValueError, match="is not described as a network of spikejax"):
        Session(path)


def test_constants_are_those_of_the_network(tmp_path):
    """Also in JSON, so that a host in another language reads them."""
    net, sample = network("recurrent")
    write(tmp_path / "net.onnx", net, sample)
    model = onnx.load(tmp_path / "net.onnx")
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    np.testing.assert_array_equal(constants["layer1.feedback.kernel"], net[1].feedback.kernel[...])
    assert json.dumps(oracle.described(model))
