"""Surrogate gradients: a Heaviside step forward, a smooth derivative backward.

A spike is `Theta(u)` with `u = h - v_threshold` and `Theta(0) = 1`. Its true derivative is a Dirac delta;
each class here names a smooth `derivative(u)` that gradients see instead, and the `primitive(u)` whose
derivative that is.
"""

from dataclasses import field

import jax
import jax.numpy as jnp

from spikejax.pytree import Struct


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

    def spike(self, u: jax.Array) -> jax.Array:
        """The forward step: `heaviside(u)` unless a subclass counts otherwise."""
        return heaviside(u)

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
    return surrogate.spike(u).astype(u.dtype)


@_spike.defjvp
def _spike_jvp(
    primals: tuple[SurrogateFunction, jax.Array], tangents: tuple[SurrogateFunction, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    surrogate, u = primals
    return _spike(surrogate, u), surrogate.derivative(u).astype(u.dtype) * tangents[1]
