"""Values to the spikes of a population of neurons, each with a value that it prefers."""

import jax.numpy as jnp
import numpy as np

from spikejax.checks import check_integer, check_number
from spikejax.encoding.poisson import Drawn
from spikejax.encoding.timed import Timed, floating
from spikejax.pytree import Struct
from spikejax.typing import Array

Bounds = float | tuple[float, ...]


def _check_curves(m: int, x_min: Bounds, x_max: Bounds, beta: float) -> None:
    """Raises ValueError unless the arguments of `tuning` make bells."""
    check_integer("m", m, ge=3, remedy="two neurons of a feature stand at the ends of its range")
    low, high = np.asarray(x_min, float), np.asarray(x_max, float)
    if low.ndim > 1 or high.ndim > 1 or (low.ndim and high.ndim and low.shape != high.shape):
        raise ValueError(f"`x_min` and `x_max` must be one number or one a feature, got {x_min} and {x_max}")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise ValueError(f"`x_min` must be < `x_max`, both finite, got {x_min} and {x_max}")
    check_number("beta", beta, gt=0)


def tuning(x: Array, m: int, x_min: Bounds, x_max: Bounds, beta: float) -> Array:
    """The bells of m neurons a feature, `[*, n]` to `[*, n, m]`, each 1 at the value that it prefers."""
    low, high = (np.asarray(bound, np.float32)[..., None] for bound in (x_min, x_max))
    if max(low.size, high.size) not in (1, x.shape[-1]):
        raise ValueError(
            f"`x_min` and `x_max` are of {max(low.size, high.size)} features, but the last axis of `x` {x.shape} has "
            f"{x.shape[-1]}: give one number, or one a feature"
        )
    width = (high - low) / (m - 2)
    centres = low + (np.arange(1, m + 1) - 1.5) * width
    inner = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return jnp.exp(-(((inner[..., None] - centres) * beta / width) ** 2) / 2)


class GaussianTuning(Timed, Struct):
    """Population coding by latency: m neurons a feature, which fire the earlier the nearer the value to their own.

        s[t] = 1 where t mod T = round(T (1 - exp(-(x - mu_i)^2 / (2 sigma^2)))), else 0
        mu_i = x_min + (2 i - 3) / 2 (x_max - x_min) / (m - 2),  i = 1, ..., m
        sigma = (x_max - x_min) / (beta (m - 2))

    A neuron whose time rounds to T, far from its value, does not fire in that period. `[N, *, n]` becomes
    `[N, *, n, m]`; put `sx.nn.Flatten()` behind it. Values may leave [x_min, x_max]: far outside none fires. Spikes
    have no gradient with respect to `x`.

    Args:
        m: neurons a feature, an integer >= 3.
        T: steps of a period, an integer >= 1.
        x_min: least value, one number, or one a feature in a tuple.
        x_max: largest value, > `x_min`, likewise.
        beta: how narrow the bells are, > 0; 1.5 lets neighbours overlap.

    Raises:
        ValueError: an argument is out of range, or its number is not that of the features.
        TypeError: the input is not floating point.

    Source: Bohte, Kok and La Poutré, "Error-backpropagation in temporally encoded networks of spiking neurons", 2002.

    SpikingJelly: `timing_based.encoding.GaussianTuning`, which gives the times, and -1 for none.
    """

    m: int
    T: int
    x_min: Bounds = 0.0
    x_max: Bounds = 1.0
    beta: float = 1.5

    def validate(self) -> None:
        """Raises ValueError unless the bells and the time are in range."""
        _check_curves(self.m, self.x_min, self.x_max, self.beta)
        check_integer("T", self.T, remedy="it is the number of steps of a period")

    def checked(self, x: Array) -> Array:
        """The input, floating point."""
        return floating(x, "")

    def encode(self, t: Array, x: Array) -> Array:
        """The spikes of step `t`."""
        bells = tuning(x, self.m, self.x_min, self.x_max, self.beta)
        return (jnp.round(self.T * (1 - bells)) == t % self.T).astype(x.dtype)


class Population(Drawn):
    """Population coding by rate: m neurons a feature, which fire the more often the nearer the value to their own.

        P(s_i[t] = 1) = peak exp(-(x - mu_i)^2 / (2 sigma^2)),  drawn anew at each step

    Centres and width as in `GaussianTuning`. `[N, *, n]` becomes `[N, *, n, m]`; put `sx.nn.Flatten()` behind it.
    Values may leave [x_min, x_max]: far outside none fires. Spikes have no gradient with respect to `x`. The state is
    that of `Poisson`, and needs a key.

    Args:
        m: neurons a feature, an integer >= 3.
        x_min: least value, one number, or one a feature in a tuple.
        x_max: largest value, > `x_min`, likewise.
        beta: how narrow the bells are, > 0; 1.5 lets neighbours overlap.
        peak: probability of a spike at the value that a neuron prefers, within (0, 1].

    Raises:
        ValueError: an argument is out of range, or its number is not that of the features, or there is no key.
        TypeError: the input is not floating point.

    Source: Eliasmith and Anderson, "Neural Engineering", 2003, population codes; the bells of Bohte et al., 2002.
    """

    m: int
    x_min: Bounds = 0.0
    x_max: Bounds = 1.0
    beta: float = 1.5
    peak: float = 1.0

    def validate(self) -> None:
        """Raises ValueError unless the bells and the peak are in range."""
        _check_curves(self.m, self.x_min, self.x_max, self.beta)
        check_number("peak", self.peak, gt=0, le=1, remedy="it is a probability")

    def probabilities(self, x: Array) -> Array:
        """The probability of a spike for each neuron, in the dtype of `x`."""
        x = floating(x, "")
        return (self.peak * tuning(x, self.m, self.x_min, self.x_max, self.beta)).astype(x.dtype)
