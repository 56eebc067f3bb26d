"""The report on an export: its layers and operators, errors and warnings."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """Something wrong, or worth knowing.

    Attributes:
        level: an error refuses the export, a warning does not.
        layer: its name in the graph, or "graph".
        kind: class of the layer.
        field: the parameter or tensor that it is about.
        value: the value received.
        limit: the values that are allowed.
        remedy: a change that mends it.
    """

    level: Level
    layer: str
    kind: str
    field: str
    value: str
    limit: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.layer} ({self.kind})" if self.kind else self.layer
        return f"{where}: `{self.field}` is {self.value}, must be {self.limit}: {self.remedy}"


@dataclass(frozen=True)
class LayerReport:
    """One layer of the network.

    Attributes:
        name: its name in the graph.
        kind: its class.
        outputs: shape of what it gives for one sample and step, channels last.
        parameters: numbers in its constants.
        nodes: operators that it takes.
        rounding: what the dtype changes in its constants: root mean square of the change over that of the values.
    """

    name: str
    kind: str
    outputs: tuple[int, ...]
    parameters: int
    nodes: int
    rounding: float


@dataclass(frozen=True, kw_only=True)
class GraphReport:
    """The layers and operators of an export, and its errors and warnings; prints as a table.

    Attributes:
        form: "step" or "unrolled".
        dtype: of all floating-point tensors.
        opset: version of the operators.
        inputs: shapes by name.
        outputs: likewise.
        layers: one entry a layer.
        operators: how many there are of each.
        bytes: of all constants.
        findings: errors and warnings.
    """

    form: str
    dtype: str
    opset: int
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    layers: tuple[LayerReport, ...]
    operators: dict[str, int]
    bytes: int
    findings: tuple[Finding, ...]

    @property
    def nodes(self) -> int:
        """Operators in the graph."""
        return sum(self.operators.values())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that refuse the export."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that are worth knowing."""
        return tuple(finding for finding in self.findings if finding.level == "warning")

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self) | {"nodes": self.nodes}

    def raise_errors(self) -> None:
        """Raises ValueError with all errors, where there are any."""
        if self.errors:
            raise ValueError("the network cannot be exported:\n" + "\n".join(map(str, self.errors)))

    def __str__(self) -> str:
        rows = [("layer", "kind", "output", "parameters", "nodes", "rounding")]
        rows += [
            (a.name, a.kind, _shape(a.outputs), f"{a.parameters}", f"{a.nodes}", f"{a.rounding:.1e}")
            for a in self.layers
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{self.form} form, {self.dtype}, opset {self.opset}: {self.nodes} nodes, {self.bytes} bytes"]
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += [f"inputs     {', '.join(f'{name} {_shape(shape)}' for name, shape in self.inputs.items())}"]
        lines += [f"outputs    {', '.join(f'{name} {_shape(shape)}' for name, shape in self.outputs.items())}"]
        lines += [f"operators  {', '.join(f'{count} {op}' for op, count in self.operators.items())}"]
        return "\n".join((*lines, *(f"{finding.level}: {finding}" for finding in self.findings)))


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
