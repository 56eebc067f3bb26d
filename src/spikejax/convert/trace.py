"""A trained network as nodes, by tracing it: products with weights, activations, and how they are wired."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from spikejax.convert.graph import live_nodes
from spikejax.convert.layers import equivalent_layer
from spikejax.convert.nodes import ActivationNode, FunctionNode, GraphNode, WeightNode
from spikejax.convert.products import convolution_options, dense_product, fold_constant
from spikejax.convert.quantized import qcfs_p
from spikejax.internals import JaxprEqn, aval_of, bind_equation, called_program, line_of
from spikejax.jaxpr import interpret
from spikejax.nn import AvgPool, Flatten
from spikejax.typing import Array, Shape

__all__ = ["trace"]

ADDITIVE = {"add", "sub", "add_any", "concatenate", "pad", "select_n"}
"""Operations that are linear in all unknown operands together; a known operand adds a constant."""
LINEAR_OPERATIONS = ADDITIVE | {
    *("mul", "div", "neg", "convert_element_type", "copy", "stop_gradient", "reshape", "transpose", "squeeze"),
    *("broadcast_in_dim", "slice", "dynamic_slice", "gather", "rev", "expand_dims", "reduce_sum", "cumsum"),
    *("reduce_window_sum", "dot_general", "conv_general_dilated", "split"),
}
"""Operations that are linear in their unknown operand."""
CONTROL_FLOW = {"scan", "while", "cond"}
"""Operations that hold a program which may not run, or more than once."""


def trace(
    ann: Callable[[Array], Array], shape: Shape, dtype: DTypeLike = jnp.float32, *, nonlinear: bool = False
) -> list[GraphNode | None]:
    """The nodes of `ann`, in order; the first, None, stands for the input, the last gives the output.

    Everything that does not depend on the input is computed at once; factors and constants of channels go into the
    weights before them, so that nothing is left of BatchNorm.

    Args:
        ann: a network in inference mode, a function of one batch `[N, *]`.
        shape: shape of one sample.
        dtype: dtype of the input.
        nonlinear: True accepts operations that are neither linear nor a rectifier.

    Raises:
        ValueError: an operation is neither linear nor a rectifier; names it and the line where it stands.
    """
    program = jax.make_jaxpr(ann)(jax.ShapeDtypeStruct((1, *shape), dtype))
    if len(program.out_avals) != 1:
        raise ValueError(f"`ann` must give one array, got {len(program.out_avals)}")
    tracer = _Tracer(nonlinear)
    (out,) = interpret(program, [_Unknown(0)], tracer.equation)
    if not isinstance(out, _Unknown):
        raise ValueError("`ann` must depend on its input: its output is a constant")
    return live_nodes(tracer.nodes, out.node)


@dataclass(frozen=True)
class _Unknown:
    """The value of a node, unknown until the network has an input."""

    node: int


_Value: TypeAlias = _Unknown | ArrayLike


class _Tracer:
    """Collects nodes while it interprets a program on unknown and known values."""

    def __init__(self, nonlinear: bool) -> None:
        self.nodes: list[GraphNode | None] = [None]
        self.nonlinear, self.after_nonlinear = nonlinear, set[int]()

    def equation(self, equation: JaxprEqn, inputs: list[_Value], caller: str = "the program") -> Sequence[_Value]:
        """The results of one equation; in a program called from the line `caller` it may have no line of its own."""
        line = line_of(equation) or caller
        program = called_program(equation)
        if program is not None:
            return interpret(program, inputs, partial(self.equation, caller=line))
        if not any(isinstance(a, _Unknown) for a in inputs):
            return bind_equation(equation, inputs)
        activation = self.activation(equation, inputs, line)
        return self.operation(equation, inputs, line) if activation is None else [activation]

    def activation(self, equation: JaxprEqn, inputs: list[_Value], line: str) -> _Unknown | None:
        """The node of an activation; None for other operations."""
        name, is_qcfs = equation.primitive.name, equation.primitive is qcfs_p
        if not is_qcfs and name not in ("max", "min"):
            return None
        x = next(a for a in inputs if isinstance(a, _Unknown))
        constants = [np.asarray(a) for a in inputs if not isinstance(a, _Unknown)]
        node = ActivationNode(inputs=(x.node,), shape=aval_of(equation.outvars[0]).shape[1:], line=line)
        if is_qcfs:
            if inputs[0] is not x or len(constants) < 2 or any(a.ndim for a in constants):
                return None
            scale, levels = constants
            return self.add(replace(node, limit=float(scale), levels=int(levels)))
        if not constants or x.node in self.after_nonlinear:
            return None
        (bound,), before = constants, self.nodes[x.node]
        if name == "max" and not bound.any():
            return self.add(node)
        if name == "min" and isinstance(before, ActivationNode) and before.limit is None and bound.ndim == 0:
            return self.add(replace(before, limit=float(bound)))
        return None

    def operation(self, equation: JaxprEqn, inputs: list[_Value], line: str) -> list[_Unknown]:
        """The nodes of the results of any other operation on unknown values."""
        name, unknown = equation.primitive.name, [a.node for a in inputs if isinstance(a, _Unknown)]
        linear = name in LINEAR_OPERATIONS and (len(unknown) == 1 or name in ADDITIVE)
        linear = linear and not (name == "div" and isinstance(inputs[1], _Unknown))
        if not linear and (not self.nonlinear or name in CONTROL_FLOW):
            raise ValueError(
                f"`{name}` in {line} is neither linear nor a rectifier, and has no form in spikes: use ReLU or ReLU6, "
                f"average instead of max pooling, and no softmax before the output; or give `nonlinear` a neuron"
            )
        if any(aval_of(v).shape[:1] != (1,) for v in equation.outvars):
            raise ValueError(f"`{name}` in {line} moves the batch from the first axis: keep it there")
        product = self.product(equation, inputs, line) if linear else None
        if product is not None:
            return [product]
        return [self.function(equation, k, inputs, linear, line) for k in range(len(equation.outvars))]

    def product(self, equation: JaxprEqn, inputs: list[_Value], line: str) -> _Unknown | None:
        """The node of a product with weights, or of a factor or constant that the weights before it take in."""
        if len(inputs) != 2 or all(isinstance(a, _Unknown) for a in inputs):
            return None
        name, first, second = equation.primitive.name, *inputs
        if isinstance(first, _Unknown) and not isinstance(second, _Unknown):
            if name == "dot_general":
                return self.dense(equation, first, second, line)
            if name == "conv_general_dilated":
                return self.convolution(equation, first, second, line)
        x, constant = (first, second) if isinstance(first, _Unknown) else (second, first)
        before = self.nodes[x.node] if isinstance(x, _Unknown) else None
        if not isinstance(before, WeightNode) or isinstance(constant, _Unknown):
            return None
        folded = fold_constant(before, name, constant, constant_first=constant is first)
        return None if folded is None else self.add(folded)

    def dense(self, equation: JaxprEqn, x: _Unknown, kernel: ArrayLike, line: str) -> _Unknown | None:
        """The node of a dense layer, between reshapes if the product is over several axes."""
        product = dense_product(equation, kernel)
        if product is None:
            return None
        matrix, inputs, outputs = product
        if inputs != aval_of(equation.invars[0]).shape[1:]:
            x = self.reshape(x, inputs, line)
        bias, shape = jnp.zeros(matrix.shape[1], matrix.dtype), (*inputs[:-1], matrix.shape[1])
        y = self.add(WeightNode(inputs=(x.node,), shape=shape, line=line, kernel=matrix, bias=bias))
        return y if shape == outputs else self.reshape(y, outputs, line)

    def convolution(self, equation: JaxprEqn, x: _Unknown, kernel: ArrayLike, line: str) -> _Unknown | None:
        """The node of a convolution with channels last."""
        kernel = jnp.asarray(kernel)
        options = convolution_options(equation, kernel.ndim)
        if options is None:
            return None
        shape, bias = aval_of(equation.outvars[0]).shape[1:], jnp.zeros(kernel.shape[-1], kernel.dtype)
        return self.add(WeightNode(inputs=(x.node,), shape=shape, line=line, kernel=kernel, bias=bias, options=options))

    def reshape(self, x: _Unknown, shape: Shape, line: str) -> _Unknown:
        """The node of another shape for each sample."""
        call = lambda x: x.reshape(-1, *shape)  # noqa: E731
        layer = Flatten() if len(shape) == 1 else None
        return self.add(FunctionNode(inputs=(x.node,), shape=shape, line=line, name="reshape", call=call, layer=layer))

    def function(self, equation: JaxprEqn, k: int, inputs: list[_Value], linear: bool, line: str) -> _Unknown:
        """The node of the k-th result of an operation that stays as it is."""
        name, shape = equation.primitive.name, tuple(aval_of(equation.outvars[k]).shape[1:])
        sources = tuple(a.node for a in inputs if isinstance(a, _Unknown))
        constants = [a for a in inputs if not isinstance(a, _Unknown)]

        def one_sample(*xs: Array) -> Array:
            rest = iter(xs)
            operands = [next(rest)[None] if isinstance(a, _Unknown) else a for a in inputs]
            return bind_equation(equation, operands)[k][0]

        homogeneous = linear and (name not in ADDITIVE or not any(np.any(a) for a in constants))
        before = self.nodes[inputs[0].node] if isinstance(inputs[0], _Unknown) else None
        factor = constants[0] if before is not None and len(constants) == 1 else None
        layer = equivalent_layer(equation, before, factor, shape) if linear else None
        if isinstance(layer, AvgPool) and before is not None:
            sources = before.inputs  # of the sum that the average is made of
        return self.add(
            FunctionNode(
                inputs=sources,
                shape=shape,
                line=line,
                name=name,
                call=layer or jax.vmap(one_sample),
                linear=linear,
                homogeneous=homogeneous,
                layer=layer,
            )
        )

    def add(self, node: GraphNode) -> _Unknown:
        """The value of a new node."""
        index = len(self.nodes)
        if isinstance(node, FunctionNode) and (not node.linear or self.after_nonlinear.intersection(node.inputs)):
            self.after_nonlinear.add(index)
        self.nodes.append(node)
        return _Unknown(index)
