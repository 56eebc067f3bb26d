"""From a trained network to one that computes as the chip does."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from spikejax import nn
from spikejax.cells import IF, CubaLIF
from spikejax.encoding import Poisson
from spikejax.export.chain import (
    ConvSpec,
    DelaySpec,
    DenseSpec,
    FlattenSpec,
    LayerSpec,
    NeuronSpec,
    PoolSpec,
    VotingSpec,
    read_chain,
)
from spikejax.export.netx.fixed import WEIGHT_RANGE, WEIGHT_STEP
from spikejax.export.netx.limits import MAX_BIAS
from spikejax.export.netx.neuron import MAX_THRESHOLD, UNIT, LoihiLIF
from spikejax.export.netx.readers import QUANTIZED
from spikejax.export.netx.synapse import QuantizedConv, QuantizedLinear, WholeInput

WeightScale = float | Literal["auto"]


@dataclass(frozen=True)
class Dynamics:
    """A neuron as Loihi has it: u = (1 - a) u + gain x, v = (1 - b) v + u, spike above the threshold, reset to 0.

    Attributes:
        gain: what the weights are multiplied with, one number or one an output.
        current_decay: a.
        voltage_decay: b.
        v_threshold: the threshold above the reset.
    """

    gain: np.ndarray
    current_decay: np.ndarray
    voltage_decay: np.ndarray
    v_threshold: np.ndarray


def quantized(
    net: nn.Sequential, sample_shape: tuple[int, ...], *, scale: WeightScale = "auto", input_scale: float | None = None
) -> nn.Sequential:
    """`net` as the chip computes it: integer weights, integer neurons; trainable, and exported without loss.

    The layers keep their order. Linear and Conv become `QuantizedLinear` and `QuantizedConv`, with BatchNorm, the
    neurons' input gain and the division of an average pooling before them folded into the weights; neurons become
    `LoihiLIF`. Parameters that were arrays, such as one time constant a neuron, stay trainable. `net` itself is not
    changed.

    Args:
        net: a trained `Sequential`: Linear, Conv, BatchNorm, pooling, Flatten, Delay, Dropout, Voting, a Poisson
            encoder in front, and the neurons IF, LIF, ParametricLIF, CubaLIF, also in `Recurrent`.
        sample_shape: shape of one sample at one step, `(features,)` or `(H, W, C)`.
        scale: whole numbers that make 1.0 in the weights of every layer; 64 is Lava's own. "auto" takes for each layer
            the largest at which weights, threshold and biases still fit.
        input_scale: the input is not spikes but values, given to the chip as round(x input_scale), such as 255 for
            grey values in [0, 1]; None for spikes.

    Raises:
        TypeError: `net` is no Sequential.
        ValueError: a layer, a neuron or its reset has no counterpart on the chip; the message names it and the remedy.
    """
    if scale != "auto" and not scale > 0:
        raise ValueError(f"`scale` must be > 0 or 'auto', got {scale!r}")
    build = _Build(scale, input_scale)
    for layer in read_chain(net, sample_shape, "netx", QUANTIZED):
        build.take(layer)
    return build.network()


class _Build:
    """Goes through the layers and puts their quantised counterparts together."""

    def __init__(self, scale: WeightScale, input_scale: float | None) -> None:
        self.scale: WeightScale = scale
        self.built: list[Any] = [] if input_scale is None else [WholeInput(input_scale)]
        self.divisor = input_scale or 1.0  # of the next weights
        self.synapse: DenseSpec | ConvSpec | None = None
        self.after: list[Any] = []  # delays between the synapse and its neuron

    def take(self, layer: LayerSpec) -> None:
        """The next layer."""
        if isinstance(layer, DenseSpec | ConvSpec):
            self._open(layer)
        elif isinstance(layer, NeuronSpec) and layer.model is Poisson:
            self._encode(layer)
        elif isinstance(layer, NeuronSpec):
            self._close(layer)
        elif isinstance(layer, DelaySpec):
            (self.built if self.synapse is None else self.after).append(nn.Delay(layer.delay))
        elif self.synapse is not None:
            raise ValueError(
                f"layer {layer.name} ({layer.kind}) stands between layer {self.synapse.name} ({self.synapse.kind}) and "
                f"its neuron: put it before the synapse or after the neuron"
            )
        elif isinstance(layer, PoolSpec):
            make = nn.MaxPool if layer.mode == "max" else nn.SumPool
            self.built.append(make(layer.window, layer.strides, layer.padding))
            self.divisor *= float(np.prod(layer.window)) if layer.mode == "avg" else 1
        elif isinstance(layer, FlattenSpec):
            self.built.append(nn.Flatten())
        elif isinstance(layer, VotingSpec):
            self.built.append(nn.Voting(layer.voters))
        else:
            raise ValueError(f"layer {layer.name} ({layer.kind}) has no counterpart in NetX")

    def network(self) -> nn.Sequential:
        """The quantised network."""
        if self.synapse is not None:
            name, kind = self.synapse.name, self.synapse.kind
            raise ValueError(f"layer {name} ({kind}) has no neuron after it: end with one, such as sx.LIF()")
        return nn.Sequential(*self.built)

    def _open(self, layer: DenseSpec | ConvSpec) -> None:
        if self.synapse is not None:
            raise ValueError(
                f"layer {layer.name} ({layer.kind}) follows layer {self.synapse.name} ({self.synapse.kind}) with no "
                f"neuron between: put one there, or multiply the two into one"
            )
        self.synapse, self.divisor = replace(layer, kernel=layer.kernel / self.divisor), 1.0

    def _encode(self, layer: NeuronSpec) -> None:
        if self.built:
            raise ValueError(
                f"layer {layer.name} (Poisson) must come first and without `input_scale`: its spikes are the input"
            )
        self.built.append(layer.cell)

    def _close(self, layer: NeuronSpec) -> None:
        """The neurons of the open synapse; right after a pooling they get one of weight 1."""
        if self.synapse is None and self.built and isinstance(self.built[-1], nn.SumPool):
            self.synapse, self.divisor = _ones(layer, self.divisor), 1.0
        if self.synapse is None:
            raise ValueError(f"layer {layer.name} ({layer.kind}) has no synapse: put nnx.Linear or nnx.Conv before it")
        synapse, neuron = _pair(self.synapse, layer, self.scale)
        self.built += [synapse, *self.after, neuron]
        self.synapse, self.after = None, []


def _ones(layer: NeuronSpec, divisor: float) -> ConvSpec:
    """A synapse of weight 1 for each channel: what stands between a pooling and the neurons right after it."""
    channels, axes = layer.inputs[-1], len(layer.inputs) - 1
    return ConvSpec(
        name=layer.name,
        kind="Pool",
        inputs=layer.inputs,
        outputs=layer.inputs,
        kernel=np.full((1,) * (axes + 1) + (channels,), 1 / divisor, np.float32),
        bias=None,
        strides=(1,) * axes,
        padding=((0, 0),) * axes,
        dilation=(1,) * axes,
        groups=channels,
    )


def _pair(synapse: DenseSpec | ConvSpec, neurons: NeuronSpec, scale: WeightScale) -> tuple[Any, Any]:
    """The synapse and the neuron of one layer, quantised with one scale."""
    dynamics = _dynamics(neurons)
    feedback = neurons.feedback
    weights = [(part.kernel * dynamics.gain, part.bias) for part in (synapse, feedback) if part is not None]
    bias = sum((b * dynamics.gain for _, b in weights if b is not None), np.zeros(()))
    if not all(np.isfinite(values).all() for values in (bias, *(w for w, _ in weights))):
        raise ValueError(f"layer {synapse.name} ({synapse.kind}) has weights or biases that are not finite")
    layer_scale = (
        float(scale) if scale != "auto" else _largest_scale([w for w, _ in weights], bias, dynamics.v_threshold)
    )
    bias = np.broadcast_to(bias, synapse.outputs[-1:]) if np.any(bias) else None
    kernel = jnp.asarray(weights[0][0], jnp.float32)
    if isinstance(synapse, DenseSpec):
        module: Any = QuantizedLinear(kernel, bias, layer_scale)
    else:
        module = QuantizedConv(
            kernel,
            bias,
            layer_scale,
            strides=synapse.strides,
            padding=synapse.padding,
            dilation=synapse.dilation,
            groups=synapse.groups,
        )
    cell = _neuron(neurons, dynamics, layer_scale)
    if feedback is not None:
        return module, nn.Recurrent(cell, QuantizedLinear(jnp.asarray(weights[1][0], jnp.float32), None, layer_scale))
    return module, cell


def _largest_scale(weights: list[np.ndarray], bias: np.ndarray, v_threshold: np.ndarray) -> float:
    """The largest scale at which all weights, biases and thresholds fit their bits."""
    limits = [(max(abs(w).max() for w in weights), WEIGHT_RANGE - WEIGHT_STEP), (abs(bias).max(), MAX_BIAS)]
    limits.append((v_threshold.max(), MAX_THRESHOLD))
    return float(min(limit / size for size, limit in limits if size > 0))


def _neuron(neurons: NeuronSpec, dynamics: Dynamics, scale: float) -> LoihiLIF:
    """The chip's neuron; what is an array in the cell stays one."""
    cell = neurons.cell
    leaks = np.round(dynamics.voltage_decay * UNIT).any() or np.round((1 - dynamics.current_decay) * UNIT).any()
    mantissa = dynamics.v_threshold * scale
    # Without a leak the membrane moves in whole weights, and `>=` is `>` of one less; with one it is the nearest.
    mantissa = mantissa if leaks else np.ceil(mantissa) - 1
    if np.round(mantissa).min() < 1:
        raise ValueError(
            f"layer {neurons.name} ({neurons.kind}) has thresholds down to {dynamics.v_threshold.min():.3g}, below the "
            f"chip's smallest at {scale:.4g} whole numbers to 1.0: raise v_threshold, or choose a larger scale"
        )
    fields = {
        "current_decay": (dynamics.current_decay, ("tau_syn",)),
        "voltage_decay": (np.minimum(dynamics.voltage_decay, (UNIT - 1) / UNIT), ("tau", "w")),
        "v_threshold": (mantissa / scale, ("v_threshold", "v_reset")),
    }
    learnt = {
        name: jnp.asarray(value, jnp.float32)
        if any(isinstance(getattr(cell, n, None), jnp.ndarray) for n in sources)
        else float(value)
        for name, (value, sources) in fields.items()
    }
    return LoihiLIF(**learnt, scale=scale, surrogate=cell.surrogate, detach_reset=cell.detach_reset)


def _dynamics(layer: NeuronSpec) -> Dynamics:
    """The cell's equations in Loihi's form.

    Raises:
        ValueError: the cell, its reset or its rest has none.
    """
    cell, name = layer.cell, f"layer {layer.name} ({type(layer.cell).__name__})"
    if layer.model is LoihiLIF:
        raise ValueError(f"{name} is quantised already: use the network as it is")
    if cell.output_kind != "spikes":
        raise ValueError(f"{name} puts out {cell.output_kind}: the chip has spikes, 0 and 1")
    if cell.v_reset is None:
        raise ValueError(
            f"{name} has the soft reset, v_reset=None, and Loihi resets to 0: train with v_reset=0.0, or fine-tune so"
        )
    rest = np.asarray(cell.v_rest, np.float64)
    if np.any(rest != np.asarray(cell.v_reset, np.float64)):
        raise ValueError(
            f"{name} rests at v_rest = {rest} and is reset to v_reset = {cell.v_reset}: Loihi has one value for both"
        )
    one = np.ones(())
    if layer.model is CubaLIF:
        current, voltage = 1 / np.asarray(cell.tau_syn, np.float64), 1 / np.asarray(cell.tau, np.float64)
        gain = np.asarray(cell.w_in, np.float64) * np.asarray(cell.r, np.float64)
        gain = gain * current * voltage if cell.decay_input else gain
    else:
        current, voltage = one, 0 * one if layer.model is IF else 1 / np.asarray(cell.tau, np.float64)
        gain = voltage if getattr(cell, "decay_input", False) else one
    threshold = np.asarray(cell.v_threshold, np.float64) - rest
    parts = (_one_a_channel(name, value, layer.outputs) for value in (gain, current, voltage, threshold))
    return Dynamics(*parts)


def _one_a_channel(name: str, value: np.ndarray, outputs: tuple[int, ...]) -> np.ndarray:
    """`value` as one number, or one for each feature or channel, the last axis."""
    if value.ndim and len(outputs) > 1 and value.size > value.shape[-1]:
        first = value.reshape(-1, value.shape[-1])
        if (first != first[0]).any():
            raise ValueError(
                f"{name} has a parameter of shape {value.shape}, one a neuron: a convolution on the chip has one a "
                f"channel, of shape ({outputs[-1]},)"
            )
        return first[0]
    return value.reshape(value.shape[-1:] if value.ndim else ())
