"""Surrogate gradients: a Heaviside step forward, a smooth derivative backward.

A spike is `Theta(u)` with `u = h - v_threshold` and `Theta(0) = 1`. Its true derivative is a Dirac delta;
each class here names a smooth `derivative(u)` that gradients see instead, and the `primitive(u)` whose
derivative that is.
"""

from dataclasses import field

import jax
import jax.numpy as jnp

from spikejax.pytree import Struct, check

__all__ = ["ATan", "Sigmoid", "SurrogateFunction", "heaviside"]


class SurrogateFunction(Struct):
    """Base of all surrogates: a subclass writes `derivative`, and `primitive` where there is one.

    The rule is a `jax.custom_jvp`, so reverse mode, forward mode, `linearize` and `hessian` all work, under
    `jit` and `vmap`, and the dtype of `u` is kept.

    Args:
        spiking: True gives spikes forward and `derivative` backward; False gives the `primitive` with its own
            gradient, the smooth twin of the network.

    Source: Neftci, Mostafa, Zenke, "Surrogate Gradient Learning in Spiking Neural Networks", 2019.
    """

    spiking: bool = field(default=True, kw_only=True)

    def derivative(self, u: jax.Array) -> jax.Array:
        """The slope that gradients see at `u` `[*]`."""
        raise NotImplementedError(f"{type(self).__name__} must define `derivative(self, u)`")

    def primitive(self, u: jax.Array) -> jax.Array:
        """The function whose derivative is `derivative`, used when `spiking=False`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no primitive, so spiking=False cannot be used: define `primitive(self, u)`"
        )

    def __call__(self, u: jax.Array) -> jax.Array:
        """Spikes of `u` `[*]` (membrane minus threshold), 0 or 1, in the dtype of `u`.

        Raises:
            TypeError: `u` is not of a floating-point dtype.
        """
        u = jnp.asarray(u)
        if not jnp.issubdtype(u.dtype, jnp.floating):
            raise TypeError(f"`u` must be floating point, got {u.dtype}: convert it with u.astype(jnp.float32)")
        return _spike(self, u) if self.spiking else self.primitive(u).astype(u.dtype)


def heaviside(u: jax.Array) -> jax.Array:
    """`Theta(u)`: 1 where `u >= 0`, else 0, in the dtype of `u`; without a gradient."""
    return (u >= 0).astype(u.dtype)


@jax.custom_jvp
def _spike(surrogate: SurrogateFunction, u: jax.Array) -> jax.Array:
    return heaviside(u)


@_spike.defjvp
def _spike_jvp(primals, tangents):
    surrogate, u = primals
    return _spike(surrogate, u), surrogate.derivative(u).astype(u.dtype) * tangents[1]


class Sigmoid(SurrogateFunction):
    """Derivative of the logistic function.

        derivative(u) = alpha s(alpha u) (1 - s(alpha u))        primitive(u) = s(alpha u) = 1 / (1 + exp(-alpha u))

    Args:
        alpha: steepness, > 0, without unit; the default 4 makes the largest slope 1.

    Source: surveyed in Neftci, Mostafa, Zenke, 2019; default as in SpikingJelly.
    """

    alpha: float | jax.Array = 4.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check("alpha", self.alpha, lambda a: a > 0, "> 0")

    def derivative(self, u: jax.Array) -> jax.Array:
        s = jax.nn.sigmoid(self.alpha * u)
        return self.alpha * s * (1 - s)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(self.alpha * u)


class ATan(SurrogateFunction):
    """Derivative of the arc tangent.

        derivative(u) = alpha / 2 / (1 + (pi alpha u / 2)^2)     primitive(u) = arctan(pi alpha u / 2) / pi + 1/2

    Args:
        alpha: steepness, > 0, without unit; the default 2 makes the largest slope 1.

    Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
    Networks", 2021; default as in SpikingJelly.
    """

    alpha: float | jax.Array = 2.0

    def validate(self) -> None:
        """Raises ValueError unless `alpha` > 0."""
        check("alpha", self.alpha, lambda a: a > 0, "> 0")

    def derivative(self, u: jax.Array) -> jax.Array:
        return self.alpha / 2 / (1 + (jnp.pi / 2 * self.alpha * u) ** 2)

    def primitive(self, u: jax.Array) -> jax.Array:
        return jnp.arctan(jnp.pi / 2 * self.alpha * u) / jnp.pi + 0.5
