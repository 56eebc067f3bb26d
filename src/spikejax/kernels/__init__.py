"""Neurons over time as one differentiable op."""

from spikejax.kernels.fused import fused_scan

__all__ = ["fused_scan"]
