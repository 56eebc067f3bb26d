"""Kernels as machine code for the CPU: neurons over time, and products with spikes. Needs llvmlite."""

from spikejax.kernels.llvm.bits import spikes_to_bits
from spikejax.kernels.llvm.neurons import call_on_neurons, missing_operation
from spikejax.kernels.llvm.products import product_with_spikes
from spikejax.kernels.llvm.table import why_xla_refuses

__all__ = ["call_on_neurons", "missing_operation", "product_with_spikes", "spikes_to_bits", "why_xla_refuses"]
