"""A linear layer that loses some of its synapses while it trains."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.checks import check_integer, check_number
from spikejax.encoding import RandomState
from spikejax.typing import Array, Shape


class DropConnectLinear(nnx.Module):
    """A linear layer and its activation, in which every sample misses weights of its own; a cell that holds its key.

        y = a(x (M W) + m b)               in train mode; M [N, in, out] and m [N, out] are masks
        y = mean over samples of a(u)      in eval mode; u ~ Normal(mu, var)
            mu = (1 - rate) (x W + b)      var = rate (1 - rate) (x^2 W^2 + b^2)

    Elements of the masks are 0 with probability `rate`, and 1 else; they scale nothing up. The normal distribution has
    the mean and the variance of what stands in `a` in train mode. Without an activation its mean is the output, and
    nothing is drawn.

    Args:
        in_features: size of the last axis of the input `[N, in_features]`.
        out_features: size of the last axis of the output.
        rate: the probability that a weight is missing, within [0, 1).
        fixed: True keeps the masks for a sequence; False draws them anew at every step.
        samples: how many are drawn in eval mode, >= 1, new at every step.
        activation: the function a, elementwise; None is the identity.
        use_bias: whether there is b.
        rngs: random streams for the initial parameters. Masks and samples come from the key that `init_state` gets.

    Raises:
        ValueError: `rate` or `samples` is out of range; by `init_state`, there is no key.

    Source: Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of Neural Networks using DropConnect", 2013, algorithms 1
    and 2; SpikingJelly's `DropConnectLinear`, where `fixed` is `invariant`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rate: float = 0.5,
        *,
        fixed: bool = False,
        samples: int = 1024,
        activation: Callable[[Array], Array] | None = nnx.relu,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        check_number("rate", rate, ge=0, lt=1, remedy="it is the share of missing weights")
        check_integer("samples", samples)
        self.linear = nnx.Linear(in_features, out_features, use_bias=use_bias, rngs=rngs)
        self.rate, self.fixed, self.samples, self.activation = rate, fixed, samples, activation
        self.deterministic = False

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> RandomState:
        """The key to draw from; `shape` and `dtype` are not needed.

        Raises:
            ValueError: `key` is None where it is needed.
        """
        if key is None and not (self.deterministic and self.activation is None):
            raise ValueError(
                "`key` must be given, because DropConnectLinear draws masks, and samples in eval mode: pass "
                "state=net.init_state(shape, key=jax.random.key(0)) to run"
            )
        return RandomState(jax.random.key(0) if key is None else key, jnp.zeros((), jnp.uint32))

    def step(self, state: RandomState, x: Array) -> tuple[RandomState, Array]:
        """One step in time, `x` `[N, in_features]`."""
        w, b = self.linear.kernel[...], 0.0 if self.linear.bias is None else self.linear.bias[...]
        key = state.key if self.fixed and not self.deterministic else jax.random.fold_in(state.key, state.t)
        activation = self.activation or (lambda u: u)
        if self.deterministic:
            y = (1 - self.rate) * (x @ w + b)
            if self.activation is not None:
                variance = self.rate * (1 - self.rate) * (x**2 @ w**2 + jnp.square(b))
                deviation = jnp.where(variance > 0, jnp.sqrt(jnp.where(variance > 0, variance, 1)), 0)
                drawn = jax.random.normal(key, (self.samples, *y.shape), y.dtype)
                y = activation(y + deviation * drawn).mean(0)
        else:
            weights, biases = jax.random.split(key)
            mask = jax.random.bernoulli(weights, 1 - self.rate, (x.shape[0], *w.shape))
            bias_mask = jax.random.bernoulli(biases, 1 - self.rate, (x.shape[0], w.shape[1]))
            y = activation(jnp.einsum("ni,nio->no", x, mask * w) + bias_mask * b)
        return state._replace(t=state.t + 1), y.astype(x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else y.dtype)
