"""Branches of a network that meet again."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from spikejax.nn.cell_module import Layer
from spikejax.nn.graph import Graph
from spikejax.typing import Array


def _total(*ys: Array) -> Array:
    return sum(ys[1:], ys[0])


def _inhibit(a: Array, s: Array) -> Array:
    return (1 - a) * s


MEET: dict[str, Callable[[Array, Array], Array]] = {"add": jnp.add, "and": jnp.multiply, "iand": _inhibit}
"""How the two branches of a `Residual` meet."""

JOIN: dict[str, Callable[..., Array]] = {"sum": _total, "concatenate": lambda *ys: jnp.concatenate(ys, axis=-1)}
"""How the branches of a `Parallel` meet."""


class Residual(Graph):
    """A network with a connection past it; itself a cell.

        y = g(A, S)      A = body(x), S = shortcut(x) or x

        g(A, S) = A + S          join="add"
        g(A, S) = A S            join="and"
        g(A, S) = (1 - A) S      join="iand"

    With a body that ends in neurons this is the spike-element-wise block: where the body is silent, "add" and "iand"
    are the identity, so that deep networks start from a good place. "add" gives 0, 1 and 2; the others keep spikes.
    The body is layer 0, the shortcut, if there is one, layer 1: `residual[0]`, or "0.1.spikes" for a record.

    Args:
        body: a layer or network.
        shortcut: a layer or network that gives the shape of the body's output; None is the identity.
        join: "add", "and", "iand", or a function g(A, S) of two batches.

    Raises:
        ValueError: `join` is unknown, or, by `init_state`, the branches differ in shape.
        TypeError: `body` or `shortcut` is no layer.

    Source: Fang et al., "Deep Residual Learning in Spiking Neural Networks", 2021, table 1.
    """

    def __init__(
        self, body: Layer, shortcut: Layer | None = None, join: str | Callable[[Array, Array], Array] = "add"
    ) -> None:
        meet = _chosen(join, MEET)
        if shortcut is None:
            super().__init__([body, meet], [[0], [1, 0]])
        else:
            super().__init__([body, shortcut, meet], [[0], [0], [1, 2]])


class Parallel(Graph):
    """Branches that see the same input, and whose outputs are joined; itself a cell.

        y = join(branches[0](x), branches[1](x), ...)

    The branches are layers 0, 1, ...: `parallel[1]`, or "1.0.spikes" for a record.

    Args:
        *branches: layers or networks.
        join: "sum", "concatenate" (along the last axis), or a function of the outputs `[N, *]`.

    Raises:
        ValueError: there is no branch, `join` is unknown, or, by `init_state`, the outputs do not fit together.
        TypeError: a branch is no layer.
    """

    def __init__(self, *branches: Layer, join: str | Callable[..., Array] = "sum") -> None:
        if not branches:
            raise ValueError("`branches` must not be empty: Parallel needs at least one layer")
        inputs = [*([0] for _ in branches), list(range(1, len(branches) + 1))]
        super().__init__([*branches, _chosen(join, JOIN)], inputs)


def _chosen(join: Any, known: dict[str, Callable[..., Array]]) -> Any:
    """The function that `join` names, or is."""
    if isinstance(join, str) and join in known:
        return known[join]
    if isinstance(join, str) or not callable(join):
        names = ", ".join(map(repr, known))
        raise ValueError(f"`join` must be {names} or a function of the outputs, got {join!r}")
    return join
