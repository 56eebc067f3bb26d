"""Products of an activation with weights, as traced, and the factors and constants that their weights take in."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from spikejax.convert.nodes import WeightNode, channels_last_numbers
from spikejax.internals import JaxprEqn, aval_of
from spikejax.typing import Array, Shape


class DenseProduct(NamedTuple):
    """A product over the last axes of an activation.

    Attributes:
        kernel: `[in, out]`, its axes on either side joined.
        inputs: shape of one sample with the axes of the product joined.
        outputs: shape of one sample of the result, the axes of the kernel still apart.
    """

    kernel: Array
    inputs: Shape
    outputs: Shape


def dense_product(equation: JaxprEqn, kernel: ArrayLike) -> DenseProduct | None:
    """A `dot_general` as a dense layer, or None for products over other axes than a dense layer has."""
    (of_input, of_kernel), batches = equation.params["dimension_numbers"]
    inputs, axes = aval_of(equation.invars[0]).shape, len(of_input)
    if any(batches) or len(inputs) - axes < 1:
        return None
    last = tuple(range(len(inputs) - axes, len(inputs)))
    if tuple(map(int, of_input)) != last or tuple(map(int, of_kernel)) != tuple(range(axes)):
        return None
    matrix = jnp.reshape(kernel, (int(np.prod(inputs[-axes:])), -1))
    outputs = aval_of(equation.outvars[0]).shape[1:]
    return DenseProduct(matrix, (*inputs[1 : len(inputs) - axes], matrix.shape[0]), outputs)


def convolution_options(equation: JaxprEqn, rank: int) -> dict[str, Any] | None:
    """The options of a convolution as `nnx.Conv` takes them, or None if its channels are not last.

    Args:
        equation: a `conv_general_dilated`.
        rank: number of axes of its kernel.
    """
    params = equation.params
    numbers, last = params["dimension_numbers"], channels_last_numbers(rank)
    if (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec) != (last.lhs_spec, last.rhs_spec, last.out_spec):
        return None
    if set(params["lhs_dilation"]) != {1}:
        return None
    return {
        "strides": params["window_strides"],
        "padding": tuple(map(tuple, params["padding"])),
        "kernel_dilation": params["rhs_dilation"],
        "feature_group_count": params["feature_group_count"],
    }


def fold_constant(node: WeightNode, operation: str, constant: ArrayLike, *, constant_first: bool) -> WeightNode | None:
    """The node with a factor or summand behind it in its weights; None for one that its weights cannot express.

    Args:
        node: the node.
        operation: the primitive behind it: "mul", "div", "add", "add_any" or "sub"; all others give None.
        constant: its other operand, one number or one a channel.
        constant_first: True if the constant is the first operand.
    """
    constant = jnp.asarray(constant)
    if constant.size not in (1, constant.shape[-1] if constant.ndim else 1):
        return None
    values, kernel, bias = constant.reshape(-1), node.kernel, node.bias
    match operation, constant_first:
        case "mul", _:
            return replace(node, kernel=kernel * values, bias=bias * values)
        case "div", False:
            return replace(node, kernel=kernel * (1 / values), bias=bias * (1 / values))
        case "add" | "add_any", _:
            return replace(node, bias=bias + values)
        case "sub", False:
            return replace(node, bias=bias - values)
        case "sub", True:
            return replace(node, kernel=-kernel, bias=values - bias)
    return None
