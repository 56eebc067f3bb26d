"""Neurons over time as one differentiable op."""

from spikejax.kernels.choice import BACKENDS, Choice, which
from spikejax.kernels.fused import BACKWARDS, RESIDUALS, check_option, fused, fused_scan
from spikejax.kernels.template import why_not_fused

__all__ = [
    "BACKENDS",
    "BACKWARDS",
    "RESIDUALS",
    "Choice",
    "check_option",
    "fused",
    "fused_scan",
    "which",
    "why_not_fused",
]
