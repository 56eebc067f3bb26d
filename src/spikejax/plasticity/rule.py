"""The contract of plasticity rules, and the base of those that multiply traces."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from spikejax.nn import LinearMap
from spikejax.pytree import Struct
from spikejax.typing import Array, Cell, Shape, State

WeightFunction: TypeAlias = float | Array | Callable[[Array], Array]
"""Strength of a change: a number, an array that broadcasts to the weight, or a function of the weight."""


LearningLayer: TypeAlias = nnx.Module | LinearMap | Cell
"""A layer with a kernel, or the cell whose parameter a rule changes."""


@runtime_checkable
class PlasticityRule(Protocol):
    """Changes one parameter of a layer by the input of the layer and the spikes after it.

    Attributes:
        parameter: name of the parameter that the rule changes, such as "kernel".
    """

    parameter: str

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> State:
        """The traces before the first step, for an input of the layer of `shape` `[N, *]`."""
        ...

    def step(self, state: State, layer: LearningLayer, pre: Array, post: Array) -> tuple[State, Array]:
        """One step: input `pre` `[N, *]` and spikes `post` `[N, *]` to the next traces and the change."""
        ...

    def steps(self, state: State, layer: LearningLayer, pre: Array, post: Array) -> tuple[State, Array]:
        """As `step` repeated over `[T, N, *]`, with the parameter as it is: the last traces and the sum of changes."""
        ...


class SpikeTraces(NamedTuple):
    """The state of a rule of traces.

    Attributes:
        pre: trace of the input of the synapse `[N, *]`.
        post: trace of the spikes after it `[N, *]`.
    """

    pre: Array
    post: Array


class SpikePairs(NamedTuple):
    """The factors that a rule of traces multiplies, of one step `[N, *]` or of many `[T, N, *]`.

    Attributes:
        up: the values before and after the synapse whose product strengthens it.
        down: those whose product weakens it.
    """

    up: tuple[Array, Array]
    down: tuple[Array, Array]

    def weighted(self, factor: Array) -> "SpikePairs":
        """With each sample's products times `factor` `[N]`, or `[T, N]` where there are many steps."""
        scale = lambda a: a * factor.reshape(factor.shape + (1,) * (a.ndim - factor.ndim))  # noqa: E731
        return SpikePairs((self.up[0], scale(self.up[1])), (self.down[0], scale(self.down[1])))


class TraceRule(Struct, kw_only=True):
    """Base of the rules that multiply traces of the spikes before and after a synapse.

        dW = f_post(W) sum_n up[n] - f_pre(W) sum_n down[n]

    where up and down are products of a value before and one after the synapse, which `pairs` gives. A whole sequence
    needs two correlations, `LinearMap.correlate_over_time`, whatever its length.

    Args:
        f_pre: strength by which spikes before the synapse weaken it.
        f_post: strength by which spikes after the synapse strengthen it.
    """

    f_pre: WeightFunction = 1.0
    f_post: WeightFunction = 1.0

    parameter = "kernel"

    def init_state(self, layer: LearningLayer, shape: Shape, dtype: DTypeLike = jnp.float32) -> State:
        """The traces before the first step, all 0.

        Args:
            layer: the synapse; see `sx.nn.LinearMap`.
            shape: shape of its input at one step, `[N, *]`.
            dtype: dtype of the traces.

        Raises:
            TypeError: `layer` is no synapse.
            ValueError: it does not accept the shape.
        """
        post = LinearMap.of(layer).output(shape, dtype).shape
        return SpikeTraces(jnp.zeros(shape, dtype), jnp.zeros(post, dtype))

    def pairs(self, state: State, pre: Array, post: Array) -> tuple[State, SpikePairs]:
        """The next traces, and the factors of this step; elementwise, without the weight."""
        raise NotImplementedError(f"{type(self).__name__} must define `pairs(self, state, pre, post)`")

    def change(self, layer: LearningLayer, pairs: SpikePairs) -> Array:
        """The change of the weight by `pairs` `[T, N, *]`, in the shape of the weight."""
        synapse = LinearMap.of(layer)
        up, down = synapse.correlate_over_time(*pairs.up), synapse.correlate_over_time(*pairs.down)
        return _strength(self.f_post, synapse.weight) * up - _strength(self.f_pre, synapse.weight) * down

    def step(self, state: State, layer: LearningLayer, pre: Array, post: Array) -> tuple[State, Array]:
        """One step in time.

        Args:
            state: the traces.
            layer: the synapse; see `sx.nn.LinearMap`.
            pre: its input `[N, *]`.
            post: the spikes of the neurons that it drives `[N, *]`.

        Returns:
            The next traces, and the change of the weight, summed over the batch.

        Raises:
            TypeError: `layer` is no synapse.
            ValueError: a shape is not that of the layer, or of the traces.
        """
        return self.steps(state, layer, pre[None], post[None])

    def steps(self, state: State, layer: LearningLayer, pre: Array, post: Array) -> tuple[State, Array]:
        """A whole sequence at once: `step` repeated, with the weight as it is.

        Args:
            state: the traces before the first step.
            layer: the synapse; see `sx.nn.LinearMap`.
            pre: its input `[T, N, *]`.
            post: the spikes of the neurons that it drives `[T, N, *]`.

        Returns:
            The last traces, and the sum of the changes over time and batch.

        Raises:
            TypeError: `layer` is no synapse.
            ValueError: a shape is not that of the layer, or of the traces.
        """
        state, pairs = self.pairs_over_time(state, pre, post)
        return state, self.change(layer, pairs)

    def pairs_over_time(self, state: State, pre: Array, post: Array) -> tuple[State, SpikePairs]:
        """The last traces, and the factors of every step `[T, N, *]`."""
        check_traces(state, pre, post)
        return lax.scan(lambda state, spikes: self.pairs(state, *spikes), state, (pre, post))


def check_traces(state: State, pre: Array, post: Array) -> None:
    """Raises `ValueError` unless `pre` and `post` `[T, N, *]` fit each other and the traces."""
    for name, values in (("pre", pre), ("post", post)):
        trace = getattr(state, name)
        if values.shape[1:] != trace.shape:
            raise ValueError(
                f"`{name}` must have the shape of its trace, {trace.shape}, at each step, got {values.shape[1:]}: make "
                f"the traces with init_state for inputs of the same shape"
            )
    if pre.shape[0] != post.shape[0]:
        raise ValueError(f"`pre` and `post` must have as many steps, got {pre.shape[0]} and {post.shape[0]}")


def decay(trace: Array, spikes: Array, factor: float | Array, nearest: bool) -> Array:
    """The next trace: the old one times `factor` plus the spikes, or the nearest spike alone."""
    faded = trace * factor
    new = jnp.where(spikes > 0, spikes, faded) if nearest else faded + spikes
    return new.astype(trace.dtype)


def _strength(function: WeightFunction, weight: Array) -> float | Array:
    return function(weight) if callable(function) else function
