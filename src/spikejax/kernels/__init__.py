"""Neurons over time as one differentiable op."""

from spikejax.kernels.backends import BACKENDS, BackendReason, explain_backend
from spikejax.kernels.fused import BACKWARDS, RESIDUALS, check_option, fused, fused_scan
from spikejax.kernels.template import why_not_fused

__all__ = [
    "BACKENDS",
    "BACKWARDS",
    "RESIDUALS",
    "BackendReason",
    "check_option",
    "explain_backend",
    "fused",
    "fused_scan",
    "why_not_fused",
]
