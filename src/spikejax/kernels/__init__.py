"""Neurons over time as one differentiable op."""

from spikejax.kernels.choice import BACKENDS, Choice, which
from spikejax.kernels.fused import fused, fused_scan
from spikejax.kernels.template import why_not_fused

__all__ = ["BACKENDS", "Choice", "fused", "fused_scan", "which", "why_not_fused"]
