"""The table of layers and targets: what each exporter, and conversion, takes, and the sentence of each refusal."""

from dataclasses import dataclass
from types import FunctionType
from typing import Literal

from flax import nnx

from spikejax import cells, convert, encoding, nn
from spikejax.typing import Cell

Format = Literal["netx", "onnx", "nir"]


@dataclass(frozen=True, kw_only=True)
class Support:
    """The support of one kind of layer: for each target None where it is written, else the sentence that refuses it.

    The sentences of the exporters stand behind "layer 3 (Linear)", with the layer's name and class.

    Attributes:
        netx: in a NetX file, for Loihi.
        onnx: in an ONNX graph.
        nir: in a graph of NIR.
        convert: by `spikejax.convert`, which traces functions and takes any that are linear or rectify.
    """

    netx: str | None = None
    onnx: str | None = None
    nir: str | None = None
    convert: str | None = None


STATEFUL = "carries a state from step to step, or is a network that does"
NONLINEAR = "is neither linear nor a rectifier, and has no form in spikes"

NOT_IN_NETX = (
    "has no counterpart in NetX: use IF, LIF, ParametricLIF, CubaLIF, and these in nn.Recurrent with a dense feedback"
)
NOT_IN_NIR = "has no NIR node: use CubaLIF, IF, LIF, LeakyIntegrator, LinearLIF, ParametricLIF"
NOT_IN_EQUATIONS = (
    "is not in charge, fire and reset, as IF, LIF, ParametricLIF, CubaLIF and LeakyIntegrator are: use such a neuron"
)
DRAWS = "draws random numbers, as chips do not: export the neuron without its noise"
ENCODES = "is an encoder: encode on the host, and export the layers after it, as in Sequential(*layers[1:])"
BRANCHES = "holds layers that are no chain: put those to export into one Sequential, one after another"
FEEDS_BACK = (
    "feeds a network or function back, in a loop that files do not hold: use nn.Recurrent with a dense feedback"
)
OTHER_WEIGHTS = (
    "is none of the layers of weights that files hold: use nnx.Linear or nnx.Conv with the weights that it comes to"
)
NORMALISES = "normalises by statistics of its input or of each step: use nnx.BatchNorm after a Linear or Conv"
UNKNOWN = (
    "is not a layer that can be exported: use nnx.Linear, nnx.Conv, nnx.BatchNorm after one of these, the layers of "
    "spikejax.nn, and cells"
)


def _refused(sentence: str, convert: str | None = STATEFUL) -> Support:
    """A layer that no exporter writes."""
    return Support(netx=sentence, onnx=sentence, nir=sentence, convert=convert)


TRACED_NEURON = Support(netx=NOT_IN_NETX, nir=NOT_IN_NIR, convert=STATEFUL)
"""Neurons in charge, fire and reset, your own included, whose equations are traced."""

OTHER_CELL = Support(netx=NOT_IN_NETX, onnx=NOT_IN_EQUATIONS, nir=NOT_IN_NIR, convert=STATEFUL)
NOISY_NEURON = Support(netx=NOT_IN_NETX, onnx=DRAWS, nir=NOT_IN_NIR, convert=STATEFUL)

SUPPORT: dict[type, Support] = {
    # Layers of Flax
    **dict.fromkeys((nnx.Linear, nnx.Conv, nnx.BatchNorm, nnx.Dropout), Support()),
    **dict.fromkeys((nnx.LinearGeneral, nnx.Einsum, nnx.ConvTranspose, nnx.LoRALinear), _refused(OTHER_WEIGHTS, None)),
    **dict.fromkeys((nnx.Embed, nnx.MultiHeadAttention), _refused(UNKNOWN, NONLINEAR)),
    **dict.fromkeys((nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.InstanceNorm), _refused(NORMALISES, NONLINEAR)),
    nnx.Sequential: _refused("is Flax's chain, which has no state: use spikejax.nn.Sequential", None),
    # Layers of spikejax without a state
    **dict.fromkeys((nn.SpikeLinear, nn.SpikeConv, nn.WeightStandardizedConv, nn.Flatten), Support()),
    **dict.fromkeys((nn.ThresholdDependentBatchNorm, nn.PrintShape, nn.SumPool, nn.AvgPool, nn.Voting), Support()),
    nn.MaxPool: Support(nir="has no NIR node: use spikejax.nn.AvgPool or SumPool", convert=NONLINEAR),
    nn.Scale: Support(netx="has no counterpart in NetX: multiply the weights next to it by its factors"),
    nn.AdaptiveAvgPool: _refused("has windows of several sizes: use spikejax.nn.AvgPool", None),
    # Layers with a state
    **dict.fromkeys((nn.Sequential, nn.Recurrent, nn.CellModule, nn.Delay), Support(convert=STATEFUL)),
    nn.TimeInvariantDropout: Support(convert=STATEFUL),
    nn.SynapseFilter: TRACED_NEURON,
    **dict.fromkeys((nn.Graph, nn.Parallel, nn.Residual), _refused(BRANCHES)),
    **dict.fromkeys((nn.SpikingSelfAttention, nn.QKAttention), _refused(BRANCHES)),
    **dict.fromkeys(
        (nn.SpikingLSTM, nn.SpikingGRU, nn.SpikingVanillaRNN, nn.ElementwiseRecurrent), _refused(FEEDS_BACK)
    ),
    **dict.fromkeys((nn.BatchNormThroughTime, nn.TemporalEffectiveBatchNorm, nn.NeuNorm), _refused(NORMALISES)),
    **dict.fromkeys(
        (nn.TemporalAttention, nn.MultiDimensionalAttention, nn.Reversed),
        _refused("takes all steps at once, and files go step by step: export a network without it"),
    ),
    nn.LearnedDelay: _refused("has delays that are learnt: put its `rounded()` in its place"),
    nn.DelayedLinear: _refused("has a delay for each synapse: use nnx.Linear, and nn.Delay before or after it"),
    nn.DropConnectLinear: _refused("draws masks and samples: use nnx.Linear with its weights times 1 - rate"),
    nn.WinnerTakeAll: _refused("makes neurons compete, for which files have no operator: export a network without it"),
    # Neurons
    cells.ChargeFireReset: TRACED_NEURON,
    cells.IF: Support(convert=STATEFUL),
    cells.LIF: Support(convert=STATEFUL),
    cells.ParametricLIF: Support(convert=STATEFUL),
    cells.CubaLIF: Support(convert=STATEFUL),
    cells.LeakyIntegrator: Support(netx=NOT_IN_NETX, convert=STATEFUL),
    cells.LinearLIF: Support(netx=NOT_IN_NETX, convert=STATEFUL),
    **dict.fromkeys((cells.ALIF, cells.AdEx, cells.CLIF, cells.EIF, cells.GatedLIF, cells.ILIF), TRACED_NEURON),
    **dict.fromkeys((cells.Izhikevich, cells.KLIF, cells.LIAF, cells.QIF, cells.Refractory), TRACED_NEURON),
    **dict.fromkeys((cells.ResonateAndFire, cells.TernaryIF, cells.TernaryLIF), TRACED_NEURON),
    **dict.fromkeys((convert.RateIF, convert.SignedIF, convert.MultiThresholdIF), TRACED_NEURON),
    **dict.fromkeys((cells.NoisyLIF, cells.Stochastic), NOISY_NEURON),
    **dict.fromkeys((cells.PSN, cells.MaskedPSN, cells.SlidingPSN), OTHER_CELL),
    **dict.fromkeys((convert.RunningMean, convert.Compensated), OTHER_CELL),
    # Encoders
    encoding.Poisson: Support(onnx=ENCODES, nir=ENCODES, convert=STATEFUL),
    **dict.fromkeys((encoding.DeltaModulation, encoding.GaussianTuning, encoding.Latency), _refused(ENCODES)),
    **dict.fromkeys((encoding.Periodic, encoding.Population, encoding.WeightedPhase), _refused(ENCODES)),
}
"""The support of each class, which holds for subclasses that override nothing."""

COMPUTING = {"__call__", "__getattr__", "__getattribute__", "__getitem__"}
"""Methods with two underscores that a layer computes with."""


def written_class(name: str, module: object, target: Format) -> type:
    """The class of the table as which a layer computes, where the exporter writes it.

    Args:
        name: of the layer; empty for the network itself.
        module: the layer.
        target: the exporter, by its name.

    Raises:
        ValueError: the exporter does not write it.
    """
    kind = getattr(module, "__name__", type(module).__name__)
    label = f"layer {name} ({kind})" if name else f"`net` ({kind})"
    base = next((cls for cls in type(module).__mro__ if cls in SUPPORT), None)
    changed = None if base is None else _overridden(type(module), base)
    if isinstance(module, cells.ChargeFireReset) and (base is None or changed):
        base, changed = cells.ChargeFireReset, None
    if base is not None and changed is not None:
        raise ValueError(
            f"{label} overrides `{changed}` of {base.__name__}, so that it may compute anything: put layers of the "
            f"library in its place, with the weights that it comes to"
        )
    support = SUPPORT[base] if base else OTHER_CELL if isinstance(module, Cell) else _refused(UNKNOWN)
    sentence = getattr(support, target)
    if sentence is not None:
        raise ValueError(f"{label} {sentence}")
    return base or type(module)


def _overridden(cls: type, base: type) -> str | None:
    """A method or attribute of `base` that `cls` has another of; None where it computes the same."""
    for derived in cls.__mro__[: cls.__mro__.index(base)]:
        for name, value in vars(derived).items():
            bookkeeping = name.startswith("_") and not isinstance(value, FunctionType | property)  # of Python and Flax
            computing = name in COMPUTING or not (name.startswith("__") or bookkeeping)
            if computing and hasattr(base, name):
                return name
    return None
