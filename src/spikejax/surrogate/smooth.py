"""Surrogates whose primitive is a smooth sigmoid-shaped curve."""

import math

import jax
import jax.numpy as jnp

from spikejax.checks import check_number
from spikejax.surrogate.base import SurrogateFunction


class Sigmoid(SurrogateFunction):
    """Derivative of the logistic function s.

        derivative(u) = alpha s(alpha u) (1 - s(alpha u))
        primitive(u)  = s(alpha u) = 1 / (1 + exp(-alpha u))

    Args:
        alpha: steepness, > 0; the default makes the largest slope 1.

    Raises:
        ValueError: `alpha` <= 0.

    Source: surveyed in Neftci, Mostafa, Zenke, "Surrogate Gradient Learning in Spiking Neural Networks", 2019;
    default as in SpikingJelly.
    """

    alpha: float | jax.Array = 4.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        s = jax.nn.sigmoid(self.alpha * u)
        return self.alpha * s * (1 - s)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(self.alpha * u)


class ATan(SurrogateFunction):
    """Derivative of the arc tangent.

        derivative(u) = alpha / 2 / (1 + (pi alpha u / 2)^2)
        primitive(u)  = arctan(pi alpha u / 2) / pi + 1/2

    Args:
        alpha: steepness, > 0; the default makes the largest slope 1.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
    Networks", 2021; default as in SpikingJelly.
    """

    alpha: float | jax.Array = 2.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha / 2 / (1 + (jnp.pi / 2 * self.alpha * u) ** 2)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.arctan(jnp.pi / 2 * self.alpha * u) / jnp.pi + 0.5


class SoftSign(SurrogateFunction):
    """Derivative of the soft sign.

        derivative(u) = alpha / (2 (1 + |alpha u|)^2)
        primitive(u)  = (alpha u / (1 + |alpha u|) + 1) / 2

    Args:
        alpha: steepness, > 0; the default makes the largest slope 1.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Zenke, Ganguli, "SuperSpike", 2018, in the scaling of SpikingJelly's SoftSign.
    """

    alpha: float | jax.Array = 2.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha / 2 / (1 + abs(self.alpha * u)) ** 2

    def primitive(self, u: jax.Array) -> jax.Array:
        scaled = self.alpha * u
        return (scaled / (1 + abs(scaled)) + 1) / 2


class SuperSpike(SurrogateFunction):
    """The fast sigmoid's derivative, its largest slope always 1.

        derivative(u) = 1 / (1 + alpha |u|)^2
        primitive(u)  = u / (1 + alpha |u|) + 1/2

    Args:
        alpha: steepness, > 0.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Zenke, Ganguli, "SuperSpike: Supervised Learning in Multilayer Spiking Neural Networks", 2018, eq. 6.
    """

    alpha: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return 1 / (1 + self.alpha * abs(u)) ** 2

    def primitive(self, u: jax.Array) -> jax.Array:
        return u / (1 + self.alpha * abs(u)) + 0.5


class Erf(SurrogateFunction):
    """A Gaussian.

        derivative(u) = alpha / sqrt(pi) exp(-(alpha u)^2)
        primitive(u)  = erfc(-alpha u) / 2

    Args:
        alpha: steepness, > 0; the default makes the largest slope 2 / sqrt(pi) = 1.128.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Esser et al., 2015; Wu et al., "Spatio-Temporal Backpropagation for Training High-Performance Spiking Neural
    Networks", 2018, eq. 27; default as in SpikingJelly.
    """

    alpha: float | jax.Array = 2.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha / math.sqrt(math.pi) * jnp.exp(-((self.alpha * u) ** 2))

    def primitive(self, u: jax.Array) -> jax.Array:
        return jax.scipy.special.erfc(-self.alpha * u) / 2


class PiecewiseExp(SurrogateFunction):
    """Two exponentials, a Laplace density.

        derivative(u) = alpha / 2 exp(-alpha |u|)
        primitive(u)  = exp(alpha u) / 2 for u < 0, 1 - exp(-alpha u) / 2 otherwise

    Args:
        alpha: steepness, > 0; the largest slope is alpha / 2.

    Raises:
        ValueError: `alpha` <= 0.

    Source: Shrestha, Orchard, "SLAYER: Spike Layer Error Reassignment in Time", 2018; default as in SpikingJelly.
    """

    alpha: float | jax.Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check_number("alpha", self.alpha, gt=0)

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha / 2 * jnp.exp(-self.alpha * abs(u))

    def primitive(self, u: jax.Array) -> jax.Array:
        tail = jnp.exp(-self.alpha * abs(u)) / 2
        return jnp.where(u < 0, tail, 1 - tail)


class QPseudoSpike(SurrogateFunction):
    """A power law.

        derivative(u) = (1 + 2 |u| / (alpha - 1))^-alpha
        primitive(u)  = (1 - 2 u / (alpha - 1))^(1 - alpha) / 2 for u < 0,
                        1 - (1 + 2 u / (alpha - 1))^(1 - alpha) / 2 otherwise

    Args:
        alpha: exponent of the tail, > 1 (q in the paper); the largest slope is 1.

    Raises:
        ValueError: `alpha` <= 1.

    Source: Herranz-Celotti, Rouat, "Surrogate Gradients Design", 2022.
    """

    alpha: float | jax.Array = 2.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 1."""
        check_number("alpha", self.alpha, gt=1)

    def derivative(self, u: jax.Array) -> jax.Array:
        return (1 + 2 * abs(u) / (self.alpha - 1)) ** -self.alpha

    def primitive(self, u: jax.Array) -> jax.Array:
        tail = (1 + 2 * abs(u) / (self.alpha - 1)) ** (1 - self.alpha) / 2
        return jnp.where(u < 0, tail, 1 - tail)
