"""Networks to ONNX files."""

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from spikejax import nn
from spikejax.export import chain
from spikejax.export.onnx.forms import StateVariable, build_step, build_unrolled, graph_name
from spikejax.export.onnx.graph import OnnxGraph, OnnxNode, Tensor
from spikejax.export.onnx.layers import in_order
from spikejax.export.onnx.limits import check_graph, check_values
from spikejax.export.onnx.options import Options
from spikejax.export.onnx.report import GraphReport, LayerReport


def write(
    path: str | os.PathLike[str], net: nn.Sequential, sample_shape: tuple[int, ...], **options: Any
) -> GraphReport:
    """Writes a network as an ONNX file, in one stroke: what lay there before is replaced by a whole file or not at all.

    The step form has inputs `x` `[N, *]` and the state, outputs `y` and the next state: `layer1.v_in` and
    `layer1.v_out` for the membrane of layer 1. The entry "spikejax" of the file's metadata is JSON with the options
    and, under "states", these pairs with their shapes and first values. The unrolled form has the input `x` and the
    output `y` alone.

    Args:
        path: file to write.
        net: a `Sequential`, as it stands after training.
        sample_shape: shape of one sample at one step, `(features,)` or `(H, W, C)`.
        **options: of `Options`.

    Returns:
        The report, as `check` gives it.

    Raises:
        ValueError: the network has a layer, a value or a size that cannot be exported, each named with its limit and
            what to do; or an option is out of its range. Nothing is written then.
        TypeError: `net` is no Sequential.
        ImportError: the package `onnx` is missing.
    """
    graph, report, metadata = _built(net, sample_shape, Options(**options))
    report.raise_errors()
    model = _model(graph, metadata)
    path = Path(path)
    partial_file = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial_file.write_bytes(model.SerializeToString())
        os.replace(partial_file, path)
    finally:
        partial_file.unlink(missing_ok=True)
    return report


def check(net: nn.Sequential, sample_shape: tuple[int, ...], **options: Any) -> GraphReport:
    """Looks at what `write` would write, without `onnx` and without writing.

    Args:
        net: a `Sequential`.
        sample_shape: shape of one sample at one step, `(features,)` or `(H, W, C)`.
        **options: of `Options`.

    Returns:
        Layers, operators, and what speaks against the export: errors, for which `write` refuses, and warnings.

    Raises:
        ValueError: a layer has no plain form, or an option is out of its range.
        TypeError: `net` is no Sequential.
    """
    return _built(net, sample_shape, Options(**options))[1]


def _built(
    net: nn.Sequential, sample_shape: tuple[int, ...], options: Options
) -> tuple[OnnxGraph, GraphReport, dict[str, Any]]:
    layers = chain.read_chain(net, sample_shape, "onnx")
    graph = OnnxGraph(np.dtype(options.dtype), options.opset)
    states: list[StateVariable] = []
    if options.form == "step":
        states = build_step(graph, in_order(layers), options)
    else:
        build_unrolled(graph, in_order(layers), options)
    graph = graph.finished()
    check_graph(graph, options)
    return graph, _report(graph, layers, options), _metadata(options, sample_shape, states)


def _report(graph: OnnxGraph, layers: list[chain.LayerSpec], options: Options) -> GraphReport:
    roundings = check_values(graph, layers)
    counts: dict[str, int] = {}
    for node in graph.nodes:
        counts[node.op] = counts.get(node.op, 0) + 1
    rows = []
    for layer in layers:
        name = graph_name(layer)
        nodes = [node for node in graph.nodes if node.layer == name]
        constants = {
            c for node in nodes for c in node.inputs if c in graph.constants and graph.constants[c].dtype != np.int64
        }
        size = sum(graph.constants[c].size for c in constants)
        rows.append(LayerReport(name, layer.kind, layer.outputs, size, len(nodes), roundings[name]))
    return GraphReport(
        form=options.form,
        dtype=options.dtype,
        opset=options.opset,
        inputs={name: x.shape for name, x in graph.inputs.items()},
        outputs={name: y.shape for name, y in graph.outputs.items()},
        layers=tuple(rows),
        operators=dict(sorted(counts.items())),
        bytes=sum(array.nbytes for array in graph.constants.values()),
        findings=tuple(graph.findings),
    )


def _metadata(options: Options, sample_shape: tuple[int, ...], states: list[StateVariable]) -> dict[str, Any]:
    entries = {name: getattr(options, name) for name in ("form", "batch", "dtype", "layout")}
    if options.form == "unrolled":
        entries |= {"steps": options.steps, "input": options.input or "static", "readout": options.readout or "mean"}
    named = [
        {
            "name": s.name,
            "input": f"{s.name}_in",
            "output": f"{s.name}_out",
            "shape": s.shape,
            "first": s.first.tolist(),
        }
        for s in states
    ]
    return entries | {"sample_shape": list(sample_shape), "states": named}


def _model(graph: OnnxGraph, metadata: dict[str, Any]) -> Any:
    """The graph as a protocol buffer, checked by ONNX's own rules."""
    onnx = require("onnx")
    helper = onnx.helper

    def infos(tensors: dict[str, Tensor]) -> list[Any]:
        return [helper.make_tensor_value_info(t.name, _type(t.dtype), t.shape) for t in tensors.values()]

    constants = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    nodes = [_node(helper, node) for node in graph.nodes]
    proto = helper.make_graph(nodes, "spikejax", infos(graph.inputs), infos(graph.outputs), constants)
    opset = helper.make_opsetid("", graph.opset)
    version = helper.find_min_ir_version_for([opset])
    model = helper.make_model(proto, opset_imports=[opset], ir_version=version, producer_name="spikejax")
    helper.set_model_props(model, {"spikejax": json.dumps(metadata)})
    onnx.checker.check_model(model, full_check=True)
    return model


def _node(helper: Any, node: OnnxNode) -> Any:
    attributes = {name: _type(a) if isinstance(a, np.dtype) else a for name, a in node.attributes.items()}
    outputs = [out.name for out in node.outputs]
    return helper.make_node(node.op, node.inputs, outputs, name=f"{outputs[0]}/{node.op}", **attributes)


def _type(dtype: np.dtype) -> int:
    return require("onnx").helper.np_dtype_to_tensor_dtype(dtype)


def require(package: str) -> Any:
    """The optional package, imported.

    Raises:
        ImportError: it is missing.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"{package} is needed for ONNX files: pip install spikejax[onnx]") from error
