"""Operations of a traced network that a layer of `spikejax.nn` computes as well."""

import numpy as np
from jax.typing import ArrayLike

from spikejax.convert.nodes import FunctionNode, GraphNode
from spikejax.internals import JaxprEqn
from spikejax.nn import AvgPool, Flatten, SumPool
from spikejax.typing import Shape


def equivalent_layer(
    equation: JaxprEqn, before: GraphNode | None, constant: ArrayLike | None, shape: Shape
) -> AvgPool | SumPool | Flatten | None:
    """The layer that computes the same as an operation, or None.

    Args:
        equation: the operation.
        before: the node of its first operand; None for the input of the network, or a constant.
        constant: its second operand if that is constant, or None.
        shape: shape of one sample of its result.
    """
    name = equation.primitive.name
    if name == "reshape" and len(shape) == 1:
        return Flatten()
    if name in ("div", "mul") and isinstance(before, FunctionNode) and isinstance(before.layer, SumPool):
        return _average(before.layer, name, constant)
    return _sum_pool(equation) if name == "reduce_window_sum" else None


def _average(pool: SumPool, name: str, constant: ArrayLike | None) -> AvgPool | None:
    """The average of a sum that is divided by the size of its window."""
    size = float(np.prod(pool.window))
    if constant is None or np.ndim(constant) or not np.isclose(constant, size if name == "div" else 1 / size):
        return None
    return AvgPool(pool.window, pool.strides, pool.padding)


def _sum_pool(equation: JaxprEqn) -> SumPool | None:
    """The sum over windows of neighbours, each batch and channel on its own."""
    params = equation.params
    window, strides = params["window_dimensions"], params["window_strides"]
    dilations = {*params["base_dilation"], *params["window_dilation"]}
    if dilations != {1} or (window[0], window[-1], strides[0], strides[-1]) != (1, 1, 1, 1):
        return None
    return SumPool(window[1:-1], strides[1:-1], tuple(map(tuple, params["padding"][1:-1])))
