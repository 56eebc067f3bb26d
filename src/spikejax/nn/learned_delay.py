"""Delays that are learnt by gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from spikejax.checks import check_integer, check_number
from spikejax.nn.delay import Delay, History, remember
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, ParallelCell, Shape


class Width(nnx.Variable):
    """The width of the Gaussians: set from outside, not trained."""


class _Delayed(nnx.Module, ParallelCell):
    """A past of `max_delay` steps, and the weight of each step in the output; a cell."""

    def __init__(
        self, shape: Shape, max_delay: int, delay: ArrayLike | None, sigma: float | None, rngs: nnx.Rngs | None
    ) -> None:
        check_integer("max_delay", max_delay)
        if delay is None:
            if rngs is None:
                raise ValueError("`rngs` must be given to draw the delays, as in rngs=nnx.Rngs(0), or else `delay`")
            delay = jax.random.uniform(rngs.params(), shape, maxval=max_delay)
        delay = jnp.asarray(delay, jnp.result_type(float))
        check_number("delay", delay, ge=0, le=max_delay, remedy=f"`max_delay` is {max_delay}")
        sigma = max_delay / 2 if sigma is None else sigma
        check_number("sigma", sigma, gt=0)
        self.max_delay, self.deterministic = max_delay, False
        self.delay = nnx.Param(jnp.broadcast_to(delay, shape))
        self.sigma = Width(jnp.asarray(sigma, jnp.result_type(float)))

    def taps(self) -> Array:
        """Weights of the inputs k steps ago, `[max_delay + 1, *]`, with sum 1; in eval mode of one k alone."""
        delay = self.delay[...]
        delay = delay + lax.stop_gradient(jnp.clip(delay, 0, self.max_delay) - delay)
        steps = jnp.arange(self.max_delay + 1).reshape(-1, *(1,) * delay.ndim)
        if self.deterministic:
            return (steps == jnp.round(delay)).astype(delay.dtype)
        sigma = lax.stop_gradient(self.sigma[...])
        return jax.nn.softmax(-(((steps - delay) / sigma) ** 2) / 2, axis=0)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> History:
        """A past of zeros, for inputs of `shape` `[N, *]`; `key` is not needed."""
        features = self.delay[...].shape[0]
        if shape[-1] != features:
            raise ValueError(f"the last axis of the input {tuple(shape)} must have {features} features, one a delay")
        return History(jnp.zeros((shape[0], self.max_delay, *shape[1:]), dtype))

    def step(self, state: History, x: Array) -> tuple[History, Array]:
        """One step in time, `x` `[N, *]`."""
        state, ys = self.steps(state, Steps(jnp.asarray(x)[None]))
        return state, ys.at(0)


class LearnedDelay(_Delayed):
    """Shows every feature of its input some steps later, how many being learnt; a cell without a neuron.

        y[t, i] = sum over k of g[k, i] x[t - k, i]                      k = 0 ... max_delay
        g[k, i] = exp(-(k - d[i])^2 / (2 sigma^2)) / sum over k of the same

    A wide Gaussian lets the gradient see what comes earlier and later; it has to become narrow in the course of
    training: lower sigma with `set_sigma`, from `max_delay` / 2 to 0.1 or less, where all of a spike comes at one step.
    In eval mode the delays are rounded and there is one tap; `rounded()` is that as a `Delay`. A delay beyond the
    limits counts as the limit, and gradients bring it back.

    Args:
        features: size of the last axis of the input.
        max_delay: the longest delay in steps, >= 1.
        delay: delays d `[features]` to start from, within [0, max_delay]; None draws them, uniform.
        sigma: width of the Gaussians to start from, in steps, > 0; None is max_delay / 2.
        rngs: random streams to draw the delays from.

    Raises:
        ValueError: an argument is out of range, there is neither `delay` nor `rngs`, or the input has other features.

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier, "Learning Delays in Spiking Neural Networks using Dilated
    Convolutions with Learnable Spacings", 2024, there for every synapse.
    """

    def __init__(
        self,
        features: int,
        max_delay: int,
        *,
        delay: ArrayLike | None = None,
        sigma: float | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        super().__init__((features,), max_delay, delay, sigma, rngs)

    def steps(self, state: History, xs: Sequence) -> tuple[History, Steps]:
        """Many steps at once, as `step` repeated."""
        state, known = remember(state, xs)
        count, taps = known.shape[0] - self.max_delay, self.taps().astype(known.dtype)
        later = (taps[k] * known[self.max_delay - k :][:count] for k in range(1, self.max_delay + 1))
        return state, Steps(sum(later, taps[0] * known[self.max_delay :]))

    def rounded(self) -> Delay:
        """The delays as they are now, in whole steps."""
        return Delay(np.asarray(jnp.round(jnp.clip(self.delay[...], 0, self.max_delay)), int))


class DelayedLinear(_Delayed):
    """A linear layer whose every synapse has a delay of its own, learnt with its weight; a cell without a neuron.

        y[t, j] = b[j] + sum over i, k of W[i, j] g[k, i, j] x[t - k, i]

    with g as in `LearnedDelay`, of a delay d[i, j]; for training and eval mode see there.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        max_delay: the longest delay in steps, >= 1.
        delay: delays d `[in_features, out_features]` to start from; None draws them, uniform.
        sigma: width of the Gaussians to start from, in steps, > 0; None is max_delay / 2.
        use_bias: whether there is b.
        rngs: random streams for the initial parameters.

    Raises:
        ValueError: an argument is out of range, or the input has other features.

    Source: Hammouamri, Khalfaoui-Hassani, Masquelier, "Learning Delays in Spiking Neural Networks using Dilated
    Convolutions with Learnable Spacings", 2024.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        max_delay: int,
        *,
        delay: ArrayLike | None = None,
        sigma: float | None = None,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        super().__init__((in_features, out_features), max_delay, delay, sigma, rngs)
        self.linear = nnx.Linear(in_features, out_features, use_bias=use_bias, rngs=rngs)

    def steps(self, state: History, xs: Sequence) -> tuple[History, Steps]:
        """Many steps at once, as `step` repeated."""
        state, known = remember(state, xs)
        kernel = (self.taps() * self.linear.kernel[...]).astype(known.dtype)[::-1]
        batch = known.reshape(known.shape[0], -1, known.shape[-1])
        ys = lax.conv_general_dilated(batch, kernel, (1,), "VALID", dimension_numbers=("WNC", "WIO", "WNC"))
        ys = ys.reshape(-1, *known.shape[1:-1], kernel.shape[-1])
        return state, Steps(ys if self.linear.bias is None else ys + self.linear.bias[...].astype(ys.dtype))


def set_sigma(net: nnx.Module, sigma: float | Array) -> None:
    """Sets the width of the Gaussians of every learnt delay in `net`; inside `jit` too, without compiling anew.

    Args:
        net: a network, or a layer alone.
        sigma: width in steps, > 0.

    Raises:
        ValueError: `sigma` <= 0, or `net` has no learnt delay.
    """
    check_number("sigma", sigma, gt=0, remedy="in eval mode there is one tap")
    layers = [module for _, module in nnx.iter_modules(net) if isinstance(module, _Delayed)]
    if not layers:
        raise ValueError(f"`net` {type(net).__name__} has no learnt delay, whose `sigma` could be set")
    for layer in layers:
        layer.sigma[...] = jnp.asarray(sigma, layer.sigma[...].dtype)
