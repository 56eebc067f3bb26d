"""Random small networks: what they compute survives the export."""

import jax
import numpy as np
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.export.onnx.networks import inputs

import spikejax as sx
from spikejax.export.chain import read_chain
from spikejax.export.onnx import Session, write
from spikejax.nn import AvgPool, Flatten, MaxPool, Recurrent, Sequential

SPACE = st.integers(1, 3)
CELLS = st.builds(
    lambda cell, v_reset, v_threshold: cell(v_reset, v_threshold),
    st.sampled_from(
        [
            lambda r, v: sx.IF(v_reset=r, v_threshold=v),
            lambda r, v: sx.LIF(tau=3.0, v_reset=r, v_threshold=v),
            lambda r, v: sx.LIF(tau=3.0, v_reset=r, v_threshold=v, decay_input=False),
            lambda r, v: sx.ParametricLIF(init_tau=2.5, v_reset=r, v_threshold=v),
            lambda r, v: sx.CubaLIF(v_reset=r, v_threshold=v, decay_input=True),
        ]
    ),
    st.sampled_from([None, 0.0, -0.3]),
    st.sampled_from([0.2, 0.5]),
)


@st.composite
def networks(draw):
    """A convolution, neurons, a pool, a dense layer, and neurons or a loop of them; and the shape of a sample."""
    rngs = nnx.Rngs(draw(st.integers(0, 99)))
    height, width, groups = draw(st.integers(5, 8)), draw(st.integers(5, 8)), draw(st.sampled_from([1, 2]))
    conv = nnx.Conv(
        2,
        4,
        (draw(SPACE), draw(SPACE)),
        strides=(draw(SPACE), draw(SPACE)),
        padding=draw(st.sampled_from(["SAME", "VALID", ((1, 0), (2, 1))])),
        kernel_dilation=(1, draw(st.integers(1, 2))),
        feature_group_count=groups,
        use_bias=draw(st.booleans()),
        rngs=rngs,
    )
    pool = draw(st.sampled_from([MaxPool(1), MaxPool(2, 1, "SAME"), AvgPool((1, 2), 1, "SAME")]))
    front = Sequential(conv, draw(CELLS), pool, Flatten())
    (features,) = read_chain(front, (height, width, 2), "onnx")[-1].outputs
    last = draw(CELLS)
    if draw(st.booleans()):
        last = Recurrent(last, nnx.Linear(3, 3, rngs=rngs))
    return Sequential(front, nnx.Linear(features, 3, rngs=rngs), last), (height, width, 2)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(case=networks(), layout=st.sampled_from(["NCHW", "NHWC"]))
def test_random_networks(tmp_path_factory, case, layout):
    (net, sample), folder = case, tmp_path_factory.mktemp("onnx")
    xs = inputs(sample, steps=4, batch=1)
    want = jax.jit(lambda xs: sx.run(net, xs)[1])(xs)
    write(folder / "step.onnx", net, sample, layout=layout)
    np.testing.assert_array_equal(Session(folder / "step.onnx").run(xs)[1], want)
    how = {"form": "unrolled", "steps": 4, "input": "sequence", "readout": "none", "layout": layout}
    write(folder / "unrolled.onnx", net, sample, **how)
    np.testing.assert_array_equal(Session(folder / "unrolled.onnx").read_out(xs[:, 0]), want[:, 0])
