"""Surrogates of a shape of their own, and the one that counts several spikes."""

import math

import jax
import jax.numpy as jnp

from spikejax.checks import check_elements, check_integer, check_number
from spikejax.surrogate.base import SurrogateFunction


class NonzeroSignLogAbs(SurrogateFunction):
    """A logarithm, cheap to derive; its primitive leaves [0, 1].

        derivative(u) = alpha / (1 + |alpha u|)
        primitive(u)  = sign(u) ln(|alpha u| + 1)

    SpikingJelly 0.0.0.0.14 cannot derive its functional form; this is the derivative of the primitive.

    Args:
        alpha: steepness, > 0; the largest slope is alpha.

    Raises:
        ValueError: `alpha` <= 0.

    Source: SpikingJelly's NonzeroSignLogAbs.
    """

    alpha: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha / (1 + abs(self.alpha * u))

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.sign(u) * jnp.log1p(abs(self.alpha * u))


class SquarewaveFourierSeries(SurrogateFunction):
    """The first terms of a square wave's Fourier series.

        derivative(u) = 4 / period sum over i = 1 .. n-1 of cos(2 pi (2 i - 1) u / period)
        primitive(u)  = 1/2 + 2 / pi sum over i = 1 .. n-1 of sin(2 pi (2 i - 1) u / period) / (2 i - 1)

    Args:
        n: one more than the number of terms, >= 2; the largest slope is 4 (n - 1) / period.
        period: period of the wave, > 0.

    Raises:
        ValueError: `n` is no integer >= 2, or `period` <= 0.

    Source: SpikingJelly's SquarewaveFourierSeries.
    """

    n: int = 2
    period: float | jax.Array = 8.0

    def validate(self) -> None:
        """Raises ValueError unless `n` >= 2 and `period` > 0."""
        check_integer("n", self.n, ge=2, remedy="it is one more than the number of terms")
        check_number("period", self.period, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        odd = range(1, 2 * self.n - 2, 2)
        return 4 / self.period * sum((jnp.cos(2 * math.pi * i * u / self.period) for i in odd), jnp.zeros_like(u))

    def primitive(self, u: jax.Array) -> jax.Array:
        odd = range(1, 2 * self.n - 2, 2)
        return 0.5 + 2 / math.pi * sum((jnp.sin(2 * math.pi * i * u / self.period) / i for i in odd), jnp.zeros_like(u))


class S2NN(SurrogateFunction):
    """Logistic below the threshold, logarithmic above it.

        derivative(u) = alpha s(alpha u) (1 - s(alpha u)) for u < 0, beta / (u + 1) otherwise
        primitive(u)  = s(alpha u) for u < 0, beta ln(u + 1) + 1/2 otherwise

    SpikingJelly's documentation prints the upper primitive with + 1, which jumps at 0, and the upper derivative as
    beta (u + 1), which is that of no logarithm; its code has + 1/2 and beta / (u + 1).

    Args:
        alpha: steepness below the threshold, > 0.
        beta: slope just above it, > 0.

    Raises:
        ValueError: `alpha` or `beta` <= 0.

    Source: Suetake et al., "S2NN: Time step reduction of spiking surrogate gradients for training energy efficient
    single-step neural networks", 2022.
    """

    alpha: float | jax.Array = 4.0
    beta: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` and `beta` > 0."""
        check_number("alpha", self.alpha, gt=0)
        check_number("beta", self.beta, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        s = jax.nn.sigmoid(self.alpha * u)
        return jnp.where(u < 0, self.alpha * s * (1 - s), self.beta / (jnp.maximum(u, 0) + 1))

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.where(u < 0, jax.nn.sigmoid(self.alpha * u), self.beta * jnp.log1p(jnp.maximum(u, 0)) + 0.5)


class FakeNumericalGradient(SurrogateFunction):
    """The difference quotient of the step itself, bounded.

        derivative(u) = min((2 Theta(u) - 1) / u, alpha) = min(1 / |u|, alpha)

    It has no primitive: it stands for the step itself, not for a smooth one.

    Args:
        alpha: largest slope, > 0.

    Raises:
        ValueError: `alpha` <= 0.

    Source: SpikingJelly's FakeNumericalGradient.
    """

    alpha: float | jax.Array = 0.3

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return 1 / jnp.maximum(abs(u), 1 / self.alpha)


class MultiLevelSpikeCount(SurrogateFunction):
    """Several spikes at once, counted.

        forward(u)    = round(clip(u, 0, max_count))
        derivative(u) = 1 for lowest <= u <= highest, else 0
        primitive(u)  = clip(u, 0, max_count)

    Args:
        max_count: most spikes in a step, an integer >= 1.
        window: (lowest, highest), where the gradient passes; None is (0, max_count), which makes it the derivative of
            the primitive.

    Raises:
        ValueError: `max_count` is no integer >= 1, or `window` is not in order.
        TypeError: `window` is no pair.

    Source: Luo et al., "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network for High-performance
    and Energy-efficient Object Detection" (SpikeYOLO), 2024.
    """

    max_count: int = 4
    window: tuple[float, float] | None = None

    def validate(self) -> None:
        """Raises ValueError unless `max_count` >= 1 and the window is in order."""
        check_integer("max_count", self.max_count)
        if self.window is not None:
            if not isinstance(self.window, tuple) or len(self.window) != 2:
                raise TypeError(f"`window` must be a pair (lowest, highest), or None, got {self.window!r}")
            low, high = self.window
            check_elements("window", low, lambda w: w <= high, f"in order, below its upper end {high!r}")

    def spike(self, u: jax.Array) -> jax.Array:
        """The number of spikes, 0 to `max_count`."""
        return jnp.round(jnp.clip(u, 0, self.max_count))

    def derivative(self, u: jax.Array) -> jax.Array:
        low, high = self.window or (0, self.max_count)
        return ((u >= low) & (u <= high)).astype(u.dtype)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.clip(u, 0, self.max_count)
