"""Neurons over time as machine code for the CPU."""

from spikejax.kernels.llvm.backend import LLVM

CPU = LLVM()

__all__ = ["CPU"]
