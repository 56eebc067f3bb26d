"""What lies between synapses and activations, where it is not linear, as one function."""

from collections.abc import Sequence
from dataclasses import replace

from spikejax.convert.trace import Activation, Function, Node, Synapse, needed
from spikejax.typing import Array


def join(nodes: Sequence[Node | None]) -> list[Node | None]:
    """Joins operations that are not linear with those around them; what a synapse takes of them becomes an activation.

    The level of a node is the number of synapses and activations on the longest way to it. No way leaves a level and
    comes back, so all operations of one level that lead to the same node can be one function of what lies below.
    """
    level = _levels(nodes)
    wanted = {len(nodes) - 1}
    for i, node in enumerate(nodes):
        if node is not None:
            own = isinstance(node, Function)
            wanted |= {j for j in node.inputs if not own or level[j] < level[i]}
    found: list[Node | None] = [None]
    place, spiking = {0: 0}, dict[int, int]()
    for i, node in enumerate(nodes):
        if node is None:
            continue
        if isinstance(node, Function) and i in wanted:
            node = _cone(nodes, level, i)
        sources = tuple(place[j] for j in node.inputs)
        if isinstance(node, Synapse):
            sources = tuple(_fires(found, spiking, j) for j in sources)
        found.append(replace(node, inputs=sources))
        place[i] = len(found) - 1
    return needed(found, place[len(nodes) - 1])


def _levels(nodes: Sequence[Node | None]) -> list[int]:
    level = [0]
    for node in nodes[1:]:
        if node is not None:
            below = max((level[j] for j in node.inputs), default=0)
            level.append(below + (not isinstance(node, Function)))
    return level


def _cone(nodes: Sequence[Node | None], level: list[int], top: int) -> Function:
    """The function that leads to `top` through its level; `top` itself where all of it is linear."""
    inside, inputs = _inside(nodes, level, top)
    functions = [(i, nodes[i]) for i in inside]
    node = nodes[top]
    if all(f.linear for _, f in functions if isinstance(f, Function)) or not isinstance(node, Function):
        return node  # pyright: ignore[reportReturnType]

    def call(*xs: Array) -> Array:
        values = dict(zip(inputs, xs, strict=True))
        for i, function in functions:
            values[i] = function.call(*(values[j] for j in function.inputs))  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        return values[top]

    names = "+".join(f.name for _, f in functions if isinstance(f, Function) and not f.linear)
    return replace(node, inputs=inputs, name=names, call=call, linear=False, homogeneous=False, layer=None)


def _inside(nodes: Sequence[Node | None], level: list[int], top: int) -> tuple[list[int], tuple[int, ...]]:
    """The functions of one level that lead to `top`, in order, and what they take from below."""
    inside, inputs, todo = {top}, set[int](), [top]
    while todo:
        for j in getattr(nodes[todo.pop()], "inputs", ()):
            if isinstance(nodes[j], Function) and level[j] == level[top]:
                if j not in inside:
                    inside.add(j)
                    todo.append(j)
            else:
                inputs.add(j)
    return sorted(inside), tuple(sorted(inputs))


def _fires(found: list[Node | None], spiking: dict[int, int], source: int) -> int:
    """The place of the activation behind what is not linear; any other place as it is."""
    node = found[source]
    if not isinstance(node, Function) or node.linear:
        return source
    if source not in spiking:
        found.append(Activation(inputs=(source,), shape=node.shape, where=node.where, signed=True))
        spiking[source] = len(found) - 1
    return spiking[source]
