"""An ONNX graph in the making, without the library: nodes, constants, and what they take part in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from spikejax.export.onnx.report import Finding, Level


@dataclass(frozen=True)
class Tensor:
    """The output of a node, or an input.

    Attributes:
        name: as in the file.
        shape: with the batch first, channels second.
        dtype: the graph's, or bool.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


Value: TypeAlias = Tensor | np.ndarray
"""A tensor, or a constant: what is computed from constants alone is computed now."""

BOOLEAN = frozenset(("And", "Equal", "GreaterOrEqual", "Less", "Not", "Or", "Xor"))
"""Operators that give true or false."""


@dataclass(frozen=True)
class OnnxNode:
    """One operator.

    Attributes:
        layer: name of the layer that it belongs to.
        op: name of the operator.
        inputs: names of tensors and constants.
        outputs: what it gives.
        attributes: as in ONNX.
    """

    layer: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[Tensor, ...]
    attributes: dict[str, Any]


@dataclass
class OnnxGraph:
    """Nodes in order, with inputs, outputs and constants by name.

    Attributes:
        dtype: of all floating-point tensors.
        opset: version of the operators.
        findings: what is wrong, or worth knowing.
        layer: name of the layer that nodes and constants are being added to.
        kind: its class.
    """

    dtype: np.dtype
    opset: int
    nodes: list[OnnxNode] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    layer: str = "graph"
    kind: str = ""
    _known: dict[Any, str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def inside(self, name: str, kind: str) -> Iterator[None]:
        """While it lasts, all that is added belongs to one layer."""
        before, (self.layer, self.kind) = (self.layer, self.kind), (name, kind)
        yield
        self.layer, self.kind = before

    def input(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """An input of the graph."""
        self.inputs[name] = Tensor(name, shape, self.dtype)
        return self.inputs[name]

    def constant(self, value: ArrayLike, label: str = "constant") -> str:
        """The name of a constant in the graph's dtype (or int64, for shapes), nodes once a layer."""
        array = np.asarray(value)
        dtype = array.dtype if array.dtype in (bool, np.int64) else self.dtype
        with np.errstate(over="ignore"):  # reported
            array = np.ascontiguousarray(array.astype(dtype)).reshape(array.shape)
        key = self.layer, array.dtype, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = self._name(f"{self.layer}.{label}")
            self.constants[self._known[key]] = array
        return self._known[key]

    def add(self, op: str, *values: Value | str, shape: tuple[int, ...] | None = None, **attributes: Any) -> Tensor:
        """A node of one output; `shape` None broadcasts the inputs, strings name constants."""
        shapes = [self.constants[v].shape if isinstance(v, str) else v.shape for v in values]
        output_shape = np.broadcast_shapes(*shapes) if shape is None else shape
        dtype = np.dtype(bool) if op in BOOLEAN else self.dtype
        return self.add_many(op, *values, shapes=[output_shape], dtype=dtype, **attributes)[0]

    def add_many(
        self,
        op: str,
        *values: Value | str,
        shapes: list[tuple[int, ...]],
        dtype: np.dtype | None = None,
        **attributes: Any,
    ) -> tuple[Tensor, ...]:
        """A node of several outputs."""
        names = tuple(v.name if isinstance(v, Tensor) else self._constant_name(v) for v in values)
        outputs = tuple(Tensor(self._name(f"{self.layer}.{op}"), shape, dtype or self.dtype) for shape in shapes)
        self.nodes.append(OnnxNode(self.layer, op, names, outputs, attributes))
        return outputs

    def output(self, name: str, value: Value, shape: tuple[int, ...]) -> None:
        """Gives a value out under `name`."""
        self.outputs[name] = self.full(value, shape)

    def full(self, value: Value, shape: tuple[int, ...]) -> Tensor:
        """The value as a tensor of `shape`; constants have their channels second."""
        return value if isinstance(value, Tensor) else self.add("Identity", np.broadcast_to(value, shape))

    def find(self, level: Level, where: str, value: object, limit: str, remedy: str) -> None:
        """Notes a finding of the present layer."""
        self.findings.append(Finding(level, self.layer, self.kind, where, str(value), limit, remedy))

    def finished(self) -> "OnnxGraph":
        """Outputs have their names, and what no output needs is gone."""
        made = {out.name for node in self.nodes for out in node.outputs}
        names: dict[str, str] = {}
        copies = []
        for name, value in self.outputs.items():
            if value.name in made and value.name not in names:
                names[value.name] = name
            else:
                copies.append(OnnxNode("output", "Identity", (value.name,), (replace(value, name=name),), {}))
        needed, nodes = {value.name for value in self.outputs.values()}, []
        for node in reversed(self.nodes):
            if any(out.name in needed for out in node.outputs):
                nodes.append(node)
                needed.update(node.inputs)
        nodes = [_renamed(node, names) for node in (*nodes[::-1], *copies)]
        outputs = {name: replace(value, name=name) for name, value in self.outputs.items()}
        constants = {name: array for name, array in self.constants.items() if name in needed}
        return replace(self, nodes=nodes, outputs=outputs, constants=constants)

    def _constant_name(self, value: str | np.ndarray) -> str:
        return value if isinstance(value, str) else self.constant(value)

    def _name(self, stem: str) -> str:
        self._counts[stem] = self._counts.get(stem, -1) + 1
        return f"{stem}_{self._counts[stem]}" if self._counts[stem] else stem


def _renamed(node: OnnxNode, names: dict[str, str]) -> OnnxNode:
    inputs = tuple(names.get(name, name) for name in node.inputs)
    outputs = tuple(replace(out, name=names.get(out.name, out.name)) for out in node.outputs)
    return replace(node, inputs=inputs, outputs=outputs)
