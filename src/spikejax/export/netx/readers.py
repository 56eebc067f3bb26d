"""The quantised layers, as the chain of plain layers has them."""

from dataclasses import dataclass

from spikejax.export.chain import LayerSpec, NeuronSpec, Reader
from spikejax.export.chain.reading import read_neurons
from spikejax.export.chain.synapses import read_conv, read_dense
from spikejax.export.netx.neuron import LoihiLIF
from spikejax.export.netx.synapse import QuantizedConv, QuantizedLinear, WholeInput
from spikejax.typing import Shape


@dataclass(frozen=True, kw_only=True)
class GradedInputSpec(LayerSpec):
    """The input in whole numbers, round(x scale)."""

    scale: float


def _graded_input(name: str, module: WholeInput, inputs: Shape) -> GradedInputSpec:
    return GradedInputSpec(
        name=name, kind="WholeInput", inputs=inputs, outputs=inputs, module=module, scale=module.scale
    )


def _loihi_neurons(name: str, cell: LoihiLIF, inputs: Shape) -> NeuronSpec:
    return read_neurons(name, cell, inputs, LoihiLIF)


QUANTIZED: dict[type, Reader] = {
    LoihiLIF: _loihi_neurons,
    QuantizedConv: read_conv,
    QuantizedLinear: read_dense,
    WholeInput: _graded_input,
}
"""Readers of the layers that `quantized` makes; only this exporter writes them."""
