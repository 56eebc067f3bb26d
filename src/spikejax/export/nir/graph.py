"""NIR graphs as chains of nodes."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from spikejax.export.nir.convention import METADATA, library

Edges = list[tuple[str, str]]

WEIGHTS = ("Linear", "Affine")
NODES = (
    *("Input", "Output", "NIRGraph", "Linear", "Affine", "Scale", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d"),
    *("Flatten", "Delay", "Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"),
)


@dataclass(frozen=True)
class Link:
    """One node of a chain.

    Args:
        name: its name, with those of the graphs it is in, as "lif1.w_rec".
        node: NIR's node.
        feedback: name and node of the weights through which its output comes back, or None.
    """

    name: str
    node: Any
    feedback: tuple[str, Any] | None = None

    @property
    def kind(self) -> str:
        """NIR's name of the node."""
        return type(self.node).__name__


def load_graph(path: str | os.PathLike[str]) -> Any:
    """The graph in a file, its shapes unchecked: nir 1.0.8 refuses groups and windows that are not square."""
    with h5py.File(path, "r") as file:
        for name, group in _groups("", file["node"]):
            kind = group["type"].asstr()[()]
            _check_known(name, kind)
    return library().read(path, type_check=False)


def links(graph: Any) -> list[Link]:
    """The nodes of a graph from Input to Output, both included, nested graphs put in the place of their nodes.

    Raises:
        ValueError: the graph is no chain, or has an unknown node.
    """
    nodes, edges = _inlined(graph, "")
    feedback = _feedback(nodes, edges)
    fed = {weights for weights in feedback.values()}
    edges = [(a, b) for a, b in edges if a not in fed and b not in fed]
    after = {name: [b for a, b in edges if a == name] for name in nodes if name not in fed}
    before = {name: [a for a, b in edges if b == name] for name in after}
    for name in after:
        for side, ends, edge in ((before, "inputs", "Input"), (after, "outputs", "Output")):
            kind = type(nodes[name]).__name__
            if len(side[name]) != 1 and not (kind == edge and not side[name]):
                raise ValueError(
                    f"node {name!r} ({kind}) has {len(side[name])} {ends} {side[name]}: from_nir reads chains from one "
                    f"Input to one Output, in which the output of neurons may come back through one Linear or Affine"
                )
    start = [name for name in after if not before[name]]
    if len(start) != 1:
        raise ValueError(f"the graph has {len(start)} Input nodes {start}: from_nir reads graphs with one")
    chain = [start[0]]
    while after[chain[-1]]:
        chain.append(after[chain[-1]][0])
    stray = sorted(set(after) - set(chain))
    if stray:
        raise ValueError(f"nodes {stray} are not on the way from Input to Output: from_nir reads chains")
    return [Link(name, nodes[name], _weights_of(name, nodes, feedback)) for name in chain]


def report_metadata(graph: Any, dt: float) -> None:
    """Warns of metadata, which say things that the graph does not mean."""
    ignored = []
    for name, node in _nested_nodes("", graph):
        known = METADATA if node is graph else ()
        ignored += [f"{name or 'graph'}: {key}" for key in node.metadata if key not in known]
    reset, written = graph.metadata.get("reset", "hard"), graph.metadata.get("dt", dt)
    if reset != "hard":
        ignored.append(f"graph: reset = {reset!r}")
    if not np.issubdtype(np.asarray(written).dtype, np.number):
        ignored.append(f"graph: dt = {written!r}")
        written = dt
    if ignored:
        warnings.warn(f"metadata have no meaning in NIR and are ignored: {'; '.join(ignored)}", stacklevel=3)
    if not np.isclose(float(written), dt, rtol=1e-6):
        warnings.warn(
            f"the graph was written with dt = {float(written)!r} and is read with dt = {dt!r}: its steps differ",
            stacklevel=3,
        )


def _groups(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    yield name, group
    for key, inner in group.get("nodes", {}).items():
        yield from _groups(f"{name}.{key}".lstrip("."), inner)


def _nested_nodes(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    yield name, node
    for key, inner in getattr(node, "nodes", {}).items():
        yield from _nested_nodes(f"{name}.{key}".lstrip("."), inner)


def _check_known(name: str, kind: str) -> None:
    if kind not in NODES:
        raise ValueError(f"node {name!r} is of type {kind}, which spikejax does not know: it reads {', '.join(NODES)}")


def _inlined(graph: Any, prefix: str) -> tuple[dict[str, Any], Edges]:
    """Nodes by dotted name, and edges; the Input and Output of a nested graph stay, as nodes on the way."""
    nodes: dict[str, Any] = {}
    edges: Edges = []
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for key, node in graph.nodes.items():
        name = prefix + key
        _check_known(name, type(node).__name__)
        first[key] = last[key] = name
        if type(node).__name__ == "NIRGraph":
            inner, between = _inlined(node, f"{name}.")
            nodes |= inner
            edges += between
            first[key], last[key] = _only(node.inputs, name, "Input"), _only(node.outputs, name, "Output")
        else:
            nodes[name] = node
    for a, b in graph.edges:
        for end in (a, b):
            if end not in graph.nodes:
                raise ValueError(f"edge ({prefix + a!r}, {prefix + b!r}) names {end!r}, which is no node of the graph")
        edges.append((last[a], first[b]))
    return nodes, edges


def _only(ends: dict[str, Any], name: str, kind: str) -> str:
    if len(ends) != 1:
        raise ValueError(f"graph {name!r} has {len(ends)} {kind} nodes: from_nir reads graphs with one")
    return f"{name}.{next(iter(ends))}"


def _feedback(nodes: dict[str, Any], edges: Edges) -> dict[str, str]:
    """The weights that stand in a cycle with one node and are joined to nothing else, by that node's name."""
    feedback = {}
    for name, node in nodes.items():
        ends = [(a, b) for a, b in edges if name in (a, b)]
        others = {a if b == name else b for a, b in ends}
        if type(node).__name__ in WEIGHTS and len(ends) == 2 and len(others) == 1 and ends[0] == ends[1][::-1]:
            feedback[others.pop()] = name
    return feedback


def _weights_of(name: str, nodes: dict[str, Any], feedback: dict[str, str]) -> tuple[str, Any] | None:
    return (feedback[name], nodes[feedback[name]]) if name in feedback else None
