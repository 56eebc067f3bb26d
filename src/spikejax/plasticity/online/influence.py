"""What a parameter has done to a cell's state so far, and how a loss of one step gets to see it.

P = d state / d theta           the influence, one array `[K, N, *]` a variable of the state
state + P (theta - theta)       its value is the state, its derivative for theta is P
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

from spikejax.cells import ChargeFireReset
from spikejax.kernels.template import floats, has_gradient, with_floats
from spikejax.plasticity.online.linear import Synapse
from spikejax.typing import Array, State

Influence = list[Array]
"""One array `[K, N, *]` a variable: of the K entries of a parameter that each neuron sees."""

Step = Callable[[Any, State, Array], tuple[State, Array]]
"""One step of a cell: `(cell, state, x)` to the next state and the output."""


class Local(NamedTuple):
    """A parameter that acts on a cell directly.

    Attributes:
        theta: its entries `[K, 1, ..., C]`, aligned to the state's last axes.
        current: d input current / d theta `[K, N, *]`; None for a parameter of the cell itself.
        own: which of the cell's arrays it is; None for one of a synapse.
    """

    theta: Array
    current: Array | None
    own: int | None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def reattach(push: Callable[[Any, Any], Any], values: Any, theta: Any, kept: Any) -> Any:
    """`values`, whose derivative for `theta` is `push(kept, d theta)`."""
    return values


@reattach.defjvp
def _reattach_jvp(push: Callable[[Any, Any], Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    values, _, kept = primals
    of_values, of_theta, _ = tangents
    pushed = push(kept, of_theta)
    return values, jax.tree.map(lambda a, b: a + b.astype(a.dtype), of_values, pushed)


def contract(kept: dict[str, Influence], theta: dict[str, Array]) -> Influence:
    """The change of each variable under a change of the parameters: sum over k and parameters of P[k] theta[k]."""
    changes = [[(p * theta[name]).sum(0) for p in influence] for name, influence in kept.items()]
    return [reduce(jnp.add, of_leaf) for of_leaf in zip(*changes, strict=True)]


def is_elementwise(cell: Any, state: State, current: Array) -> bool:
    """Whether each neuron of `cell` has variables of its own, so that influences stay inside a neuron."""
    return isinstance(cell, ChargeFireReset) and all(leaf.shape == current.shape for leaf in floats(state))


def local_parameters(cell: Any, synapses: list[Synapse], current: Array) -> dict[str, Local]:
    """The parameters that act on a cell directly: of its synapses, and its own."""
    found: dict[str, Local] = {}
    for synapse in synapses:
        seen = jnp.broadcast_to(patches := synapse.patches(), (patches.shape[0], *current.shape))
        found[f"{synapse.name}.kernel"] = Local(synapse.by_fan_in(), seen.astype(current.dtype), None)
        if synapse.bias is not None:
            theta = _aligned(synapse.bias, current.ndim)
            found[f"{synapse.name}.bias"] = Local(theta, jnp.ones((1, *current.shape), current.dtype), None)
    aligned = cell.feature_shapes()
    leaves = [(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(cell) if has_gradient(leaf)]
    for index, (path, leaf) in enumerate(leaves):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if aligned.get(name) == leaf.shape:  # others have axes of their own, such as time
            found[f"own.{name}"] = Local(_aligned(leaf, current.ndim), None, index)
    return found


def no_influence(local: dict[str, Local], leaves: list[Array]) -> dict[str, Influence]:
    """Before the first step."""
    return {
        name: [jnp.zeros((parameter.theta.shape[0], *leaf.shape), leaf.dtype) for leaf in leaves]
        for name, parameter in local.items()
    }


def advance(
    step: Step, cell: Any, state: State, current: Array, local: dict[str, Local], before: dict[str, Influence]
) -> tuple[dict[str, Influence], dict[str, Influence]]:
    """The influences on the next state and on the output, through one step of the cell inside each neuron.

    P'[k] = dF/dstate P[k] + dF/dI dI[k] + dF/dtheta      E[k] = the same of the output
    """
    own, variables, current = stop_gradient((floats(cell), floats(state), current))

    def by_floats(own: list[Array], variables: list[Array], current: Array) -> tuple[list[Array], Array]:
        new, y = step(with_floats(cell, own), with_floats(state, variables), current)
        return floats(new), y

    _, push = jax.linearize(by_floats, own, variables, current)
    still = [jnp.zeros_like(leaf) for leaf in own]
    after, output = {}, {}
    for name, parameter in local.items():
        if parameter.own is None:
            new, y = jax.vmap(partial(push, still))(before[name], parameter.current)
        else:
            unit = [jnp.ones_like(leaf) if i == parameter.own else still[i] for i, leaf in enumerate(own)]
            new, y = jax.vmap(lambda ds, unit=unit: push(unit, ds, jnp.zeros_like(current)))(before[name])
        after[name], output[name] = new, [y]
    return after, output


def _aligned(leaf: Array, ndim: int) -> Array:
    """`leaf` as `[1, 1, ..., *]`, aligned to the last axes of a state of `ndim` axes."""
    return leaf.reshape((1,) * (ndim + 1 - leaf.ndim) + leaf.shape)
