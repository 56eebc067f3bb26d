"""Both forms compute what spikejax does, in onnxruntime and in ONNX's own evaluator."""

import numpy as np
import pytest
from tests.export.onnx import oracle
from tests.export.onnx.networks import BATCH, CASES, STEPS, expected, inputs, network

from spikejax.export.onnx import Session, write

UNROLLED = {"form": "unrolled", "steps": STEPS, "input": "sequence", "readout": "none", "batch": BATCH}


def assert_same(ys, want):
    """Spikes exactly: no membrane of these networks comes within 1e-6 of its threshold. All else to 1e-5."""
    ys = np.asarray(ys).reshape(want.shape)
    if set(np.unique(want)) <= {0.0, 1.0}:
        np.testing.assert_array_equal(ys, want)
        assert 0.02 < want.mean() < 0.98
    else:
        np.testing.assert_allclose(ys, want, atol=1e-5)
        assert np.ptp(want) > 0.1


BOTH_LAYOUTS = [(name, "NHWC") for name in CASES if len(CASES[name].sample) > 1]


@pytest.mark.parametrize(("name", "layout"), [*((name, "NCHW") for name in CASES), *BOTH_LAYOUTS])
def test_both_forms(name, layout, tmp_path):
    (net, sample), xs = network(name), inputs(network(name)[1])
    want = expected(name)
    write(tmp_path / "step.onnx", net, sample, batch=BATCH, layout=layout)
    model = oracle.checked(tmp_path / "step.onnx")
    assert_same(oracle.run(model, xs), want)
    session = Session(tmp_path / "step.onnx")
    state, first = session.run(xs[:2])
    state, rest = session.run(xs[2:], state)
    assert_same(np.concatenate([first, rest]), want)
    write(tmp_path / "unrolled.onnx", net, sample, layout=layout, **UNROLLED)
    flat = xs.reshape(-1, *sample)
    assert_same(oracle.read_out(oracle.checked(tmp_path / "unrolled.onnx"), flat), want)
    assert_same(Session(tmp_path / "unrolled.onnx").read_out(flat), want)


@pytest.mark.parametrize(("name", "opset"), [*(("images", n) for n in (11, 13, 17, 18, 21)), ("recurrent", 11)])
def test_opsets(name, opset, tmp_path):
    (net, sample), xs = network(name), inputs(network(name)[1])
    want = expected(name)
    write(tmp_path / "step.onnx", net, sample, batch=BATCH, opset=opset)
    write(tmp_path / "unrolled.onnx", net, sample, opset=opset, **UNROLLED)
    model = oracle.checked(tmp_path / "step.onnx")
    assert model.opset_import[0].version == opset
    assert model.ir_version == {11: 6, 13: 7, 17: 8, 18: 8, 21: 10}[opset]
    used = {node.op_type for node in model.graph.node}
    assert ("GreaterOrEqual" in used) == (opset >= 12) and ({"Less", "Not"} <= used) == (opset < 12)
    assert_same(Session(tmp_path / "step.onnx").run(xs)[1], want)
    assert_same(Session(tmp_path / "unrolled.onnx").read_out(xs.reshape(-1, *sample)), want)
    oracle.checked(tmp_path / "unrolled.onnx")


@pytest.mark.parametrize("readout", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "steps"), [("images", STEPS), ("delays", STEPS), ("delays", 1), ("no neurons", STEPS), ("no neurons", 1)]
)
def test_static_input_and_readout(name, readout, steps, tmp_path):
    (net, sample), x = network(name), inputs(network(name)[1])[0]
    ys = expected(name, steps)
    want = {"mean": ys.mean(0), "sum": ys.sum(0), "none": ys.reshape(-1, *ys.shape[2:])}[readout]
    how = {"batch": BATCH, "form": "unrolled", "steps": steps, "readout": readout}
    report = write(tmp_path / "net.onnx", net, sample, **how)
    y = Session(tmp_path / "net.onnx").read_out(x)
    assert y.shape == want.shape == report.outputs["y"] and report.inputs["x"][0] == BATCH
    np.testing.assert_allclose(y, want, atol=1e-5)
    np.testing.assert_allclose(oracle.read_out(oracle.checked(tmp_path / "net.onnx"), x), want, atol=1e-5)


def test_static_input_is_convolved_once(tmp_path):
    net, sample = network("images")
    how = {"form": "unrolled", "steps": STEPS}
    static = write(tmp_path / "net.onnx", net, sample, **how)
    sequence = write(tmp_path / "net.onnx", net, sample, **how, input="sequence")
    assert static.operators["Conv"] == sequence.operators["Conv"] == 2
    assert static.operators["Split"] == sequence.operators["Split"] - 1
    assert static.inputs["x"] == (1, 2, 11, 7) and sequence.inputs["x"] == (STEPS, 2, 11, 7)


def test_session_repeats_a_static_input(tmp_path):
    net, sample = network("dense")
    write(tmp_path / "net.onnx", net, sample, batch=BATCH)
    x = inputs(sample)[0]
    assert_same(Session(tmp_path / "net.onnx").run(x, steps=STEPS)[1], expected("dense", STEPS))


@pytest.mark.parametrize("name", ["dense", "images", "recurrent"])
def test_half_precision(name, tmp_path):
    """Weights, states, inputs and outputs are float16; almost all spikes are those of float32."""
    (net, sample), xs = network(name), inputs(network(name)[1])
    want = expected(name)
    write(tmp_path / "step.onnx", net, sample, batch=BATCH, dtype="float16")
    write(tmp_path / "unrolled.onnx", net, sample, dtype="float16", **UNROLLED)
    model = oracle.checked(tmp_path / "step.onnx")
    half = 10
    tensors = [info.type.tensor_type.elem_type for info in (*model.graph.input, *model.graph.output)]
    assert {half} == {*tensors, *(c.data_type for c in model.graph.initializer if not c.name.endswith("shape"))}
    state, ys = Session(tmp_path / "step.onnx").run(xs)
    assert ys.dtype == np.float16 and {leaf.dtype for leaf in state.values()} == {np.dtype(np.float16)}
    assert ys.shape == want.shape and (ys != want).mean() < 0.02
    unrolled = Session(tmp_path / "unrolled.onnx").read_out(xs.reshape(-1, *sample))
    np.testing.assert_array_equal(unrolled.reshape(ys.shape), ys)
    assert (oracle.run(model, xs) != want).mean() < 0.02
