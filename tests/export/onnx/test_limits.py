"""The report, and every error and warning that it holds."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.export.onnx.networks import conv, linear, network, per_neuron

import spikejax as sx
from spikejax.export.onnx import check, write
from spikejax.nn import AvgPool, Flatten, Sequential

RNGS = nnx.Rngs(0)


def only(net, sample, level="error", **options):
    """The one finding of a level."""
    (finding,) = getattr(check(net, sample, **options), f"{level}s")
    return finding


def test_report():
    net, sample = network("images")
    report = check(net, sample, dtype="float16")
    assert report.errors == () and report.warnings == ()
    assert [layer.name for layer in report.layers][:3] == ["layer0", "layer2", "layer3"]
    assert report.layers[0].parameters == 3 * 3 * 2 * 6 + 6 and report.layers[0].outputs == (6, 7, 6)
    assert 0 < report.layers[0].rounding < 1e-3 and report.layers[2].rounding == 0
    assert report.nodes == sum(report.operators.values()) == sum(layer.nodes for layer in report.layers)
    assert report.inputs["layer2.v_in"] == report.outputs["layer2.v_out"] == (1, 6, 6, 7)
    text = str(report)
    assert text.startswith(f"step form, float16, opset 13: {report.nodes} nodes, {report.bytes} bytes\n")
    assert "layer0   Conv     6x7x6   114" in text and "\ninputs     x 1x2x11x7, layer2.v_in 1x6x6x7" in text
    assert json.loads(json.dumps(report.as_dict()))["nodes"] == report.nodes


def test_report_of_unrolled_form():
    net, sample = network("dense")
    report = check(net, sample, form="unrolled", steps=3)
    assert report.inputs == {"x": (1, 5)} and report.outputs == {"y": (1, 3)}
    assert report.nodes > check(net, sample).nodes
    (split,) = report.warnings
    assert (split.layer, split.value) == ("layer3", "Split")


@pytest.mark.parametrize(
    ("net", "sample", "options", "words"),
    [
        (Sequential(nnx.Conv(1, 2, (3, 3, 3), rngs=RNGS)), (4, 4, 4, 1), {}, ("layer0 (Conv)", "5 axes", "at most 4")),
        (Sequential(linear(4096, 2, RNGS)), (4096,), {}, ("`x`", "(1, 4096)", "4095", "cut the layer")),
        (Sequential(linear(2, 4096, RNGS), sx.IF()), (2,), {}, ("`layer1.v_in`", "4095")),
        (Sequential(AvgPool(50)), (1000, 3000, 1), {}, ("`x`", "12000000 bytes", "262144")),
        (Sequential(AvgPool(50)), (250, 250, 30), {"layout": "NCHW"}, ("`x`", "7500000 bytes", "< 6291456")),
        (
            Sequential(linear(2, 2, RNGS), sx.IF(v_threshold=7e4)),
            (2,),
            {"dtype": "float16"},
            ("layer1 (IF)", "`v_threshold`", "70000", "65504"),
        ),
        (
            Sequential(sx.LIF(v_threshold=per_neuron(1, 1e5, 2))),
            (2,),
            {"dtype": "float16"},
            ("`v_threshold`", "100000", "rescale"),
        ),
        (Sequential(conv(1, 1, RNGS, padding=((-1, 0), (0, 0)))), (5, 5, 1), {}, ("`padding`", ">= 0", "crop")),
        (Sequential(AvgPool(2, padding=((2, 0), (0, 0)))), (5, 5, 1), {}, ("`padding`", "below the window (2, 2)")),
    ],
)
def test_errors(net, sample, options, words, tmp_path):
    errors = check(net, sample, **options).errors
    assert errors and any(all(word in str(error) for word in words) for error in errors), errors
    with pytest.raises(ValueError, match="cannot be exported") as refusal:
        write(tmp_path / "net.onnx", net, sample, **options)
    assert all(str(error) in str(refusal.value) for error in errors)
    assert list(tmp_path.iterdir()) == []


def test_weight_beyond_float16():
    net = Sequential(linear(2, 2, nnx.Rngs(0)))
    net[0].kernel[...] = jnp.full((2, 2), 1e5)
    finding = only(net, (2,), dtype="float16")
    assert (finding.layer, finding.field, finding.value) == ("layer0", "kernel", "100000")
    assert check(net, (2,)).errors == ()


def test_weight_not_finite():
    net = Sequential(linear(2, 2, nnx.Rngs(0)))
    net[0].bias[...] = jnp.array([0.0, jnp.nan])
    assert only(net, (2,)).field == "bias"
    assert check(Sequential(sx.CubaLIF(tau=float("inf"))), (2,)).errors == ()  # no leak


def test_weight_below_float16():
    net = Sequential(linear(2, 2, nnx.Rngs(0), use_bias=False))
    net[0].kernel[...] = jnp.full((2, 2), 1.1e-7)
    finding = only(net, (2,), "warning", dtype="float16")
    assert finding.field == "kernel" and "6.1e-05" in finding.limit
    assert check(net, (2,), dtype="float16").layers[0].rounding > 0.05


def test_any_target_only_warns():
    net = Sequential(linear(4096, 2, nnx.Rngs(0)))
    finding = only(net, (4096,), "warning", target="any")
    assert "4095" in finding.limit


def test_batch_and_merged_inputs():
    net, sample = network("dense")
    assert only(net, sample, "warning", batch=3).field == "batch"
    net = Sequential(AvgPool(1), *(sx.IF() for _ in range(30)))
    assert only(net, (256, 200, 1), "warning").field == "all inputs"


def test_operators_beyond_the_list():
    warnings = check(Sequential(sx.cells.Refractory(sx.IF(), 2)), (3,)).warnings
    assert {(finding.layer, finding.field) for finding in warnings} == {("layer0", "operator")}
    assert {"Max", "Where"} <= {finding.value for finding in warnings}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "loop"}, "`form` must be one of 'step', 'unrolled', got 'loop'"),
        ({"dtype": "bfloat16"}, "`dtype` must be one of 'float32', 'float16'"),
        ({"layout": "NWHC"}, "`layout` must be one of 'NCHW', 'NHWC'"),
        ({"target": "loihi"}, "`target` must be one of 'lynxi', 'any'"),
        ({"steps": 3}, "`steps` has no effect in the step form"),
        ({"readout": "mean"}, "`readout` has no effect in the step form"),
        ({"input": "static"}, "`input` has no effect in the step form"),
        ({"form": "unrolled"}, "`steps` must be an integer >= 1, got None: the unrolled form"),
        ({"form": "unrolled", "steps": 0}, "`steps` must be an integer >= 1, got 0: the unrolled form"),
        ({"form": "unrolled", "steps": 2, "readout": "max"}, "`readout` must be one of 'mean', 'sum', 'none'"),
        ({"form": "unrolled", "steps": 2, "input": "twice"}, "`input` must be one of 'static', 'sequence'"),
        ({"batch": 0}, "`batch` must be an integer >= 1, got 0"),
        ({"opset": 10}, "`opset` must be an integer from 11 to 21, got 10"),
    ],
)
def test_options(options, message):
    with pytest.raises(ValueError) as error:
        check(*network("dense"), **options)
    assert message in str(error.value)


def test_what_is_no_network():
    with pytest.raises(TypeError, match=r"must be a spikejax\.nn\.Sequential"):
        check(sx.LIF(), (3,))
    with pytest.raises(ValueError, match=r"layer 1 \(softmax\) is not a layer that can be exported"):
        check(Sequential(Flatten(), nnx.softmax), (3,))
    with pytest.raises(TypeError, match="no_such"):
        check(*network("dense"), no_such=1)


def test_rounding_is_that_of_numpy():
    net = Sequential(linear(30, 20, nnx.Rngs(0), use_bias=False))
    kernel = np.asarray(net[0].kernel[...], np.float64)
    rounding = np.sqrt(((kernel.astype(np.float16) - kernel) ** 2).sum() / (kernel**2).sum())
    assert check(net, (30,), dtype="float16").layers[0].rounding == pytest.approx(rounding)
