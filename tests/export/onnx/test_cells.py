"""Every cell in charge, fire and reset is written from its equations; the others are refused with the reason."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.cells.cases import BATCH, FEATURES, ROWS, STEPS
from tests.cells.variants import SOFT
from tests.export.onnx import oracle

import spikejax as sx
from spikejax.export.onnx import Session, check, write
from spikejax.nn import Sequential

ROWS_WRITTEN = [row for row in ROWS if row.cell is not sx.NoisyLIF]
VARIANTS = [
    *(pytest.param(row, row.variant, id=f"{row.name}-{row.variant}") for row in ROWS_WRITTEN),
    *(pytest.param(row, SOFT, id=f"{row.name}-{SOFT}") for row in ROWS_WRITTEN if row.name in ("LIF", "CubaLIF")),
]
HOW = {"form": "unrolled", "steps": STEPS, "input": "sequence", "readout": "none", "batch": BATCH}


def drive(row) -> np.ndarray:
    mean, amplitude = row.drive
    t, n, f = np.meshgrid(np.arange(STEPS), np.arange(BATCH), np.arange(FEATURES), indexing="ij")
    return np.float32(mean + amplitude * np.sin(1.9 * t + 0.8 * f + 2.3 * n))


@pytest.mark.parametrize(("row", "variant"), VARIANTS)
def test_every_cell(row, variant, tmp_path):
    net, xs = Sequential(row.build(variant)), drive(row)
    want = np.asarray(jax.jit(lambda xs: sx.run(net, xs)[1])(xs))
    assert want.any()
    write(tmp_path / "unrolled.onnx", net, (FEATURES,), **HOW)
    ys = Session(tmp_path / "unrolled.onnx").read_out(xs.reshape(-1, FEATURES)).reshape(want.shape)
    close = np.testing.assert_array_equal if row.output != "analog" else np.testing.assert_allclose
    exact = {} if row.output != "analog" else {"atol": 1e-5, "rtol": 1e-5}
    close(ys, want, **exact)
    if row.name == "GatedLIF":  # counts its steps, where each has its own parameter
        assert "they depend on `t`" in check(net, (FEATURES,)).errors[0].remedy
        return
    write(tmp_path / "step.onnx", net, (FEATURES,), batch=BATCH)
    close(oracle.run(oracle.checked(tmp_path / "step.onnx"), xs), want, **exact)


def test_counter_without_effect_is_no_state(tmp_path):
    net = Sequential(sx.GatedLIF(conduct=jnp.array(0.3), v_threshold=jnp.array(-0.5)))
    write(tmp_path / "net.onnx", net, (3,))
    assert list(Session(tmp_path / "net.onnx").init_state()) == ["layer0.v", "layer0.s"]
    xs = np.linspace(0, 3, 18, dtype=np.float32).reshape(6, 1, 3)
    np.testing.assert_array_equal(Session(tmp_path / "net.onnx").run(xs)[1], sx.run(net, xs)[1])


@pytest.mark.parametrize(
    "cell", [sx.cells.Refractory(sx.LIF(), 2), sx.LIF(surrogate=sx.surrogate.ATan(spiking=False)), sx.LinearLIF()]
)
def test_wrapped_and_smooth(cell, tmp_path):
    net, xs = Sequential(cell), np.linspace(-1, 4, 24, dtype=np.float32).reshape(6, 1, 4)
    write(tmp_path / "net.onnx", net, (4,))
    np.testing.assert_allclose(Session(tmp_path / "net.onnx").run(xs)[1], sx.run(net, xs)[1], atol=1e-5)


class Own(sx.Neuron):
    """Uses what the table of operators holds beyond the cells of the library."""

    def charge(self, state, x):
        v = jnp.clip(x, -2.0, 2.0) ** 3 - jnp.log1p(abs(x)) + jnp.expm1(-abs(state.v)) + jax.lax.rsqrt(1 + x * x) ** -1
        v = v + jnp.where((x < 0.1) & ~(x == state.v) | (x <= -1) ^ (x != 0), 0.3, jnp.sign(x) * 0.1) * jnp.tanh(x)
        return state._replace(v=state.v * 0.5 + v + jnp.minimum(jnp.round(x), jnp.floor(x)) + x.astype(bool))


class Sorted(sx.Neuron):
    """Not elementwise."""

    def charge(self, state, x):
        return state._replace(v=jnp.cumsum(x, axis=-1))


class Turned(sx.Neuron):
    """Not elementwise, of elementwise primitives."""

    def charge(self, state, x):
        return state._replace(v=jnp.broadcast_to(x.reshape(4, 1) + jnp.zeros((4, 4)), (4, 4))[:1])


class Counting(sx.Neuron):
    """Leaves the floating-point numbers."""

    def charge(self, state, x):
        return state._replace(v=state.v + x.astype(jnp.int32))


class Stepping(sx.IF):
    """Not in charge, fire and reset."""

    def step(self, state, x):
        return state, 2 * x


@pytest.mark.parametrize("opset", [11, 13])
def test_own_neuron(opset, tmp_path):
    net, xs = Sequential(Own(v_threshold=0.4)), np.random.default_rng(0).normal(size=(6, 1, 40)).astype(np.float32)
    report = write(tmp_path / "net.onnx", net, (40,), opset=opset)
    ys = oracle.run(oracle.checked(tmp_path / "net.onnx"), xs)
    np.testing.assert_array_equal(ys, sx.run(net, xs)[1])
    odd = {finding.value for finding in report.warnings}
    assert {"Where", "Log", "Exp", "Sign", "Round"} <= odd and "Add" not in odd


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (Sorted(), "`cumsum` has no operator"),
        (Turned(), "`reshape` does not treat each neuron on its own"),
        (Counting(), "`convert_element_type` to int32"),
        (sx.cells.Refractory(sx.cells.NoisyLIF(), 2), "draws random numbers"),
        (Stepping(), "Stepping has a `step` of its own"),
    ],
)
def test_refused(cell, reason, tmp_path):
    net = Sequential(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), cell)
    with pytest.raises(ValueError, match=r"layer1 .*`cell` is") as error:
        write(tmp_path / "net.onnx", net, (4,))
    assert reason in str(error.value)
    assert list(tmp_path.iterdir()) == []
