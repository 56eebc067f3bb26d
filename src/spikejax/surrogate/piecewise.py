"""Surrogates made of pieces: polynomials, boxes, triangles and rectifiers."""

import jax
import jax.numpy as jnp

from spikejax.checks import check_number
from spikejax.surrogate.base import SurrogateFunction


class PiecewiseQuadratic(SurrogateFunction):
    """A triangle of width 2 / alpha, height alpha.

        derivative(u) = alpha - alpha^2 |u| for |u| <= 1 / alpha, else 0
        primitive(u)  = alpha u - alpha^2 |u| u / 2 + 1/2 for |u| <= 1 / alpha, else 0 or 1

    Args:
        alpha: steepness, > 0; the largest slope is alpha.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Bellec et al., "Long short-term memory and learning-to-learn in networks of spiking neurons", 2018; default
    as in SpikingJelly.
    """

    alpha: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha * jnp.maximum(0, 1 - self.alpha * abs(u))

    def primitive(self, u: jax.Array) -> jax.Array:
        scaled = jnp.clip(self.alpha * u, -1, 1)
        return scaled - abs(scaled) * scaled / 2 + 0.5


class Triangle(SurrogateFunction):
    """A triangle of height gamma and half-width 1.

        derivative(u) = gamma max(0, 1 - |u|)
        primitive(u)  = gamma (u - |u| u / 2) + 1/2 for |u| <= 1, flat beyond

    Args:
        gamma: height, > 0; damps the gradient below 1.

    Raises:
        ValueError: `gamma` <= 0.

    Source: Bellec et al., "Long short-term memory and learning-to-learn in networks of spiking neurons", 2018, eq. 3,
    with v_threshold = 1.
    """

    gamma: float | jax.Array = 0.3

    def validate(self) -> None:
        """Raises ValueError unless `gamma` > 0."""
        check_number("gamma", self.gamma, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.gamma * jnp.maximum(0, 1 - abs(u))

    def primitive(self, u: jax.Array) -> jax.Array:
        bounded = jnp.clip(u, -1, 1)
        return self.gamma * (bounded - abs(bounded) * bounded / 2) + 0.5


class Rect(SurrogateFunction):
    """A box of width 1 / alpha, height alpha.

        derivative(u) = alpha for |u| < 1 / (2 alpha), else 0
        primitive(u)  = clip(alpha u + 1/2, 0, 1)

    Args:
        alpha: height, > 0.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Wu et al., "Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural Networks", 2018,
    eq. 24.
    """

    alpha: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha * (abs(u) < 0.5 / self.alpha)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.clip(self.alpha * u + 0.5, 0, 1)


class PiecewiseLeakyReLU(SurrogateFunction):
    """A box with leaky sides.

        derivative(u) = 1 / (2 w) for |u| < w, else c
        primitive(u)  = u / (2 w) + 1/2 for |u| <= w, c (u + w) below, c (u - w) + 1 above

    SpikingJelly's documentation also prints the slope 1 / w, which is not the derivative of its primitive. Its version
    0.0.0.0.14 gives gradients that slope, its version 2.0.0 the one here.

    Args:
        w: half-width of the box, > 0.
        c: slope outside it, >= 0.

    Raises:
        ValueError: `w` <= 0 or `c` < 0.

    Source: Yin et al., 2017; Wu et al., 2018; defaults as in SpikingJelly.
    """

    w: float | jax.Array = 1.0
    c: float | jax.Array = 0.01

    def validate(self) -> None:
        """Raises ValueError unless `w` > 0 and `c` >= 0."""
        check_number("w", self.w, gt=0)
        check_number("c", self.c, ge=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return jnp.where(abs(u) < self.w, 0.5 / self.w, self.c)

    def primitive(self, u: jax.Array) -> jax.Array:
        bounded = jnp.clip(u, -self.w, self.w)
        return bounded / (2 * self.w) + 0.5 + self.c * (u - bounded)


class LeakyKReLU(SurrogateFunction):
    """A rectifier with two slopes.

        derivative(u) = k for u >= 0, else leak
        primitive(u)  = k u for u >= 0, else leak u

    Args:
        leak: slope below the threshold, finite.
        k: slope above it, finite.

    Raises:
        ValueError: a slope is not finite.

    Source: SpikingJelly's LeakyKReLU.
    """

    leak: float | jax.Array = 0.0
    k: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless both slopes are finite."""
        check_number("leak", self.leak)
        check_number("k", self.k)

    def derivative(self, u: jax.Array) -> jax.Array:
        return jnp.where(u >= 0, self.k, self.leak)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.where(u >= 0, self.k, self.leak) * u


class LogTailedReLU(SurrogateFunction):
    """A rectifier with a logarithmic tail.

        derivative(u) = alpha for u <= 0, 1 for 0 < u <= 1, 1 / u above
        primitive(u)  = alpha u for u <= 0, u for 0 < u <= 1, ln(u) + 1 above

    SpikingJelly's documentation prints the middle interval as 0 < u <= 0 and the tail without + 1.

    Args:
        alpha: slope below the threshold, finite.

    Raises:
        ValueError: `alpha` is not finite.

    Source: Cai, He, Sun, Vasconcelos, "Deep Learning with Low Precision by Half-wave Gaussian Quantization", 2017.
    """

    alpha: float | jax.Array = 0.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` is finite."""
        check_number("alpha", self.alpha)

    def derivative(self, u: jax.Array) -> jax.Array:
        return jnp.where(u <= 0, self.alpha, 1 / jnp.maximum(u, 1))

    def primitive(self, u: jax.Array) -> jax.Array:
        beyond = jnp.maximum(u, 1)
        return jnp.where(u <= 0, self.alpha * u, jnp.minimum(u, 1) + jnp.log(beyond))


class DeterministicPass(SurrogateFunction):
    """The straight-through estimator.

        derivative(u) = 1
        primitive(u)  = u

    Source: Bengio, Leonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", 2013.
    """

    def derivative(self, u: jax.Array) -> jax.Array:
        return jnp.ones_like(u)

    def primitive(self, u: jax.Array) -> jax.Array:
        return u
