"""Neurons over time as machine code for the CPU."""

from spikejax.kernels.llvm.backend import CPU

__all__ = ["CPU"]
