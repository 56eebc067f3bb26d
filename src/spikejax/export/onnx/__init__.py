"""Networks as ONNX graphs of plain operators, one step or all steps at once: for Lynxi's chips and onnxruntime."""

from spikejax.export.onnx.options import Options
from spikejax.export.onnx.report import Finding, GraphReport, LayerReport
from spikejax.export.onnx.session import Session
from spikejax.export.onnx.write import check, write

__all__ = ["Finding", "GraphReport", "LayerReport", "Options", "Session", "check", "write"]
