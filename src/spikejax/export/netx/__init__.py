"""Loihi, through Lava's NetX files: quantised training, bit-exact simulation, checks, writing and reading."""

from spikejax.export.netx.check import Report
from spikejax.export.netx.file import check_network, read, write
from spikejax.export.netx.neuron import LoihiLIF
from spikejax.export.netx.quantize import quantized
from spikejax.export.netx.simulate import simulate_fixed_point
from spikejax.export.netx.synapse import QuantizedConv, QuantizedLinear, WholeInput

__all__ = [
    "LoihiLIF",
    "QuantizedConv",
    "QuantizedLinear",
    "Report",
    "WholeInput",
    "check_network",
    "quantized",
    "read",
    "simulate_fixed_point",
    "write",
]
