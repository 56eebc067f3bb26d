"""Neurons over time as one differentiable op."""

from spikejax.kernels.fused import fused, fused_scan
from spikejax.kernels.template import why_not_fused

__all__ = ["fused", "fused_scan", "why_not_fused"]
