"""Bounds of weights: soft, by the distance that is left, or hard, after each update; and weights of a fixed sum."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax

from spikejax.checks import check_number
from spikejax.pytree import Struct
from spikejax.typing import Array

_Tree = TypeVar("_Tree")


class SoftBound(Struct):
    """Strength of a change that slows down towards a bound; an `f_pre` or `f_post` of a rule.

        f(W) = amplitude |limit - W|^exponent      on the right side of the limit, 0 beyond it

    `f_post=SoftBound(1.0)` grows towards 1, `f_pre=SoftBound(0.0, upper=False)` shrinks towards 0.

    Args:
        limit: the bound.
        amplitude: factor of the change.
        exponent: 1 multiplicative, 0 additive up to the bound, in between a mixture; >= 0.
        upper: True for an upper bound (of growth), False for a lower one (of shrinking).

    Raises:
        ValueError: the exponent is < 0.

    Source: Guetig, Aharonov, Rotter and Sompolinsky, "Learning input correlations through nonlinear temporally
    asymmetric Hebbian plasticity", 2003, eq. 3.
    """

    limit: float | Array = 1.0
    amplitude: float | Array = 1.0
    exponent: float | Array = 1.0
    upper: bool = True

    def validate(self) -> None:
        """Raises ValueError unless the exponent is >= 0."""
        check_number("limit", self.limit)
        check_number("amplitude", self.amplitude)
        check_number("exponent", self.exponent, ge=0)

    def __call__(self, weight: Array) -> Array:
        """The factor of each weight's change."""
        room = self.limit - weight if self.upper else weight - self.limit
        inside = room > 0
        return jnp.where(inside, self.amplitude * jnp.where(inside, room, 1) ** self.exponent, 0)


def keep_within(low: float, high: float) -> optax.GradientTransformationExtraArgs:
    """Hard bounds: no update takes a parameter out of `[low, high]`; the last link of an `optax.chain`.

    Args:
        low: smallest value.
        high: largest value, > low.

    Raises:
        ValueError: `low` is not below `high`; or, in the update, no parameters are given.
    """
    if not low < high:
        raise ValueError(f"`low` must be below `high`, got {low} and {high}")
    return _projection("keep_within", lambda new: jnp.clip(new, low, high))


def normalize(total: float) -> optax.GradientTransformationExtraArgs:
    """Weight normalisation: after each update, the weights into each neuron sum to `total`; a last link likewise.

        W[..., j] = total W[..., j] / sum_i |W[i, j]|

    Only for kernels, whose last axis is that of the neurons: choose them by `optax.multi_transform` or `optax.masked`.

    Args:
        total: sum of the sizes of the weights into one neuron (for a convolution, one output channel), > 0.

    Raises:
        ValueError: `total` is not > 0; or, in the update, no parameters are given.

    Source: Diehl and Cook, "Unsupervised learning of digit recognition using spike-timing-dependent plasticity", 2015,
    who divide the weights into each neuron after every image.
    """
    check_number("total", total, gt=0)

    def project(new: Array) -> Array:
        size = jnp.sum(jnp.abs(new), axis=tuple(range(new.ndim - 1)))
        return new * (total / jnp.where(size > 0, size, 1))

    return _projection("normalize", project)


def _projection(name: str, project: Callable[[Array], Array]) -> optax.GradientTransformationExtraArgs:
    """The transformation after which parameters are at the values that `project` gives."""

    def update(
        updates: _Tree, state: optax.OptState, params: _Tree | None = None, **_: object
    ) -> tuple[_Tree, optax.OptState]:
        if params is None:
            raise ValueError(f"`params` must be given to the update of {name}, which depends on the updated values")
        return jax.tree.map(lambda u, p: project(p + u) - p, updates, params), state

    def init(params: optax.Params) -> optax.EmptyState:
        return optax.EmptyState()

    return optax.GradientTransformationExtraArgs(init, update)
