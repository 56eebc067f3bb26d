"""Loihi, through Lava's NetX files: quantised training, bit-exact simulation, checks, writing and reading."""

from spikejax.export.netx.file import check, read, write
from spikejax.export.netx.limits import ChipReport
from spikejax.export.netx.neuron import LoihiLIF
from spikejax.export.netx.quantize import quantized
from spikejax.export.netx.simulate import simulate_fixed_point
from spikejax.export.netx.synapse import QuantizedConv, QuantizedLinear, WholeInput

__all__ = [
    "ChipReport",
    "LoihiLIF",
    "QuantizedConv",
    "QuantizedLinear",
    "WholeInput",
    "check",
    "quantized",
    "read",
    "simulate_fixed_point",
    "write",
]
