"""The equations of a cell, traced by JAX, as ONNX operators."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from spikejax.export.onnx.graph import OnnxGraph, Tensor, Value
from spikejax.internals import ClosedJaxpr, JaxprEqn, aval_of, bind_equation
from spikejax.jaxpr import inlined, interpret


class UntranslatableError(ValueError):
    """A cell's equations use something that has no ONNX form here."""


def translate(graph: OnnxGraph, program: ClosedJaxpr, args: Sequence[Value]) -> list[Value]:
    """Adds the equations of one step to the graph.

    Values that follow from constants alone, such as `1 / tau`, are computed now, in single precision.

    Args:
        graph: what they are added to.
        program: elementwise, traced for one sample with its channels last.
        args: tensors with their channels second, and constants with their channels last.

    Returns:
        The outputs of the program, tensors and constants likewise.

    Raises:
        UntranslatableError: there is no operator for a primitive, or it is not elementwise.
    """
    outs = interpret(program, args, inlined(partial(_operation, graph)))
    outs = map(_in_shape, outs, program.jaxpr.outvars)
    return [out if isinstance(out, Tensor) else _as_numpy(out) for out in outs]


def channels_first(array: np.ndarray) -> np.ndarray:
    """A constant `[1, *space, C]` as `[1, C, *space]`; an axis along condition nothing changes shrinks to 1."""
    for axis, size in enumerate(array.shape):
        one = array.take([0], axis)
        array = one if size > 1 and (array == one).all() else array
    if array.size == 1:
        return array.reshape(())
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def _operation(graph: OnnxGraph, equation: JaxprEqn, inputs: list[Any]) -> list[Any]:
    inputs = list(map(_in_shape, inputs, equation.invars))
    if not any(isinstance(a, Tensor) for a in inputs):
        return bind_equation(equation, inputs)
    name = equation.primitive.name
    if name not in OPERATOR_RULES:
        raise UntranslatableError(f"`{name}` has no operator")
    tensors = [a for a, x in zip(equation.invars, inputs, strict=True) if isinstance(x, Tensor)]
    if any(aval_of(a).shape != aval_of(tensors[0]).shape for a in (*tensors, equation.outvars[0])):
        raise UntranslatableError(f"`{name}` does not treat each neuron on its own")
    operands = [a if isinstance(a, Tensor) else channels_first(_as_numpy(a)) for a in inputs]
    return [OPERATOR_RULES[name](graph, equation.params, *operands)]


def _in_shape(value: Any, a: Any) -> Any:
    """A constant in the shape of its variable, a tensor as it is."""
    if isinstance(value, Tensor):
        return value
    value = value if isinstance(value, jax.Array) else np.asarray(value)
    return value if value.shape == aval_of(a).shape else jnp.broadcast_to(value, aval_of(a).shape)


def _as_numpy(value: Any) -> Any:
    return value if jnp.issubdtype(value.dtype, jax.dtypes.extended) else np.asarray(value)


Params = Mapping[str, Any]
"""Parameters of a primitive, by name."""

OperatorRule = Callable[..., Value]
"""`(graph, params, *operands)` to what the primitive gives; at least one operand is a tensor."""


def _op(name: str) -> OperatorRule:
    return lambda graph, params, *operands: graph.add(name, *operands)


def _is(value: Value, number: float) -> bool:
    return isinstance(value, np.ndarray) and bool((value == number).all())


def _add(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    return b if _is(a, 0) else a if _is(b, 0) else graph.add("Add", a, b)


def _subtract(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    return a if _is(b, 0) else graph.add("Sub", a, b)


def _multiply(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    if _is(a, 0) or _is(b, 0):
        return np.zeros((), np.float32)
    return b if _is(a, 1) else a if _is(b, 1) else graph.add("Mul", a, b)


def _divide(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    if _is(a, 0) or _is(b, np.inf):
        return np.zeros((), np.float32)
    return a if _is(b, 1) else graph.add("Div", a, b)


def _at_least(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    return graph.add("GreaterOrEqual", a, b) if graph.opset >= 12 else graph.add("Not", graph.add("Less", a, b))


def _at_most(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    return _at_least(graph, params, b, a)


def _differ(graph: OnnxGraph, params: Params, a: Value, b: Value) -> Value:
    return graph.add("Not", graph.add("Equal", a, b))


def _select(graph: OnnxGraph, params: Params, condition: Value, *cases: Value) -> Value:
    if len(cases) != 2 or condition.dtype != bool:
        raise UntranslatableError("`select_n` chooses among more than two")
    return graph.add("Where", condition, cases[1], cases[0])


def _logic(name: str) -> OperatorRule:
    def rule(graph: OnnxGraph, params: Params, *operands: Value) -> Value:
        if any(a.dtype != bool for a in operands):
            raise UntranslatableError(f"`{name.lower()}` of whole numbers has no operator")
        return graph.add(name, *operands)

    return rule


def _convert(graph: OnnxGraph, params: Params, a: Tensor) -> Value:
    new = np.dtype(params["new_dtype"])
    if jnp.issubdtype(new, jnp.floating):
        return a if a.dtype != bool else graph.add("Cast", a, to=graph.dtype)
    if new.kind == "b":
        return a if a.dtype == bool else _differ(graph, params, a, np.zeros((), np.float32))
    raise UntranslatableError(f"`convert_element_type` to {new} leaves the floating-point numbers")


def _power(graph: OnnxGraph, params: Params, a: Tensor) -> Value:
    product: Value = reduce(lambda x, y: graph.add("Mul", x, y), [a] * abs(params["y"]))
    return product if params["y"] > 0 else graph.add("Div", np.ones((), np.float32), product)


def _round(graph: OnnxGraph, params: Params, a: Tensor) -> Value:
    if params["rounding_method"] != lax.RoundingMethod.TO_NEAREST_EVEN:
        raise UntranslatableError("`round` away from zero has no operator: round to even, as jnp.round does")
    return graph.add("Round", a)


OPERATOR_RULES: dict[str, OperatorRule] = {
    **{name: _op(name.capitalize()) for name in ("abs", "atan", "ceil", "cos", "erf", "exp", "floor", "log", "max")},
    **{name: _op(name.capitalize()) for name in ("min", "neg", "pow", "sign", "sin", "sqrt", "tan", "tanh")},
    **{name: _logic(name.capitalize()) for name in ("and", "or", "xor", "not")},
    **{name: lambda graph, params, a: a for name in ("broadcast_in_dim", "copy", "reshape", "stop_gradient")},
    "add": _add,
    "add_any": _add,
    "clamp": lambda graph, params, low, a, high: graph.add("Min", graph.add("Max", a, low), high),
    "convert_element_type": _convert,
    "div": _divide,
    "eq": _op("Equal"),
    "expm1": lambda graph, params, a: graph.add("Sub", graph.add("Exp", a), np.ones((), np.float32)),
    "ge": _at_least,
    "gt": lambda graph, params, a, b: graph.add("Less", b, a),
    "integer_pow": _power,
    "le": _at_most,
    "log1p": lambda graph, params, a: graph.add("Log", graph.add("Add", a, np.ones((), np.float32))),
    "logistic": _op("Sigmoid"),
    "lt": _op("Less"),
    "mul": _multiply,
    "ne": _differ,
    "round": _round,
    "rsqrt": lambda graph, params, a: graph.add("Div", np.ones((), np.float32), graph.add("Sqrt", a)),
    "select_n": _select,
    "square": lambda graph, params, a: graph.add("Mul", a, a),
    "sub": _subtract,
}
"""Primitives of JAX, and how to write them."""
