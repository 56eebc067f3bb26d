"""Kernels as machine code for the CPU: neurons over time, and products with spikes."""

from spikejax.kernels.llvm.backend import CPU
from spikejax.kernels.llvm.bits import bits_of
from spikejax.kernels.llvm.events import product_with_spikes
from spikejax.kernels.llvm.stand_in import either

__all__ = ["CPU", "bits_of", "either", "product_with_spikes"]
