"""Lists of nodes, in order; the first, None, stands for the input of the network, the last gives its output."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from spikejax.convert.nodes import ActivationNode, GraphNode
from spikejax.typing import Array

NodeList = Sequence[GraphNode | None]


def evaluate_nodes(
    nodes: NodeList, x: Array, on_activation: Callable[[int, Array], Array] = lambda index, y: y
) -> Array:
    """The output of a network for a batch `[N, *]`.

    Args:
        nodes: the network.
        x: the batch.
        on_activation: `(index, y)`, called with the value of every activation, to the value that takes its place.
    """
    values = [x]
    for index, node in enumerate(nodes):
        if node is not None:
            y = node.apply(*(values[i] for i in node.inputs))
            values.append(on_activation(index, y) if isinstance(node, ActivationNode) else y)
    return values[-1]


def live_nodes(nodes: NodeList, out: int) -> list[GraphNode | None]:
    """The nodes on which the node `out` depends, in the same order, and numbered anew."""
    live = {0, out}
    for index in range(out, 0, -1):
        node = nodes[index]
        if index in live and node is not None:
            live |= set(node.inputs)
    order = sorted(live)
    number = {old: new for new, old in enumerate(order)}
    result: list[GraphNode | None] = [None]
    for old in order[1:]:
        node = nodes[old]
        if node is not None:
            result.append(replace(node, inputs=tuple(number[i] for i in node.inputs)))
    return result
