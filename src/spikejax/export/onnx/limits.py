"""Limits of a graph on a chip, section by section, each finding with its remedy.

The limits are those that SpikingJelly's and Lynxi's public sources state. The operators that its compiler takes are not
public: those called safe are in every ONNX importer of its time.
"""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from spikejax.export import chain
from spikejax.export.onnx.forms import graph_name
from spikejax.export.onnx.graph import OnnxGraph, Tensor
from spikejax.export.onnx.options import Options
from spikejax.export.onnx.report import Level

SAFE = frozenset(
    """
    Add AveragePool Cast Concat Conv Div Gemm GlobalAveragePool GreaterOrEqual Identity Less MatMul MaxPool Mul Not Relu
    Reshape Sub Transpose
    """.split()  # noqa: SIM905
)
"""Operators that importers are sure to know."""

MAX_RANK = 4
MAX_EXTENT = 4095
MAX_INPUT_BYTES = 6 * 2**20
MAX_PLANE_BYTES = 256 * 2**10
BATCHES = (1, 2, 4, 7, 14, 28)
HALF = np.finfo(np.float16)


def check_graph(graph: OnnxGraph, options: Options) -> None:
    """Notes in the graph what exceeds the limits of the target."""
    level = "error" if options.target == "lynxi" else "warning"
    _check_ranks(graph, level)
    _check_inputs(graph, level)
    batch = graph.inputs["x"].shape[0]
    if batch not in BATCHES:
        limit = f"one of {', '.join(map(str, BATCHES))}"
        graph.find("warning", "batch", batch, limit, "compilers take these first axes only; change batch or steps")
    odd: dict[str, dict[str, None]] = {}
    for node in graph.nodes:
        if node.op not in SAFE:
            odd.setdefault(node.op, {})[node.layer] = None
    for op, layers in odd.items():
        with graph.inside(", ".join(layers), ""):
            graph.find("warning", "operator", op, "one that every compiler knows", "ask the vendor whether it takes it")


def _check_ranks(graph: OnnxGraph, level: Level) -> None:
    for node in graph.nodes:
        named = [(name, graph.constants[name].shape) for name in node.inputs if name in graph.constants]
        for name, shape in [*named, *((out.name, out.shape) for out in node.outputs)]:
            if len(shape) > MAX_RANK:
                with graph.inside(node.layer, node.op):
                    remedy = "chips know one batch axis, channels and two space axes: join the others"
                    graph.find(level, name, f"of {len(shape)} axes {shape}", f"of at most {MAX_RANK}", remedy)


def _check_inputs(graph: OnnxGraph, level: Level) -> None:
    sizes = {name: math.prod(x.shape) * x.dtype.itemsize for name, x in graph.inputs.items()}
    for name, x in graph.inputs.items():
        with graph.inside("input", ""):
            _check_input(graph, name, x, level)
            if sizes[name] >= MAX_INPUT_BYTES:
                graph.find(level, name, f"{sizes[name]} bytes", f"< {MAX_INPUT_BYTES}", "give fewer samples or pixels")
    total = sum(sizes.values())
    if len(sizes) > 1 and total >= MAX_INPUT_BYTES > max(sizes.values()):
        with graph.inside("input", ""):
            remedy = "compilers merge inputs: keep the state inside, with form='unrolled'"
            graph.find("warning", "all inputs", f"{total} bytes", f"< {MAX_INPUT_BYTES}", remedy)


def _check_input(graph: OnnxGraph, name: str, x: Tensor, level: Level) -> None:
    extents = x.shape[1:]
    if max(extents) > MAX_EXTENT:
        remedy = "cut the layer, or give the input as an image"
        graph.find(level, name, f"of shape {x.shape}", f"at most {MAX_EXTENT} long in every axis", remedy)
    plane = math.prod(extents[-2:]) * x.dtype.itemsize
    if len(extents) > 1 and plane > MAX_PLANE_BYTES:
        remedy = "give smaller images, float16, or the other layout"
        graph.find(level, name, f"{plane} bytes in its last two axes", f"at most {MAX_PLANE_BYTES}", remedy)


def check_values(graph: OnnxGraph, layers: Sequence[chain.LayerSpec]) -> dict[str, float]:
    """Notes which weights and parameters of cells the graph's dtype cannot hold.

    Returns:
        The rounding of each layer: root mean square of the change over that of the values.
    """
    roundings = {}
    for layer in layers:
        with graph.inside(graph_name(layer), layer.kind):
            errors = [_rounding(graph, field, np.asarray(value)) for field, value in numbers(layer)]
        roundings[graph_name(layer)] = max(errors, default=0.0)
    return roundings


def numbers(record: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """All numbers and arrays of floating point that a layer holds, its cell's included, by name."""
    named = []
    for field in fields(record):
        value, name = getattr(record, field.name), f"{prefix}{field.name}"
        if field.name in ("module", "model", "surrogate"):
            continue
        if is_dataclass(value):
            named += numbers(value, "" if field.name == "cell" else f"{name}.")
        elif isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f":
            named.append((name, value))
    return named


def _rounding(graph: OnnxGraph, field: str, values: np.ndarray) -> float:
    """Notes what is lost of one array in the graph's dtype, and gives its rounding."""
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    if finite.size < values.size and not (field.startswith("tau") and np.isposinf(values[~np.isfinite(values)]).all()):
        graph.find("error", field, "not finite", "finite", "train it again, from a checkpoint before it diverged")
    if graph.dtype != np.float16 or not finite.any():
        return 0.0
    largest = abs(finite).max()
    if largest > HALF.max:
        remedy = "rescale the layer and its thresholds, or use float32"
        graph.find("error", field, f"{largest:.6g}", f"at most {HALF.max} in size (float16)", remedy)
        return math.inf
    change = finite.astype(np.float16) - finite
    rounding = math.sqrt((change**2).sum() / (finite**2).sum())
    if rounding > HALF.eps:
        limit = f"of a size that float16 holds to {HALF.eps:.1e}, from {HALF.tiny:.1e}"
        graph.find("warning", field, f"{largest:.3g} at most", limit, "rescale the layer and its thresholds")
    return rounding
