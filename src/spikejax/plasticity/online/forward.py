"""Gradients from directional derivatives, which go forward in time by nature."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from spikejax.checks import check_integer, check_key
from spikejax.kernels.template import floats, with_floats
from spikejax.plasticity.online.objective import Objective, Sample
from spikejax.plasticity.online.rule import Advance, Carry, OnlineRule
from spikejax.plasticity.online.sltt import SLTT
from spikejax.plasticity.online.step import OnlineStep
from spikejax.typing import Array, State


class Directions(NamedTuple):
    """The memory of forward gradients.

    Attributes:
        params: directions v `[samples, *]`, of the structure of the parameters.
        state: d state / d theta · v `[samples, N, *]` of every variable.
    """

    params: nnx.State
    state: list[Array]


class ForwardGradient(OnlineRule):
    """Forward gradients: derivatives along random directions, the same at all steps.

        dL/dW = mean over v of (dL/dW · v) v,   v ~ N(0, 1)

    Without bias for any network, recurrent ones too, but its variance grows with the number of parameters over the
    number of directions. Its memory is `samples` copies of the parameters and of the state. The network runs once a
    step, its derivative `samples` times.

    Args:
        key: a `jax.random.key` for the directions; take a new one for every batch.
        samples: number of directions, >= 1.

    Raises:
        ValueError: `samples` < 1.
        TypeError: `samples` is no whole number, or `key` no key.

    Source: Baydin, Pearlmutter, Syme, Wood, Torr, "Gradients without Backpropagation", 2022, definition 1.
    """

    key: Array
    samples: int = 1

    def validate(self) -> None:
        """Raises ValueError unless `samples` is >= 1, TypeError unless `key` is a key."""
        check_key(self.key)
        check_integer("samples", self.samples)

    def first(
        self, objective: Objective, params: nnx.State, variables: nnx.State, state: State, sample: Sample
    ) -> Carry:
        """The directions, and a state that depends on nothing yet."""
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(self.key, max(len(leaves), 1))
        directions = [
            jax.random.normal(key, (self.samples, *leaf.shape), leaf.dtype)
            for key, leaf in zip(keys, leaves, strict=False)
        ]
        zeros = [jnp.zeros((self.samples, *leaf.shape), leaf.dtype) for leaf in floats(state)]
        return Carry(state, Directions(jax.tree.unflatten(structure, directions), zeros))

    def advance(
        self, objective: Objective, params: nnx.State, variables: nnx.State, carry: Carry, sample: Sample
    ) -> Advance:
        """The slope of this step's loss along each direction."""
        along: Directions = carry.memory

        def step(params: nnx.State, values: list[Array]) -> tuple[tuple[Array, list[Array]], tuple[nnx.State, State]]:
            online = OnlineStep(SLTT(), {})
            y, state, after = objective.forward(params, variables, with_floats(carry.state, values), sample.x, online)
            return (objective.value(y, sample.target), floats(state)), (after, state)

        (value, values), jvp, (after, state) = jax.linearize(step, params, floats(carry.state), has_aux=True)
        slopes, of_state = jax.vmap(jvp)(along.params, along.state)
        grads = jax.tree.map(lambda v: jnp.tensordot(slopes, v, 1) / self.samples, along.params)
        state = with_floats(state, values)
        return Advance(after, Carry(state, Directions(along.params, of_state)), value, grads)
