"""The table of layers and targets: every cell is written and computes the same, or is refused with its sentence."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax import cells, convert, encoding, nn
from spikejax.cli.export import export_app
from spikejax.export import netx, onnx
from spikejax.export.nir import from_nir, to_nir
from spikejax.export.registry import EXPORTERS
from spikejax.export.support import SUPPORT, Format, Support

STEPS, FLAT, IMAGE = 8, (6,), (6, 6, 2)
RNGS = nnx.Rngs(0)


def normal(size: float = 1.0) -> Callable[..., jax.Array]:
    """Weights that are whole multiples of 1/16, which float32 and the chip's integers hold exactly."""
    return lambda key, shape, dtype, *_: jnp.asarray(
        np.round(np.random.default_rng(len(shape)).normal(0, size, shape) * 16) / 16, dtype
    )


def dense(n: int, m: int, make: Any = nnx.Linear, **options: Any) -> Any:
    return make(n, m, kernel_init=normal(), use_bias=False, rngs=RNGS, **options)


def conv(n: int, m: int, make: Any = nnx.Conv, **options: Any) -> Any:
    return make(n, m, (3, 3), kernel_init=normal(), use_bias=False, rngs=RNGS, **options)


def normed(layer: Any) -> Any:
    """In eval mode, with statistics that are not those of the start."""
    layer.mean[...], layer.var[...] = jnp.linspace(-0.3, 0.3, layer.num_features), jnp.full(layer.num_features, 0.5)
    layer.eval()
    return layer


class SquareIF(sx.Neuron):
    """A neuron of the user."""

    def charge(self, state, x):
        return state._replace(v=state.v + x**2)


class Case(NamedTuple):
    """A layer in a small network.

    Attributes:
        layer: the layer.
        before: layers before it.
        after: layers after it.
        sample: shape of one sample.
    """

    layer: Any
    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()
    sample: tuple[int, ...] = FLAT

    def network(self) -> nn.Sequential:
        return nn.Sequential(*self.before, self.layer, *self.after)


def neuron(cell: Any) -> Case:
    return Case(cell, (dense(6, 5),))


def weights(layer: Any) -> Case:
    return Case(layer, (), (sx.IF(),))


def pixels(layer: Any, *after: Any) -> Case:
    """On spikes of an image."""
    return Case(layer, (conv(2, 4), sx.IF()), after or (conv(4, 3), sx.IF()), IMAGE)


def features(layer: Any) -> Case:
    """Between neurons."""
    return Case(layer, (dense(6, 6), sx.IF()), (dense(6, 4), sx.IF()))


CASES: dict[type, Callable[[], Case]] = {
    nnx.Linear: lambda: weights(dense(6, 5)),
    nnx.Conv: lambda: Case(conv(2, 4), (), (sx.IF(),), IMAGE),
    nnx.BatchNorm: lambda: Case(normed(nnx.BatchNorm(5, rngs=RNGS)), (dense(6, 5),), (sx.IF(v_threshold=1.03),)),
    nnx.Dropout: lambda: features(nnx.Dropout(0.5, deterministic=True)),
    nnx.LinearGeneral: lambda: weights(nnx.LinearGeneral(6, 5, rngs=RNGS)),
    nnx.Einsum: lambda: weights(nnx.Einsum("ni,io->no", (6, 5), (5,), rngs=RNGS)),
    nnx.ConvTranspose: lambda: Case(nnx.ConvTranspose(2, 3, (2, 2), strides=2, rngs=RNGS), (), (), IMAGE),
    nnx.LoRALinear: lambda: weights(nnx.LoRALinear(6, 5, lora_rank=2, rngs=RNGS)),
    nnx.Embed: lambda: Case(nnx.Embed(9, 4, rngs=RNGS)),
    nnx.MultiHeadAttention: lambda: Case(nnx.MultiHeadAttention(2, 4, decode=False, rngs=RNGS), (), (), (3, 4)),
    nnx.LayerNorm: lambda: weights(nnx.LayerNorm(6, rngs=RNGS)),
    nnx.RMSNorm: lambda: weights(nnx.RMSNorm(6, rngs=RNGS)),
    nnx.GroupNorm: lambda: weights(nnx.GroupNorm(6, num_groups=2, rngs=RNGS)),
    nnx.InstanceNorm: lambda: Case(nnx.InstanceNorm(2, rngs=RNGS), (), (), IMAGE),
    nnx.Sequential: lambda: Case(nnx.Sequential(dense(6, 5))),
    nn.SpikeLinear: lambda: Case(dense(6, 5, nn.SpikeLinear), (dense(6, 6), sx.IF()), (sx.IF(),)),
    nn.SpikeConv: lambda: Case(conv(4, 3, nn.SpikeConv), (conv(2, 4), sx.IF()), (sx.IF(),), IMAGE),
    nn.WeightStandardizedConv: lambda: Case(conv(2, 4, nn.WeightStandardizedConv), (), (sx.IF(),), IMAGE),
    nn.Flatten: lambda: pixels(nn.Flatten(), dense(144, 5), sx.IF()),
    nn.ThresholdDependentBatchNorm: lambda: Case(
        normed(nn.ThresholdDependentBatchNorm(5, rngs=RNGS)), (dense(6, 5),), (sx.IF(v_threshold=1.03),)
    ),
    nn.PrintShape: lambda: features(nn.PrintShape()),
    nn.MaxPool: lambda: pixels(nn.MaxPool(2)),
    nn.AvgPool: lambda: pixels(nn.AvgPool(2)),
    nn.SumPool: lambda: pixels(nn.SumPool((2, 3))),
    nn.Voting: lambda: Case(nn.Voting(3), (dense(6, 6), sx.IF())),
    nn.Scale: lambda: Case(nn.Scale(jnp.array([0.5, 1.0, 2.0, 0.25, 1.5])), (dense(6, 5),), (sx.IF(),)),
    nn.AdaptiveAvgPool: lambda: Case(nn.AdaptiveAvgPool(4), (), (), IMAGE),
    nn.Sequential: lambda: Case(nn.Sequential(dense(6, 5), sx.IF()), (), (dense(5, 4), sx.IF())),
    nn.Recurrent: lambda: Case(nn.Recurrent(sx.IF(), dense(5, 5)), (dense(6, 5),)),
    nn.CellModule: lambda: neuron(nn.CellModule(sx.IF(v_threshold=jnp.ones(())))),
    nn.Delay: lambda: features(nn.Delay([0, 1, 2, 3, 0, 1])),
    nn.TimeInvariantDropout: lambda: features(nn.TimeInvariantDropout(deterministic=True)),
    nn.SynapseFilter: lambda: neuron(nn.SynapseFilter()),
    nn.Graph: lambda: Case(nn.Graph([sx.IF()], [[0]])),
    nn.Parallel: lambda: Case(nn.Parallel(sx.IF(), sx.LIF())),
    nn.Residual: lambda: Case(nn.Residual(sx.IF())),
    nn.SpikingSelfAttention: lambda: Case(nn.SpikingSelfAttention(4, 2, rngs=RNGS), (), (), (3, 4)),
    nn.QKAttention: lambda: Case(nn.QKAttention(4, 2, rngs=RNGS), (), (), (3, 4)),
    nn.SpikingLSTM: lambda: Case(nn.SpikingLSTM(6, 4, rngs=RNGS)),
    nn.SpikingGRU: lambda: Case(nn.SpikingGRU(6, 4, rngs=RNGS)),
    nn.SpikingVanillaRNN: lambda: Case(nn.SpikingVanillaRNN(6, 4, rngs=RNGS)),
    nn.ElementwiseRecurrent: lambda: Case(nn.ElementwiseRecurrent(sx.IF(), jnp.add)),
    nn.BatchNormThroughTime: lambda: Case(nn.BatchNormThroughTime(6, 4, rngs=RNGS)),
    nn.TemporalEffectiveBatchNorm: lambda: Case(nn.TemporalEffectiveBatchNorm(6, 4, rngs=RNGS)),
    nn.NeuNorm: lambda: Case(nn.NeuNorm(IMAGE), (), (), IMAGE),
    nn.TemporalAttention: lambda: Case(nn.TemporalAttention(4, rngs=RNGS)),
    nn.MultiDimensionalAttention: lambda: Case(nn.MultiDimensionalAttention(4, 2, rngs=RNGS), (), (), IMAGE),
    nn.Reversed: lambda: Case(nn.Reversed(nn.Sequential(sx.IF()))),
    nn.LearnedDelay: lambda: Case(nn.LearnedDelay(6, 3, rngs=RNGS)),
    nn.DelayedLinear: lambda: Case(nn.DelayedLinear(6, 4, 3, rngs=RNGS)),
    nn.DropConnectLinear: lambda: Case(nn.DropConnectLinear(6, 4, rngs=RNGS)),
    nn.WinnerTakeAll: lambda: Case(nn.WinnerTakeAll(sx.IF())),
    cells.ChargeFireReset: lambda: neuron(SquareIF()),
    cells.IF: lambda: neuron(sx.IF()),
    cells.LIF: lambda: neuron(sx.LIF(tau=2.0, v_threshold=0.53)),
    cells.ParametricLIF: lambda: neuron(sx.ParametricLIF(init_tau=2.0, v_threshold=0.53)),
    cells.CubaLIF: lambda: neuron(sx.CubaLIF(tau_syn=2.0, tau=4.0, v_threshold=1.03)),
    cells.LeakyIntegrator: lambda: neuron(sx.LeakyIntegrator()),
    cells.LinearLIF: lambda: neuron(sx.LinearLIF(v_threshold=0.53)),
    cells.ALIF: lambda: neuron(cells.ALIF(v_threshold=0.1)),
    cells.AdEx: lambda: neuron(sx.AdEx()),
    cells.Izhikevich: lambda: neuron(sx.Izhikevich()),
    cells.Refractory: lambda: neuron(cells.Refractory(sx.IF(), 2)),
    cells.Stochastic: lambda: neuron(cells.Stochastic(sx.IF())),
    cells.PSN: lambda: neuron(cells.PSN(T=STEPS, key=jax.random.key(0))),
    cells.MaskedPSN: lambda: neuron(cells.MaskedPSN(T=STEPS, k=2, key=jax.random.key(0))),
    cells.SlidingPSN: lambda: neuron(cells.SlidingPSN(k=2)),
    encoding.Poisson: lambda: Case(encoding.Poisson(), (), (dense(6, 5), sx.IF())),
    encoding.DeltaModulation: lambda: Case(encoding.DeltaModulation(0.1)),
    encoding.GaussianTuning: lambda: Case(encoding.GaussianTuning(STEPS, 4)),
    encoding.Latency: lambda: Case(encoding.Latency(STEPS)),
    encoding.Periodic: lambda: Case(encoding.Periodic(jnp.ones((2, 6)))),
    encoding.Population: lambda: Case(encoding.Population(4)),
    encoding.WeightedPhase: lambda: Case(encoding.WeightedPhase(STEPS)),
}
CASES = {kind: CASES.get(kind, lambda kind=kind: neuron(kind())) for kind in SUPPORT}


def inputs(sample: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 2, (STEPS, 1, *sample)).astype(np.float32)


def expected(net: nn.Sequential, xs: np.ndarray) -> np.ndarray:
    ys = np.asarray(jax.jit(lambda xs: sx.run(net, xs)[1])(xs))
    assert len(np.unique(ys)) > 1, "nothing fires, or all"
    return ys


def by_onnx(net: nn.Sequential, sample: tuple[int, ...], xs: np.ndarray, path: Path) -> np.ndarray:
    onnx.write(path, net, sample, form="unrolled", steps=STEPS, input="sequence", readout="none")
    ys = onnx.Session(path).read_out(xs[:, 0])
    return ys.reshape(STEPS, 1, *ys.shape[1:])


def by_nir(net: nn.Sequential, sample: tuple[int, ...], xs: np.ndarray, path: Path) -> np.ndarray:
    return np.asarray(sx.run(from_nir(to_nir(net, sample)), xs)[1])


def by_netx(net: nn.Sequential, sample: tuple[int, ...], xs: np.ndarray, path: Path) -> np.ndarray:
    """The chip's spikes, and on the host the mean of those that vote."""
    netx.write(path, net, sample, scale=64)
    ys = netx.simulate_fixed_point(path, xs)
    last = net[len(net) - 1]
    return np.asarray(jax.vmap(last)(ys) if isinstance(last, nn.Voting) else ys)


TARGETS = {"netx": by_netx, "onnx": by_onnx, "nir": by_nir}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", SUPPORT, ids=lambda kind: kind.__name__)
def test_layer_is_written_or_refused(kind, target, tmp_path):
    case, sentence = CASES[kind](), getattr(SUPPORT[kind], target)
    net, xs, path = case.network(), inputs(case.sample), tmp_path / "net"
    if sentence is not None:
        message = f"layer {len(case.before)} ({type(case.layer).__name__}) {sentence}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            TARGETS[target](net, case.sample, xs, path)
        assert list(tmp_path.iterdir()) == []
        return
    if kind is encoding.Poisson:  # stays on the host
        net = nn.Sequential(*case.after)
    ys = expected(net, xs)
    actual = TARGETS[target](case.network(), case.sample, xs, path)
    if target == "netx":  # weights of eight bits: a membrane may come out on the other side of the threshold
        assert actual.shape == ys.shape and np.mean(actual != ys) <= 0.04
    else:
        np.testing.assert_allclose(actual, ys, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", SUPPORT, ids=lambda kind: kind.__name__)
def test_layer_is_converted_or_refused(kind):
    case, sentence = CASES[kind](), SUPPORT[kind].convert
    dtype = np.int32 if kind is nnx.Embed else np.float32
    samples = np.random.default_rng(5).uniform(0, 1, (16, *case.sample)).astype(dtype)
    if sentence is not None:
        ann = case.layer if not callable(case.layer) else lambda x: case.layer(x)
        with pytest.raises((TypeError, ValueError), match=re.escape(sentence)):
            convert.convert(ann, samples)
        return
    layers = (*case.before, case.layer, *case.after)
    if kind in (nn.SpikeLinear, nn.SpikeConv):  # these take spikes, no rates
        samples = np.asarray(sx.run(nn.Sequential(*case.before), samples, steps=1)[1][0])
        layers = (case.layer,)

    def ann(x):
        for layer in layers:
            x = layer(x) if callable(layer) else nnx.relu(x)
        return x

    ys = np.asarray(ann(samples))
    rates = sx.run(convert.convert(ann, samples), samples, steps=100)[1].mean(0)
    np.testing.assert_allclose(rates, ys, atol=0.05 * abs(ys).max())


def is_layer(public: Any) -> bool:
    """True for classes of layers and cells, and false for records, states, abstract bases and functions."""
    if not isinstance(public, type) or public in (nn.Container, cells.Neuron):
        return False
    return hasattr(public, "step") or any("__call__" in vars(cls) for cls in public.__mro__)


def test_every_exporter_has_a_column_a_command_and_a_page():
    columns = {field.name for field in fields(Support)} - {"convert"}
    commands = {command.name for command in export_app.registered_commands}
    pages = {path.stem for path in (Path(__file__).parents[2] / "docs" / "export").iterdir()} - {"layers"}
    assert set(EXPORTERS) == set(TARGETS) == set(get_args(Format)) == columns == commands == pages


def test_every_public_layer_has_a_row():
    modules = (nn, cells, encoding)
    public = {getattr(module, name) for module in modules for name in module.__all__}
    assert {kind.__name__ for kind in public if is_layer(kind) and kind not in SUPPORT} == set()
    assert all(kind.__module__.startswith(("flax.", "spikejax.")) for kind in SUPPORT)


def table() -> list[str]:
    """The table as the page has it: classes of the same row together, with the sentences of the exporters."""
    same: dict[Any, list[str]] = {}
    for kind, support in SUPPORT.items():
        package = "nnx" if kind.__module__.startswith("flax.") else kind.__module__.split(".")[1]
        same.setdefault(support, []).append(f"`{package}.{kind.__name__}`")
    lines = ["| layers | NetX | ONNX | NIR | conversion | otherwise |", "| --- | --- | --- | --- | --- | --- |"]
    for support, names in same.items():
        columns = (getattr(support, target) for target in (*TARGETS, "convert"))
        marks = ["yes" if sentence is None else "no" for sentence in columns]
        sentences = dict.fromkeys(getattr(support, target) for target in TARGETS)
        lines.append(
            f"| {' | '.join((', '.join(names), *marks, '; '.join(filter(None, sentences))))} |".replace("  |", " |")
        )
    return lines


def test_the_page_has_the_table():
    page = (Path(__file__).parents[2] / "docs" / "export" / "layers.md").read_text("utf-8")
    assert [line for line in page.splitlines() if line.startswith("|")] == table()
