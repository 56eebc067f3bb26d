"""What a trained network computes, found by tracing it: linear maps, activations, and how they are wired."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spikejax.convert.quantized import qcfs_p
from spikejax.internals import JaxprEqn, aval_of, bind_equation, called_program, line_of
from spikejax.jaxpr import interpret
from spikejax.nn import AvgPool, Flatten, SumPool
from spikejax.typing import Array, Shape

__all__ = ["Activation", "Function", "Node", "Synapse", "trace"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A computation on what other nodes give.

    Attributes:
        inputs: indices of the nodes that it takes; 0 is the input of the network.
        shape: shape of what it gives for one sample.
        where: the line of the program that it comes from.
    """

    inputs: tuple[int, ...]
    shape: Shape
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Synapse(Node):
    """y = W x + b: a dense layer or a convolution, channels last.

    Attributes:
        kernel: `[in, out]`, or `[*window, in / groups, out]`.
        bias: `[out]`.
        options: of a convolution, as `nnx.Conv` takes them; None for a dense layer.
    """

    kernel: Array
    bias: Array
    options: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Function(Node):
    """A linear function without bias of its inputs, or the addition of a constant: what is left as it is; or no such.

    Attributes:
        name: the operation.
        call: the function of batches `[N, *]`.
        linear: whether it is one of these.
        homogeneous: whether a factor of all inputs is one of the output, so that it may go through.
        layer: the layer of `spikejax.nn` that does the same, if there is one.
    """

    name: str
    call: Callable[..., Array] = field(repr=False)
    linear: bool = True
    homogeneous: bool = True
    layer: Any = None


@dataclass(frozen=True, kw_only=True)
class Activation(Node):
    """y = min(max(x, 0), limit), or in steps of a learnt scale; or y = x; what becomes neurons.

    Attributes:
        limit: its largest value; None for the rectifier.
        levels: number of steps of a quantised one; 0 for a continuous one.
        signed: whether it is y = x, of either sign.
    """

    limit: float | None = None
    levels: int = 0
    signed: bool = False


ADDING = {"add", "sub", "add_any", "concatenate", "pad", "select_n"}
"""Operations that are linear in all that is unknown together, and to which something known may add a constant."""
LINEAR = ADDING | {
    *("mul", "div", "neg", "convert_element_type", "copy", "stop_gradient", "reshape", "transpose", "squeeze"),
    *("broadcast_in_dim", "slice", "dynamic_slice", "gather", "rev", "expand_dims", "reduce_sum", "cumsum"),
    *("reduce_window_sum", "dot_general", "conv_general_dilated", "split"),
}
"""Operations that are linear in what is unknown of their inputs."""
LOOPS = {"scan", "while", "cond"}
"""Operations that hold a program which may not run, or more than once."""


def trace(
    ann: Callable[[Array], Array], shape: Shape, dtype: Any = jnp.float32, *, nonlinear: bool = False
) -> list[Node | None]:
    """The nodes of `ann`, in order; the first, None, stands for the input, the last gives the output.

    What does not depend on the input is computed at once; factors and constants a channel go into the weights before
    them, so that nothing is left of BatchNorm.

    Args:
        ann: a network in inference mode, a function of one batch `[N, *]`.
        shape: shape of one sample.
        dtype: dtype of the input.
        nonlinear: whether other operations than these two kinds are let through.

    Raises:
        ValueError: an operation is neither linear nor a rectifier; names it and the line where it stands.
    """
    closed = jax.make_jaxpr(ann)(jax.ShapeDtypeStruct((1, *shape), dtype))
    if len(closed.jaxpr.outvars) != 1:
        raise ValueError(f"`ann` must give one array, got {len(closed.jaxpr.outvars)}")
    tracer = _Tracer(nonlinear)
    (out,) = interpret(closed, [_Unknown(0)], tracer.equation)
    if not isinstance(out, _Unknown):
        raise ValueError("`ann` must depend on its input: its output is a constant")
    return needed(tracer.nodes, out.node)


@dataclass(frozen=True)
class _Unknown:
    """The value of a node, not known before the input is."""

    node: int


class _Tracer:
    """Collects nodes while it goes through a program, a value being an array where it is known."""

    def __init__(self, nonlinear: bool) -> None:
        self.nodes: list[Node | None] = [None]
        self.nonlinear, self.after_nonlinear = nonlinear, set[int]()

    def equation(self, eqn: JaxprEqn, given: list[Any], caller: str = "the program") -> list[Any]:
        """The results of one equation; one of a program called from the line `caller` may have no line of its own."""
        where = line_of(eqn) or caller
        program = called_program(eqn)
        if program is not None:
            return interpret(program, given, partial(self.equation, caller=where))
        name = eqn.primitive.name
        if not any(isinstance(value, _Unknown) for value in given):
            return bind_equation(eqn, given)
        found = self.activation(eqn, given, where)
        if found is not None:
            return [found]
        unknown = [value.node for value in given if isinstance(value, _Unknown)]
        linear = name in LINEAR and (len(unknown) == 1 or name in ADDING) and not _divides(name, given)
        if not linear and (not self.nonlinear or name in LOOPS):
            raise ValueError(
                f"`{name}` in {where} is neither linear nor a rectifier, and has no form in spikes: use ReLU or ReLU6, "
                f"average instead of max pooling, and no softmax before the output; or give `nonlinear` a neuron"
            )
        if any(aval_of(v).shape[:1] != (1,) for v in eqn.outvars):
            raise ValueError(f"`{name}` in {where} moves the batch from the first axis: keep it there")
        if linear and name == "dot_general" and (found := self.dense(eqn, given, unknown[0], where)) is not None:
            return [found]
        return [self.function(eqn, k, given, unknown, where, linear) for k in range(len(eqn.outvars))]

    def activation(self, eqn: JaxprEqn, given: list[Any], where: str) -> _Unknown | None:
        """The node of an activation, where the operation is one."""
        name = eqn.primitive.name
        shape = aval_of(eqn.outvars[0]).shape[1:]
        if eqn.primitive is qcfs_p:
            x, scale, levels = given
            if not isinstance(x, _Unknown) or any(isinstance(a, _Unknown) or np.ndim(a) for a in (scale, levels)):
                return None
            return self.add(
                Activation(inputs=(x.node,), shape=shape, where=where, limit=float(scale), levels=int(levels))
            )
        if name not in ("max", "min"):
            return None
        x, bound = given if isinstance(given[0], _Unknown) else given[::-1]
        if isinstance(bound, _Unknown) or x.node in self.after_nonlinear:
            return None
        if name == "max":
            plain = not np.any(bound)
            return self.add(Activation(inputs=(x.node,), shape=shape, where=where)) if plain else None
        before = self.nodes[x.node]
        if isinstance(before, Activation) and before.limit is None and np.ndim(bound) == 0:
            return self.add(replace(before, limit=float(bound)))
        return None

    def dense(self, eqn: JaxprEqn, given: list[Any], source: int, where: str) -> _Unknown | None:
        """The nodes of a product over the last axes of the input and the first of known weights."""
        ((of_input, of_kernel), batches), inputs = eqn.params["dimension_numbers"], aval_of(eqn.invars[0]).shape
        kernel, axes = given[1], len(of_input)
        if isinstance(kernel, _Unknown) or any(batches) or len(inputs) - axes < 1:
            return None
        last = tuple(range(len(inputs) - axes, len(inputs)))
        if tuple(map(int, of_input)) != last or tuple(map(int, of_kernel)) != tuple(range(axes)):
            return None
        outputs, shape = jnp.shape(kernel)[axes:], aval_of(eqn.outvars[0]).shape[1:]
        kernel = jnp.reshape(kernel, (int(np.prod(inputs[-axes:])), -1))
        flat = (*inputs[1 : len(inputs) - axes], kernel.shape[0])
        x = _Unknown(source) if axes == 1 else self.reshape(source, flat, where)
        bias = jnp.zeros(kernel.shape[1], kernel.dtype)
        y = self.add(
            Synapse(inputs=(x.node,), shape=(*flat[:-1], kernel.shape[1]), where=where, kernel=kernel, bias=bias)
        )
        return y if len(outputs) == 1 else self.reshape(y.node, shape, where)

    def reshape(self, source: int, shape: Shape, where: str) -> _Unknown:
        """The node of another shape for each sample."""
        call = lambda x: x.reshape(-1, *shape)  # noqa: E731
        layer = Flatten() if len(shape) == 1 else None
        return self.add(Function(inputs=(source,), shape=shape, where=where, name="reshape", call=call, layer=layer))

    def function(
        self, eqn: JaxprEqn, k: int, given: list[Any], unknown: list[int], where: str, linear: bool
    ) -> _Unknown:
        """The node of an operation's k-th result, joined with the synapse before it where that can be."""
        name, shape = eqn.primitive.name, tuple(aval_of(eqn.outvars[k]).shape[1:])
        before = self.nodes[unknown[0]]
        if linear:
            synapse = _convolution(eqn, given)
            if synapse is not None:
                return self.add(Synapse(inputs=(unknown[0],), shape=shape, where=where, **synapse))
            if len(unknown) == 1 and len(given) == 2 and isinstance(before, Synapse):
                joined = _joined(before, name, given)
                if joined is not None:
                    return self.add(joined)

        def one(*xs: Array) -> Array:
            rest = iter(xs)
            arguments = [next(rest)[None] if isinstance(v, _Unknown) else v for v in given]
            out = eqn.primitive.bind(*arguments, **eqn.params)
            return (out[k] if eqn.primitive.multiple_results else out)[0]

        known = [value for value in given if not isinstance(value, _Unknown)]
        homogeneous = linear and (name not in ADDING or not any(np.any(value) for value in known))
        layer, sources = self.layer(eqn, given, shape) if linear else None, tuple(unknown)
        if isinstance(layer, AvgPool) and before is not None:
            sources = before.inputs  # of the sum that the average is made of
        facts = {"linear": linear, "homogeneous": homogeneous, "layer": layer}
        return self.add(
            Function(inputs=sources, shape=shape, where=where, name=name, call=layer or jax.vmap(one), **facts)
        )

    def layer(self, eqn: JaxprEqn, given: list[Any], shape: Shape) -> Any:
        """The layer that an operation stands for, where there is one."""
        name, params, first = eqn.primitive.name, eqn.params, given[0]
        if name == "reshape" and len(shape) == 1:
            return Flatten()
        before = self.nodes[first.node] if isinstance(first, _Unknown) else None
        if name in ("div", "mul") and isinstance(before, Function) and isinstance(before.layer, SumPool):
            pool = before.layer
            size = float(np.prod(pool.window))
            if np.ndim(given[1]) == 0 and np.isclose(given[1], size if name == "div" else 1 / size):
                return AvgPool(pool.window, pool.strides, pool.padding)
        if name == "reduce_window_sum" and {*params["base_dilation"], *params["window_dilation"]} == {1}:
            window, strides = params["window_dimensions"], params["window_strides"]
            if (window[0], window[-1], strides[0], strides[-1]) == (1, 1, 1, 1):
                return SumPool(window[1:-1], strides[1:-1], tuple(map(tuple, params["padding"][1:-1])))
        return None

    def add(self, node: Node) -> _Unknown:
        """Keeps a node."""
        index = len(self.nodes)
        if isinstance(node, Function) and (not node.linear or self.after_nonlinear.intersection(node.inputs)):
            self.after_nonlinear.add(index)
        self.nodes.append(node)
        return _Unknown(index)


def _divides(name: str, given: list[Any]) -> bool:
    """Whether something known is divided by something unknown."""
    return name == "div" and isinstance(given[1], _Unknown)


def _convolution(eqn: JaxprEqn, given: list[Any]) -> dict[str, Any] | None:
    """The kernel and options of a convolution, channels last; None for every other operation."""
    if eqn.primitive.name != "conv_general_dilated" or isinstance(given[1], _Unknown):
        return None
    kernel, params = jnp.asarray(given[1]), eqn.params
    n = kernel.ndim
    last = (0, n - 1, *range(1, n - 1)), (n - 1, n - 2, *range(n - 2)), (0, n - 1, *range(1, n - 1))
    numbers = params["dimension_numbers"]
    if (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec) != last or set(params["lhs_dilation"]) != {1}:
        return None
    options = {
        "strides": params["window_strides"],
        "padding": tuple(map(tuple, params["padding"])),
        "kernel_dilation": params["rhs_dilation"],
        "feature_group_count": params["feature_group_count"],
    }
    return {"kernel": kernel, "bias": jnp.zeros(kernel.shape[-1], kernel.dtype), "options": options}


def _joined(before: Synapse, name: str, given: list[Any]) -> Synapse | None:
    """The synapse with a factor or constant a channel after it; None where it is no such thing."""
    first = isinstance(given[0], _Unknown)
    other = jnp.asarray(given[1] if first else given[0])
    if other.size not in (1, other.shape[-1] if other.ndim else 1) or (not first and name == "div"):
        return None
    values = other.reshape(-1)
    if name in ("mul", "div"):
        factor = 1 / values if name == "div" else values
        return replace(before, kernel=before.kernel * factor, bias=before.bias * factor)
    if name not in ("add", "sub", "add_any"):
        return None
    if name == "sub" and not first:
        return replace(before, kernel=-before.kernel, bias=values - before.bias)
    return replace(before, bias=before.bias - values if name == "sub" else before.bias + values)


def needed(nodes: list[Node | None], out: int) -> list[Node | None]:
    """The nodes that the output needs, in the same order."""
    needed = {0, out}
    for index in range(out, 0, -1):
        node = nodes[index]
        if index in needed and node is not None:
            needed |= set(node.inputs)
    order = sorted(needed)
    place = {old: new for new, old in enumerate(order)}
    found: list[Node | None] = [None]
    for old in order[1:]:
        node = nodes[old]
        if node is not None:
            found.append(replace(node, inputs=tuple(place[i] for i in node.inputs)))
    return found
