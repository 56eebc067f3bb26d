"""What a plasticity rule is, and what all rules of traces share."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from spikejax.nn import LinearMap
from spikejax.pytree import Struct
from spikejax.typing import Array, Shape, State

WeightFunction: TypeAlias = float | Array | Callable[[Array], Array]
"""How strongly a weight changes: a number, an array that broadcasts to the weight, or a function of the weight."""


@runtime_checkable
class Rule(Protocol):
    """How one parameter of a layer changes with what goes into the layer and with the spikes that come of it.

    Attributes:
        parameter: name of the parameter that the rule changes, such as "kernel".
    """

    parameter: str

    def init_state(self, layer: Any, shape: Shape, dtype: DTypeLike = jnp.float32) -> State:
        """The traces before the first step, for an input of the layer of `shape` `[N, *]`."""
        ...

    def step(self, state: State, layer: Any, pre: Array, post: Array) -> tuple[State, Array]:
        """One step: input `pre` `[N, *]` and spikes `post` `[N, *]` to the next traces and the change."""
        ...

    def steps(self, state: State, layer: Any, pre: Array, post: Array) -> tuple[State, Array]:
        """As `step` repeated over `[T, N, *]`, with the parameter as it is: the last traces and the sum of changes."""
        ...


class Traces(NamedTuple):
    """The state of a rule of traces.

    Attributes:
        pre: trace of the input of the synapse `[N, *]`.
        post: trace of the spikes after it `[N, *]`.
    """

    pre: Array
    post: Array


class Pairs(NamedTuple):
    """What a rule of traces multiplies at one step `[N, *]`, or at many `[T, N, *]`.

    Attributes:
        up: the values before and after the synapse whose product strengthens it.
        down: those whose product weakens it.
    """

    up: tuple[Array, Array]
    down: tuple[Array, Array]

    def weighted(self, factor: Array) -> "Pairs":
        """With each sample's products times `factor` `[N]`, or `[T, N]` where there are many steps."""
        scale = lambda a: a * factor.reshape(factor.shape + (1,) * (a.ndim - factor.ndim))  # noqa: E731
        return Pairs((self.up[0], scale(self.up[1])), (self.down[0], scale(self.down[1])))


class TraceRule(Struct, kw_only=True):
    """Base of the rules that multiply traces of the spikes before and after a synapse.

        dW = f_post(W) sum_n up[n] - f_pre(W) sum_n down[n]

    where up and down are products of a value before and one after the synapse, which `pairs` gives. A whole sequence
    needs two correlations, `LinearMap.correlate_over_time`, whatever its length.

    Args:
        f_pre: how strongly spikes before the synapse weaken it.
        f_post: how strongly spikes after the synapse strengthen it.
    """

    f_pre: WeightFunction = 1.0
    f_post: WeightFunction = 1.0

    parameter = "kernel"

    def init_state(self, layer: nnx.Module | LinearMap, shape: Shape, dtype: DTypeLike = jnp.float32) -> State:
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
        return Traces(jnp.zeros(shape, dtype), jnp.zeros(post, dtype))

    def pairs(self, state: State, pre: Array, post: Array) -> tuple[State, Pairs]:
        """The next traces, and what is multiplied at this step; elementwise, without the weight."""
        raise NotImplementedError(f"{type(self).__name__} must define `pairs(self, state, pre, post)`")

    def change(self, layer: nnx.Module | LinearMap, pairs: Pairs) -> Array:
        """The change of the weight that `pairs` `[T, N, *]` stand for, in the shape of the weight."""
        synapse = LinearMap.of(layer)
        up, down = synapse.correlate_over_time(*pairs.up), synapse.correlate_over_time(*pairs.down)
        return _strength(self.f_post, synapse.weight) * up - _strength(self.f_pre, synapse.weight) * down

    def step(self, state: State, layer: nnx.Module | LinearMap, pre: Array, post: Array) -> tuple[State, Array]:
        """One step in time.

        Args:
            state: the traces.
            layer: the synapse; see `sx.nn.LinearMap`.
            pre: what goes into it `[N, *]`.
            post: the spikes of the neurons that it drives `[N, *]`.

        Returns:
            The next traces, and the change of the weight, summed over the batch.

        Raises:
            TypeError: `layer` is no synapse.
            ValueError: a shape is not that of the layer, or of the traces.
        """
        return self.steps(state, layer, pre[None], post[None])

    def steps(self, state: State, layer: nnx.Module | LinearMap, pre: Array, post: Array) -> tuple[State, Array]:
        """A whole sequence at once: `step` repeated, with the weight as it is.

        Args:
            state: the traces before the first step.
            layer: the synapse; see `sx.nn.LinearMap`.
            pre: what goes into it `[T, N, *]`.
            post: the spikes of the neurons that it drives `[T, N, *]`.

        Returns:
            The last traces, and the sum of the changes over time and batch.

        Raises:
            TypeError: `layer` is no synapse.
            ValueError: a shape is not that of the layer, or of the traces.
        """
        state, pairs = self.pairs_over_time(state, pre, post)
        return state, self.change(layer, pairs)

    def pairs_over_time(self, state: State, pre: Array, post: Array) -> tuple[State, Pairs]:
        """The last traces, and what is multiplied at each step `[T, N, *]`."""
        check_traces(state, pre, post)
        return lax.scan(lambda state, now: self.pairs(state, *now), state, (pre, post))


def check_traces(state: Any, pre: Array, post: Array) -> None:
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


def decay(trace: Array, spikes: Array, kept: float | Array, nearest: bool) -> Array:
    """The next trace: what is `kept` of it and the spikes, or the nearest spike alone."""
    old = trace * kept
    new = jnp.where(spikes > 0, spikes, old) if nearest else old + spikes
    return new.astype(trace.dtype)


def _strength(function: WeightFunction, weight: Array) -> float | Array:
    return function(weight) if callable(function) else function
