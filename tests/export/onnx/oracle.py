"""What an exported file gives by ONNX's own evaluator, a second one beside onnxruntime."""

import json
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator


def checked(path: Any) -> onnx.ModelProto:
    """The file, by ONNX's strictest rules: types and shapes of all tensors included, which the file states in part."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]
    shapes = {info.name: [d.dim_value for d in info.type.tensor_type.shape.dim] for info in known}
    outputs = [name for node in inferred.graph.node for name in node.output]
    assert all(min(shapes[name], default=1) > 0 and len(shapes[name]) <= 4 for name in outputs)
    return model


def described(model: onnx.ModelProto) -> dict[str, Any]:
    return json.loads({entry.key: entry.value for entry in model.metadata_props}["spikejax"])


def fed(metadata: dict[str, Any], x: np.ndarray) -> np.ndarray:
    x = np.moveaxis(x, -1, 1) if metadata["layout"] == "NCHW" and x.ndim > 2 else x
    return x.astype(metadata["dtype"])


def given(metadata: dict[str, Any], y: np.ndarray) -> np.ndarray:
    return np.moveaxis(y, 1, -1) if metadata["layout"] == "NCHW" and y.ndim > 2 else y


def run(model: onnx.ModelProto, xs: np.ndarray) -> np.ndarray:
    """The step form, from its first state, on `[T, N, *]`, channels last."""
    evaluator, metadata = ReferenceEvaluator(model), described(model)
    state = {
        s["input"]: np.broadcast_to(np.asarray(s["first"], metadata["dtype"]), s["shape"]) for s in metadata["states"]
    }
    ys = []
    for x in xs:
        y, *new = evaluator.run(["y", *(s["output"] for s in metadata["states"])], state | {"x": fed(metadata, x)})
        state = dict(zip(state, new, strict=True))
        ys.append(given(metadata, y))
    return np.stack(ys)


def read_out(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The unrolled form."""
    metadata = described(model)
    return given(metadata, ReferenceEvaluator(model).run(["y"], {"x": fed(metadata, x)})[0])
