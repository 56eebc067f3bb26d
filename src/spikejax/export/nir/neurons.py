"""Neurons as NIR's nodes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from spikejax.cells import IF, LIF, CubaLIF, LeakyIntegrator, LinearLIF, ParametricLIF
from spikejax.export.chain import ConvSpec, DenseSpec, LayerSpec, NeuronSpec
from spikejax.export.nir.convention import just_below, library
from spikejax.typing import Array

Named = list[tuple[str, Any]]
"""NIR's nodes for one layer, in order, each with what its name ends in."""

Leaky = LIF | LeakyIntegrator | LinearLIF
Weights = TypeVar("Weights", bound=DenseSpec | ConvSpec)

LEAKY = (LIF, LeakyIntegrator, LinearLIF)


@dataclass(frozen=True)
class FeatureLayout:
    """The order of the features of a layer in NIR.

    Args:
        shape: shape of one sample, channels last.
        order: place in NIR of each feature of a flattened image; None where there is none, or both agree.
    """

    shape: tuple[int, ...]
    order: np.ndarray | None = None

    def full(self, value: float | Array | np.ndarray) -> np.ndarray:
        """One value a neuron, channels first, from what broadcasts to the shape."""
        full = np.broadcast_to(np.asarray(value, np.float64), self.shape)
        full = np.moveaxis(full, -1, 0) if self.order is None else full[np.argsort(self.order)]
        return np.ascontiguousarray(full, np.float32)


def with_gains_folded(layers: list[LayerSpec]) -> list[LayerSpec]:
    """The layers with a gain of r = 1 in every leaky neuron whose gain the weights right before it can take.

    x of h = v - v / tau + x is tau x of h = v + (tau x - v) / tau: weights, bias and feedback are multiplied by tau.
    A ParametricLIF becomes the LIF of its present time constant.
    """
    folded: list[LayerSpec] = []
    for layer in layers:
        if isinstance(layer, NeuronSpec):
            layer = _with_constant_tau(layer)
            before = folded[-1] if folded else None
            if isinstance(before, DenseSpec | ConvSpec) and _takes_gain(layer):
                gain = np.asarray(layer.cell.tau, np.float64)
                folded[-1] = _scaled(before, gain)
                feedback = None if layer.feedback is None else _scaled(layer.feedback, gain)
                layer = replace(layer, cell=layer.cell.replace(decay_input=True), feedback=feedback)
        folded.append(layer)
    return folded


def neuron_nodes(layer: NeuronSpec, layout: FeatureLayout, dt: float) -> Named:
    """The nodes of one layer of neurons.

    Raises:
        ValueError: NIR has no such neuron.
    """
    cell, label = layer.cell, f"layer {layer.name} ({type(layer.cell).__name__})"
    if cell.output_kind != "spikes" and layer.model is not LeakyIntegrator:
        raise ValueError(
            f"{label} puts out {cell.output_kind}, but a neuron of NIR spikes, 0 or 1: give it a spiking `surrogate` "
            f"such as sx.surrogate.Sigmoid()"
        )
    if getattr(cell, "v_reset", 0.0) is None:
        raise ValueError(
            f"{label} has `v_reset` None, the soft reset, but NIR resets to a number: train it with v_reset=0.0"
        )
    try:
        return WRITERS[layer.model](cell, layout, dt)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error


def _with_constant_tau(layer: NeuronSpec) -> NeuronSpec:
    """A ParametricLIF as the LIF of its present time constant; other neurons as they are."""
    if layer.model is not ParametricLIF:
        return layer
    fields = {name: getattr(layer.cell, name) for name in ("decay_input", "v_threshold", "v_reset", "surrogate")}
    return replace(layer, cell=LIF(tau=layer.cell.tau, **fields), model=LIF)


def _takes_gain(layer: NeuronSpec) -> bool:
    """True for leaky neurons with one gain a channel, or one for all."""
    cell = layer.cell
    return layer.model in LEAKY and not cell.decay_input and np.ndim(cell.tau) <= 1 and not _without_leak(cell)


def _scaled(layer: Weights, gain: np.ndarray) -> Weights:
    bias = None if layer.bias is None else (layer.bias * gain).astype(layer.bias.dtype)
    return replace(layer, kernel=(layer.kernel * gain).astype(layer.kernel.dtype), bias=bias)


def _without_leak(cell: Leaky) -> bool:
    """True if the cell integrates; raises where only some of its neurons do, or their input has no effect."""
    infinite = np.isinf(np.asarray(cell.tau))
    if infinite.any() and (cell.decay_input or not infinite.all()):
        raise ValueError("`tau` is infinite, which NIR has as IF and I: give all neurons tau=inf and decay_input=False")
    return bool(infinite.all())


def _if(cell: IF | LIF, layout: FeatureLayout, dt: float) -> Named:
    """With v' = r I and r = 1 / dt one step adds the input."""
    node = library().IF(
        r=layout.full(1 / dt), v_threshold=layout.full(just_below(cell.v_threshold)), v_reset=layout.full(cell.v_rest)
    )
    return [("", node)]


def _leak(cell: Leaky, v_leak: float | Array, layout: FeatureLayout, dt: float) -> dict[str, np.ndarray]:
    """The fields of LI and LIF: r = 1, or tau / dt where the input is not divided by tau."""
    tau = np.asarray(cell.tau, np.float64)
    r = 1.0 if cell.decay_input else tau
    return {"tau": layout.full(tau * dt), "r": layout.full(r), "v_leak": layout.full(v_leak)}


def _lif(cell: LIF, layout: FeatureLayout, dt: float) -> Named:
    if _without_leak(cell):
        return _if(cell, layout, dt)
    reset = layout.full(cell.v_rest)
    threshold = layout.full(just_below(cell.v_threshold))
    leak = _leak(cell, cell.v_rest, layout, dt)
    return [("", library().LIF(**leak, v_threshold=threshold, v_reset=reset))]


def _li(cell: LeakyIntegrator | LinearLIF, layout: FeatureLayout, dt: float) -> Named:
    nir = library()
    if _without_leak(cell):
        return [("", nir.I(r=layout.full(1 / dt)))]
    return [("", nir.LI(**_leak(cell, 0.0, layout, dt)))]


def _linear_lif(cell: LinearLIF, layout: FeatureLayout, dt: float) -> Named:
    threshold = library().Threshold(threshold=layout.full(just_below(cell.v_threshold)))
    return [*_li(cell, layout, dt), ("_threshold", threshold)]


def _cuba(cell: CubaLIF, layout: FeatureLayout, dt: float) -> Named:
    """With r = tau_mem / dt, as the other libraries want it, and w_in = tau_syn / dt times what gain is left.

    The gain of the current can stand before it, because the current is linear in the input. With tau_syn = 1 the
    current is the input: NIR's LIF, whose v_leak need not be its v_reset.
    """
    tau, tau_syn, w_in, r = (np.asarray(getattr(cell, name), np.float64) for name in ("tau", "tau_syn", "w_in", "r"))
    for name, value in (("tau", tau), ("tau_syn", tau_syn)):
        if np.isinf(value).any():
            raise ValueError(
                f"`{name}` is infinite, which NIR's CubaLIF has no number for: give a long one, such as 1e6"
            )
    shared = {
        "tau": layout.full(tau * dt),
        "r": layout.full(tau),
        "v_leak": layout.full(cell.v_rest),
        "v_threshold": layout.full(just_below(cell.v_threshold)),
        "v_reset": layout.full(np.asarray(cell.v_reset, np.float64)),
    }
    if (tau_syn == 1).all():
        shared["r"] = layout.full(w_in * r if cell.decay_input else w_in * r * tau)
        return [("", library().LIF(**shared))]
    shared["tau_mem"] = shared.pop("tau")
    gain = w_in * r / tau if cell.decay_input else w_in * r * tau_syn
    return [("", library().CubaLIF(**shared, tau_syn=layout.full(tau_syn * dt), w_in=layout.full(gain)))]


WRITERS: dict[type, Callable[[Any, FeatureLayout, float], Named]] = {
    IF: _if,
    LIF: _lif,
    LeakyIntegrator: _li,
    LinearLIF: _linear_lif,
    CubaLIF: _cuba,
}
