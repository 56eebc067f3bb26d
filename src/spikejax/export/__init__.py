"""Trained networks in the formats of chips and of other libraries."""

from spikejax.export import netx, nir, onnx

__all__ = ["netx", "nir", "onnx"]
