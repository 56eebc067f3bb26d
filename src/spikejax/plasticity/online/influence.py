"""The influence of parameters on a cell's state, carried from step to step, and its way into the loss of one step.

P = d state / d theta           the influence, one array `[K, N, *]` a variable of the state
state + P (theta - theta)       its value is the state, its derivative for theta is P
"""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import floats, has_gradient, with_floats
from spikejax.nn.linear_map import LinearMap, is_linear_layer
from spikejax.plasticity.online.columns import Columns, columns_of
from spikejax.plasticity.online.signal import Signal, StepFunction
from spikejax.typing import Array, Shape, State

Influence = list[Array]
"""One array `[K, N, *]` a variable: of the K entries of a parameter on which each neuron depends."""

CellStep = Callable[[ChargeFireReset, State, Array], tuple[State, Array]]
"""One step of a cell: `(cell, state, x)` to the next state and the output."""


_Values = TypeVar("_Values")
_Theta = TypeVar("_Theta")
_Constants = TypeVar("_Constants")


class LocalParameter(NamedTuple):
    """A parameter, seen from the neurons of a cell.

    Attributes:
        theta: its entries on which each neuron depends, `[K, 1, *]`, with the axes of the state or 1.
        current: d input current / d theta `[K, N, *]`; None for a parameter of the cell itself.
        number: which of the cell's arrays it is; None for one of a layer before the cell.
    """

    theta: Array
    current: Array | None
    number: int | None


class UnfollowedError(ValueError):
    """A parameter acts on a neuron in a way that influences do not cover."""


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def attach(
    function: Callable[[_Theta, _Constants], _Values], values: _Values, theta: _Theta, constants: _Constants
) -> _Values:
    """`values`, whose derivative for `theta` is that of `function(theta, constants)`."""
    return values


@attach.defjvp
def _attach_jvp(
    function: Callable[[_Theta, _Constants], _Values],
    primals: tuple[_Values, _Theta, _Constants],
    tangents: tuple[_Values, _Theta, _Constants],
) -> tuple[_Values, _Values]:
    values, theta, constants = primals
    _, change = jax.jvp(lambda theta: function(theta, constants), (theta,), (tangents[1],))
    return values, jax.tree.map(lambda a, b: a + b.astype(a.dtype), tangents[0], change)


def contract(theta: dict[str, Array], influences: dict[str, Influence]) -> Influence:
    """The change of each variable under a change of the parameters: sum over k and parameters of P[k] theta[k]."""
    changes = [[(p * theta[name]).sum(0) for p in influence] for name, influence in influences.items()]
    return [reduce(jnp.add, of_leaf) for of_leaf in zip(*changes, strict=True)]


def is_elementwise(cell: object, state: State, current: Array) -> bool:
    """True if no neuron of `cell` depends on another, so that influences stay inside a neuron."""
    return isinstance(cell, ChargeFireReset) and all(leaf.shape == current.shape for leaf in floats(state))


def parameters_before(signal: Signal) -> dict[str, LocalParameter]:
    """The parameters of the layers that make a current, as far back as the cells before.

    Raises:
        UnfollowedError: a neuron depends on several columns of a kernel, or several entries of another parameter.
    """
    function = StepFunction(signal)
    local: dict[str, LocalParameter] = {}
    for path, made in function.signals.items():
        for name in function.parameters[path]:
            kernel = name == "kernel" and is_linear_layer(function.layer(path).layer)
            build = _kernel if kernel else _entries
            local[f"{path}.{name}"] = build(function, made, name)
    return local


def parameters_of(cell: ChargeFireReset, current: Array) -> dict[str, LocalParameter]:
    """The parameters of a cell itself.

    Raises:
        UnfollowedError: one has an axis that is not of the neurons, such as time.
    """
    local: dict[str, LocalParameter] = {}
    aligned = cell.feature_shapes()
    leaves = [(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(cell) if has_gradient(leaf)]
    for index, (path, leaf) in enumerate(leaves):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if leaf.size > 1 and aligned.get(name) != leaf.shape:
            raise UnfollowedError(f"`{name}` of {type(cell).__name__} has an axis of its own in its shape {leaf.shape}")
        theta = leaf.reshape((1,) * (current.ndim + 1 - leaf.ndim) + leaf.shape)
        local[f"cell.{name}"] = LocalParameter(theta, None, index)
    return local


def no_influence(local: dict[str, LocalParameter], leaves: list[Array]) -> dict[str, Influence]:
    """The influences before the first step, all 0."""
    return {
        name: [jnp.zeros((parameter.theta.shape[0], *leaf.shape), leaf.dtype) for leaf in leaves]
        for name, parameter in local.items()
    }


def advance(
    step: CellStep,
    cell: ChargeFireReset,
    state: State,
    current: Array,
    local: dict[str, LocalParameter],
    before: dict[str, Influence],
) -> tuple[dict[str, Influence], dict[str, Influence]]:
    """The influences on the next state and on the output, through one step of the cell inside each neuron.

    P'[k] = dF/dstate P[k] + dF/dI dI[k] + dF/dtheta      E[k] = the same of the output
    """
    arrays, variables, current = stop_gradient((floats(cell), floats(state), current))

    def by_floats(arrays: list[Array], variables: list[Array], current: Array) -> tuple[list[Array], Array]:
        new, y = step(with_floats(cell, arrays), with_floats(state, variables), current)
        return floats(new), y

    _, jvp = jax.linearize(by_floats, arrays, variables, current)
    zeros = [jnp.zeros_like(leaf) for leaf in arrays]
    after, output = {}, {}
    for name, parameter in local.items():
        if parameter.current is not None:
            new, y = jax.vmap(partial(jvp, zeros))(before[name], parameter.current)
        else:
            unit = [jnp.ones_like(leaf) if i == parameter.number else zeros[i] for i, leaf in enumerate(arrays)]
            new, y = jax.vmap(lambda ds, unit=unit: jvp(unit, ds, jnp.zeros_like(current)))(before[name])
        after[name], output[name] = new, [y]
    return after, output


def _kernel(function: StepFunction, made: Signal, name: str) -> LocalParameter:
    """The kernel of a linear layer: a neuron depends on one column, through the patches of the input."""
    layer = function.layer(made.path)
    linear = LinearMap.of(layer.layer, f"layer {layer.title}")
    z = stop_gradient(made.value)
    patches = stop_gradient(linear.patches(made.inputs[0].value)).astype(z.dtype)
    patches = jnp.broadcast_to(patches, (linear.fan_in, *z.shape))
    columns = np.arange(math.prod(linear.out_shape), dtype=np.int32).reshape(linear.out_shape)
    column = _single(function, made.path, name, Columns.of(np.broadcast_to(columns, z.shape)))
    if made.path != function.path:
        rest = lambda z: function(*stop_gradient((function.parameters, function.constants)), {made.path: z})  # noqa: E731
        patches = jax.vmap(lambda patch: jax.jvp(rest, (z,), (patch,))[1])(patches)
    return LocalParameter(_of_neurons(linear.kernel.reshape(linear.fan_in, -1), column), patches, None)


def _entries(function: StepFunction, made: Signal, name: str) -> LocalParameter:
    """A parameter of which every neuron depends on one entry at most."""
    layer, leaf = function.layer(made.path), function.parameters[made.path][name]
    call = lambda leaf: layer.apply(layer.parameters | {name: leaf}, layer.variables, *(i.value for i in made.inputs))  # noqa: E731
    entries = Columns.of(np.arange(leaf.size, dtype=np.int32).reshape(leaf.shape))
    of_output = columns_of(call, [leaf], [entries])
    if of_output.single() is None:
        raise UnfollowedError(
            f"`{name}` of layer {layer.title} has several entries on which one element of its output depends, and "
            f"sx.nn.LinearMap does not know its class"
        )
    column = _single(function, made.path, name, of_output)
    parameters, constants = stop_gradient((function.parameters, function.constants))

    def current(leaf: Array) -> Array:
        return function({**parameters, made.path: parameters[made.path] | {name: leaf}}, constants)

    _, change = jax.jvp(current, (stop_gradient(leaf),), (jnp.ones_like(leaf),))
    return LocalParameter(_of_neurons(leaf.reshape(1, -1), column), change[None], None)


def _single(function: StepFunction, path: str, name: str, columns: Columns) -> np.ndarray:
    """The one column on which each neuron depends, of the same shape for every sample, `[*]`."""
    columns, mixing = function.columns(path, columns)
    column, title = columns.single(), function.layer(path).title
    if column is None or (column != column[:1]).any():
        raise UnfollowedError(
            f"`{name}` of layer {title} reaches each neuron by several of its columns, which layer "
            f"{mixing or title} joins"
        )
    return column[0]


def _of_neurons(theta: Array, column: np.ndarray) -> Array:
    """Columns `[K, M]` as the neurons see them, `[K, 1, *]`: neuron i of shape `[*]` the one of number `column[i]`."""
    rows, count = theta.shape
    if count == 1:
        return theta.reshape(rows, *(1,) * (column.ndim + 1))
    for axis in range(column.ndim):
        shape: Shape = column.shape[axis:]
        if math.prod(shape) == count and (column == np.arange(count).reshape(shape)).all():
            return theta.reshape(rows, *(1,) * (axis + 1), *shape)
    return theta[:, None, column]
