"""Neurons over time as one differentiable op."""

from spikejax.kernels.backends import BACKENDS, BackendReason, explain_backend
from spikejax.kernels.fused import BACKWARDS, RESIDUALS, fused, fused_scan
from spikejax.kernels.template import why_not_fused

__all__ = [
    "BACKENDS",
    "BACKWARDS",
    "RESIDUALS",
    "BackendReason",
    "explain_backend",
    "fused",
    "fused_scan",
    "why_not_fused",
]
