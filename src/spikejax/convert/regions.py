"""Functions that are not linear, joined with the operations around them, between products and activations."""

from dataclasses import replace

from spikejax.convert.graph import NodeList, live_nodes
from spikejax.convert.nodes import ActivationNode, FunctionNode, GraphNode, WeightNode
from spikejax.typing import Array


def join_functions(nodes: NodeList) -> list[GraphNode | None]:
    """Joins operations that are not linear with those around them; an activation goes between them and weights.

    The level of a node is the number of products and activations on the longest path to it. No path leaves a level and
    comes back, so all operations of one level that lead to the same node can be one function of the levels below.
    """
    levels = _levels(nodes)
    used = {len(nodes) - 1}
    for i, node in enumerate(nodes):
        if node is not None:
            is_function = isinstance(node, FunctionNode)
            used |= {j for j in node.inputs if not is_function or levels[j] < levels[i]}
    joined: list[GraphNode | None] = [None]
    number, spiking = {0: 0}, dict[int, int]()
    for i, node in enumerate(nodes):
        if node is None:
            continue
        if isinstance(node, FunctionNode) and i in used:
            node = _joined(nodes, levels, i, node)
        sources = tuple(number[j] for j in node.inputs)
        if isinstance(node, WeightNode):
            sources = tuple(_spiking_source(joined, spiking, j) for j in sources)
        joined.append(replace(node, inputs=sources))
        number[i] = len(joined) - 1
    return live_nodes(joined, number[len(nodes) - 1])


def _levels(nodes: NodeList) -> list[int]:
    levels = [0]
    for node in nodes[1:]:
        if node is not None:
            below = max((levels[j] for j in node.inputs), default=0)
            levels.append(below + (not isinstance(node, FunctionNode)))
    return levels


def _joined(nodes: NodeList, levels: list[int], top: int, node: FunctionNode) -> FunctionNode:
    """All operations of one level that lead to `node`, at index `top`, as one; `node` itself if all are linear."""
    functions, inputs = _region(nodes, levels, top)
    if all(function.linear for function in functions.values()):
        return node

    def call(*xs: Array) -> Array:
        values = dict(zip(inputs, xs, strict=True))
        for i, function in functions.items():
            values[i] = function.call(*(values[j] for j in function.inputs))
        return values[top]

    name = "+".join(function.name for function in functions.values() if not function.linear)
    return replace(node, inputs=inputs, name=name, call=call, linear=False, homogeneous=False, layer=None)


def _region(nodes: NodeList, levels: list[int], top: int) -> tuple[dict[int, FunctionNode], tuple[int, ...]]:
    """The functions of one level that lead to `top`, in order and by index, and the nodes below that they read."""
    region, inputs, todo = dict[int, FunctionNode](), set[int](), [top]
    while todo:
        i = todo.pop()
        node = nodes[i]
        if isinstance(node, FunctionNode) and levels[i] == levels[top]:
            if i not in region:
                region[i] = node
                todo += node.inputs
        else:
            inputs.add(i)
    return dict(sorted(region.items())), tuple(sorted(inputs))


def _spiking_source(joined: list[GraphNode | None], spiking: dict[int, int], source: int) -> int:
    """The index of an activation behind `source` if that is not linear, made if there is none; else `source`."""
    node = joined[source]
    if not isinstance(node, FunctionNode) or node.linear:
        return source
    if source not in spiking:
        joined.append(ActivationNode(inputs=(source,), shape=node.shape, line=node.line, signed=True))
        spiking[source] = len(joined) - 1
    return spiking[source]
