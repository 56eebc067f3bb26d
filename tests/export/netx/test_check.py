"""What a chip cannot hold is refused before anything is written, what a file hides is refused before it is read."""

from typing import Any

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.export.netx.networks import build, conv, dense

import spikejax as sx
from spikejax.export import netx

FC = (8,)
MAP = (6, 6, 1)


def linear(fan_in=8, out=4, kernel=None, bias=None):
    layer = nnx.Linear(fan_in, out, use_bias=bias is not None, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.full((fan_in, out), 0.1).at[0].set(-0.1) if kernel is None else jnp.asarray(kernel)
    if bias is not None:
        layer.bias[...] = jnp.asarray(bias)
    return layer


REFUSED = {
    "class": (lambda: sx.IF(), FC, TypeError, r"`net` must be a spikejax.nn.Sequential, got IF"),
    "soft-reset": (
        [linear(), sx.LIF(v_reset=None)],
        FC,
        ValueError,
        r"layer 1 \(LIF\) has the soft reset, v_reset=None",
    ),
    "neuron": (
        [linear(), sx.ALIF()],
        FC,
        ValueError,
        r"layer 1 \(ALIF\) has no counterpart in NetX: use IF, LIF",
    ),
    "wrapper": ([linear(), sx.Refractory(sx.LIF(), 2)], FC, ValueError, r"layer 1 \(Refractory\) has no counterpart"),
    "smooth": (
        [linear(), sx.IF(surrogate=sx.surrogate.Sigmoid(spiking=False))],
        FC,
        ValueError,
        r"layer 1 \(IF\) puts out analog: the chip has spikes",
    ),
    "rest": (
        [linear(), sx.CubaLIF(v_rest=0.2)],
        FC,
        ValueError,
        r"layer 1 \(CubaLIF\) rests at v_rest = 0.2 and is reset",
    ),
    "no-neuron": ([linear()], FC, ValueError, r"layer 0 \(Linear\) has no neuron after it: end with one"),
    "two-synapses": (
        [linear(8, 8), linear(), sx.IF()],
        FC,
        ValueError,
        r"layer 1 \(Linear\) follows layer 0 \(Linear\)",
    ),
    "no-synapse": ([sx.IF()], FC, ValueError, r"layer 0 \(IF\) has no synapse: put nnx.Linear or nnx.Conv before it"),
    "function": (
        [jnp.tanh, linear(), sx.IF()],
        FC,
        ValueError,
        r"layer 0 \(tanh\) is not a layer that can be exported",
    ),
    "attention": (
        [nnx.LayerNorm(8, rngs=nnx.Rngs(0)), linear(), sx.IF()],
        FC,
        ValueError,
        r"layer 0 \(LayerNorm\) normalises by statistics",
    ),
    "zeros": (
        [linear(kernel=np.zeros((8, 4))), sx.IF()],
        FC,
        ValueError,
        r"layer 0 \(dense\) has only weights of 0, at which",
    ),
    "nan": (
        [linear(kernel=np.full((8, 4), np.nan)), sx.IF()],
        FC,
        ValueError,
        r"layer 0 \(Linear\) has weights or biases that",
    ),
    "delay": (
        [sx.nn.Delay(63), linear(), sx.IF()],
        FC,
        ValueError,
        r"layer 1 \(dense\) has delays up to 63 steps, the chip 0 to 62: shorten",
    ),
    "delay-conv": (
        [sx.nn.Delay(2), *conv(1, 2, (3, 3))],
        MAP,
        ValueError,
        r"before layer 1 \(QuantizedConv\): NetX ignores delays",
    ),
    "delay-after-conv": (
        [*(layers := conv(1, 2, (3, 3)))[:1], sx.nn.Delay(2), layers[1]],
        MAP,
        ValueError,
        r"layer 1 \(Delay\) delays a convolution, which NetX ignores",
    ),
    "delay-recurrent": (
        [linear(8, 4), sx.nn.Delay(2), sx.nn.Recurrent(sx.IF(), linear(4, 4))],
        FC,
        ValueError,
        r"layer 2 \(Recurrent\) has delays, which NetX would apply to its feedback as well",
    ),
    "feedback": (
        [linear(), sx.nn.Recurrent(sx.IF(), jnp.tanh)],
        FC,
        ValueError,
        r"layer 1 \(Recurrent\) can be exported with a dense feedback",
    ),
    "bias-current": (
        [linear(bias=np.ones(4)), sx.CubaLIF()],
        FC,
        ValueError,
        r"layer 0 \(dense\) has a bias and a current that decays: .* use bias=False there",
    ),
    "neuron-map": (
        [*conv(1, 2, (3, 3))[:1], sx.LIF(tau=jnp.linspace(2.0, 4.0, 72).reshape(6, 6, 2))],
        MAP,
        ValueError,
        r"layer 1 \(LIF\) has a parameter of shape \(6, 6, 2\), one a neuron: a convolution on the chip has",
    ),
    "one-axis": (
        [*conv(1, 2, (3,))],
        (8, 1),
        ValueError,
        r"layer 0 \(conv\) has inputs \(8, 1\): NetX has convolutions over",
    ),
    "overlapping-pool": (
        [sx.nn.SumPool(3, strides=2), *conv(1, 2, (3, 3))],
        (7, 7, 1),
        ValueError,
        r"layer 0 \(SumPool\) with window \(3, 3\) and strides \(2, 2\) .* use windows that tile",
    ),
    "left-over-rows": (
        [sx.nn.AvgPool(2), *conv(1, 2, (3, 3))],
        (5, 5, 1),
        ValueError,
        r"layer 0 \(SumPool\) with window",
    ),
    "max-of-sums": (
        [sx.nn.SumPool(2), sx.nn.MaxPool(2), *conv(1, 2, (1, 1))],
        (8, 8, 1),
        ValueError,
        r"follows another pool",
    ),
    "last-pool": (
        [*conv(1, 2, (3, 3)), sx.nn.SumPool(2)],
        MAP,
        ValueError,
        r"layer 2 \(SumPool\) follows the last neurons",
    ),
    "last-delay": (
        [linear(), sx.IF(), sx.nn.Delay(2)],
        FC,
        ValueError,
        r"a delay follows the last neurons, where NetX",
    ),
    "quantised": ([linear(), netx.LoihiLIF()], FC, ValueError, r"layer 0 \(Linear\) is not quantised: use"),
    "second-encoder": (
        [linear(), sx.IF(), sx.encoding.Poisson()],
        FC,
        ValueError,
        r"layer 2 \(Poisson\) must come first",
    ),
    "late-vote": ([linear(), sx.nn.Voting(2), sx.IF()], FC, ValueError, r"layer 1 \(Voting\) stands between layer 0"),
    "shape": ([linear(), sx.IF()], (9,), ValueError, r"layer 0 \(Linear\) takes 8 features, and gets \(9,\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_place_on_the_chip_is_refused_by_name(case, tmp_path):
    layers, shape, kind, message = REFUSED[case]
    net = layers() if callable(layers) else sx.nn.Sequential(*layers)
    path = tmp_path / "a.net"
    path.write_bytes(b"before")
    with pytest.raises(kind, match=message):
        netx.write(path, net, shape)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.net"]


def quantised(layers, **changes):
    """A quantised network whose scale is not chosen to fit."""
    return netx.quantized(sx.nn.Sequential(*layers), FC, **changes)


@pytest.mark.parametrize(
    ("layers", "scale", "message"),
    [
        (
            [linear(), sx.IF(v_threshold=3000.0)],
            64,
            r"thresholds from 191999 to 191999, the chip 1 to 131071: lower v_thresh",
        ),
        ([linear(bias=np.full(4, 70.0)), sx.IF()], 64, r"biases from 4480 to 4480, the chip -4096 to 4095"),
        ([linear(kernel=np.full((8, 4), 1e-3)), sx.IF()], 64, r"has only weights of 0"),
    ],
)
def test_numbers_out_of_range_at_a_fixed_scale(layers, scale, message, tmp_path):
    net = quantised(layers, scale=scale)
    report = netx.check(net, FC)
    assert len(report.errors) == 1
    with pytest.raises(ValueError, match=message):
        netx.write(tmp_path / "a.net", net, FC)
    assert not list(tmp_path.iterdir())


def test_a_threshold_below_the_smallest():
    with pytest.raises(
        ValueError, match=r"layer 1 \(IF\) has thresholds down to 0.01, below the chip's smallest at 64"
    ):
        quantised([linear(), sx.IF(v_threshold=0.01)], scale=64)


def test_what_is_quantised_is_not_quantised_again():
    with pytest.raises(ValueError, match=r"layer 1 \(LoihiLIF\) is quantised already"):
        netx.quantized(quantised([linear(), sx.IF()]), FC)


def test_every_fault_is_told_at_once(tmp_path):
    net = quantised([linear(8, 8), sx.IF(v_threshold=3e3), linear(8, 4), sx.IF(v_threshold=3e3)], scale=64)
    with pytest.raises(ValueError, match=r"layer 0 .*; layer 2 "):
        netx.write(tmp_path / "a.net", net, FC)


def test_warnings_and_notes():
    kernel = np.full((8, 4), 0.1)
    kernel[0, 0] = 5.0
    net = quantised(
        [linear(8, 8), sx.LIF(tau=1e5), sx.nn.Delay(1), linear(kernel=kernel), sx.CubaLIF(tau=1.0)], scale=64
    )
    text = "\n".join(netx.check(net, FC).warnings)
    assert "layer 1: a time constant beyond 8192 steps has no leak left" in text
    assert "layer 4: a membrane lost in one step keeps 1/4096" in text
    assert "layer 3 (dense) has 3.1% of its weights clipped: choose a smaller scale" in text
    many = [linear(8, 64, kernel=np.ones((8, 64))), sx.CubaLIF(tau_syn=400.0, v_threshold=jnp.linspace(1, 9, 64))]
    text = "\n".join(netx.check(quantised(many), FC).warnings)
    assert "layer 0 (dense) can reach 6.3 times the current that wraps around at 2**23" in text
    assert "layer 0 (dense) has 1 pairs of decays and 64 thresholds" in text
    net, shape = build("bias")
    assert "load with reset_interval=R >= T and reset_offset=1" in "\n".join(netx.check(net, shape).notes)


def test_the_report_is_a_table_and_data():
    net, shape = build("pools")
    report = netx.check(net, shape)
    lines = str(report).splitlines()
    assert lines[0].split()[:6] == ["layer", "kind", "shape", "weights", "bits", "clipped"]
    assert len(lines) >= 1 + len(report.rows) and "12x8x1 -> 12x8x3" in lines[1]
    row = report.as_dict()["rows"][0]
    assert row["weights"] == 27 and row["bits"] == 8 and row["clipped"] == 0 and 35 < row["snr"] < 60


def test_the_best_scale_uses_all_bits_and_a_given_one_is_kept():
    layers = [linear(kernel=np.linspace(-0.4, 0.3, 32).reshape(8, 4)), sx.IF()]
    assert abs(quantised(layers)[0].weights).max() in (254, 256)
    assert quantised(layers, scale=64)[0].scale == 64
    assert abs(quantised(layers, scale=64)[0].weights).max() == 26
    with pytest.raises(ValueError, match=r"`scale` must be > 0 or 'auto', got 0"):
        quantised(layers, scale=0)
    with pytest.raises(
        ValueError, match=r"`scale` and `input_scale` must not be given for a network that is quantised"
    ):
        netx.check(quantised(layers), FC, scale=64)


# What lava-dl does to these files is in the name: each is refused when it is read.
TRAPS = {
    "hangs-at-a-float-threshold": (
        "neuron/vThMant",
        np.float32(60),
        r"`vThMant` of dtype float32, at which Lava hangs",
    ),
    "hangs-at-a-float-decay": ("neuron/iDecay", np.float64(4096), r"`iDecay` of dtype float64, at which Lava hangs"),
    "cuts-fractions-off": (
        "weight",
        np.full((10, 20), 1.5, np.float32),
        r"`weight` with fractions, which NetX cuts off",
    ),
    "never-fires": ("weight", np.full((10, 20), 300), r"weights from 0 to 300, the chip even ones from -256 to 254"),
    "clips": ("weight", np.tile([400, -400], (10, 10)), r"weights from -400 to 400"),
    "fails-to-load": ("weight", np.zeros((10, 20), int), r"only weights of 0, at which NetX fails to load"),
    "has-nine-bits": ("weight", np.tile([201, -5], (10, 10)), r"odd weights from -5 to 201: beyond 127"),
    "crashes": ("neuron/messageBits", np.int64(8), r"neuron/messageBits, at which NetX fails"),
    "ignores-wide-thresholds": ("neuron/vThMant", np.int64(200000), r"thresholds from 200000 to 200000"),
    "ignores-wide-biases": ("bias", np.full(10, 5000), r"biases from 5000 to 5000"),
    "clips-delays": ("delay", np.int64(70), r"delays up to 70 steps"),
    "does-not-know-pools": ("type", np.array(["pool"], "S10"), r"layer 1 is of type 'pool', which NetX cannot run"),
    "loads-another-neuron": ("neuron/type", "ADRF_PHASE", r"layer 1 has neurons of type ADRF_PHASE: only CUBA"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_files_that_lava_misreads_are_refused(trap, tmp_path):
    net, shape = build("dense")
    path = tmp_path / "a.net"
    netx.write(path, net, shape)
    key, value, message = TRAPS[trap]
    with h5py.File(path, "a") as file:
        layer = file["layer/1"]
        if key in layer:
            del layer[key]
        layer[key] = value
    with pytest.raises(ValueError, match=message):
        netx.read(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        netx.read(tmp_path / "none.net")
    with h5py.File(tmp_path / "a.net", "w") as file:
        file["weights"] = 1
    with pytest.raises(ValueError, match=r"is no NetX file: it has no group `layer`"):
        netx.read(tmp_path / "a.net")
    with h5py.File(tmp_path / "b.net", "w") as file:
        file["layer/1/type"] = np.array(["dense"], "S10")
    with pytest.raises(ValueError, match=r"there is no layer 0"):
        netx.read(tmp_path / "b.net")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    net, shape = build("dense")
    path = tmp_path / "a.net"
    netx.write(path, net, shape)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("spikejax.export.netx.file.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        netx.write(path, net, shape)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["a.net"]


def test_the_file_to_the_byte(tmp_path):
    """Names, dtypes, shapes and axes as NetX reads them."""
    net, shape = build("conv-norm-flatten-dense")
    netx.write(tmp_path / "a.net", net, shape)
    with h5py.File(tmp_path / "a.net") as file:
        layers: Any = file["layer"]
        assert [layers[str(i)]["type"][0] for i in range(len(layers))] == [b"input", b"conv", b"flatten", b"dense"]
        assert layers["1/type"].dtype == "S10" and layers["1/type"].shape == (1,)
        assert layers["0/shape"][()].tolist() == [1, 6, 8] and layers["1/shape"][()].tolist() == [4, 6, 8]
        assert layers["2/shape"][()].tolist() == [192, 1, 1] and layers["3/shape"][()].tolist() == [10]
        kernel = np.asarray(net[0].weights)
        np.testing.assert_array_equal(layers["1/weight"][()], kernel.transpose(3, 2, 0, 1))
        np.testing.assert_array_equal(
            layers["3/weight"][()],
            np.asarray(net[3].weights).reshape(6, 8, 4, 10).transpose(3, 2, 0, 1).reshape(10, 192),
        )
        np.testing.assert_array_equal(layers["1/bias"][()], np.asarray(net[0].biases))
        assert layers["1/neuron/type"][()] == b"CUBA" and layers["1/neuron/type"].shape == ()
        for name in ("1/stride", "1/padding", "1/dilation", "1/groups", "1/neuron/iDecay", "1/neuron/vThMant"):
            assert layers[name].dtype == np.int64
        assert {layers[name].dtype for name in ("1/weight", "3/weight", "1/bias")} == {np.dtype(np.int32)}
        assert file.attrs["producer"] == "spikejax"


def test_odd_weights_of_one_sign_are_kept(tmp_path):
    net, shape = build("dense")
    path = tmp_path / "a.net"
    netx.write(path, net, shape)
    weights = np.arange(200).reshape(10, 20) % 256
    with h5py.File(path, "a") as file:
        file["layer/1/weight"][...] = weights
    np.testing.assert_array_equal(netx.read(path)[0].weights, weights.T)


def test_dense_is_a_neuron_of_its_own_class():
    cell = netx.LoihiLIF(current_decay=0.5, voltage_decay=0.25, v_threshold=2.0)
    assert (cell.i_decay, cell.v_decay, cell.threshold) == (2048, 1024, 128)
    for fields, message in (
        ({"current_decay": 1.5}, r"`current_decay` must be within \[0, 1\], got 1.5"),
        ({"scale": 0.0}, r"`scale` must be > 0"),
        ({"v_reset": None}, r"`v_reset` must be 0, got None: Loihi's membranes"),
    ):
        with pytest.raises(ValueError, match=message):
            netx.LoihiLIF(**fields)
    with pytest.raises(ValueError, match=r"`dtype` must be float32, got bfloat16"):
        cell.init_state((2, 3), jnp.bfloat16)
    assert dense(2, 3)[1] == sx.IF()
