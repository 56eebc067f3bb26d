"""How neurons of the tests reset and what gradients see, and which of these variants show which ways to run."""

from typing import NamedTuple

import jax.numpy as jnp

import spikejax as sx


class Triangle(sx.surrogate.SurrogateFunction):
    """A user's own surrogate: a derivative and nothing else."""

    def derivative(self, u):
        return jnp.maximum(0, 1 - abs(u))


class Variant(NamedTuple):
    """How a neuron resets, and what gradients see."""

    hard: bool
    detach_reset: bool
    surrogate: sx.surrogate.SurrogateFunction

    def __str__(self) -> str:
        reset = f"{'hard' if self.hard else 'soft'}-{'detached' if self.detach_reset else 'attached'}"
        return reset if self.surrogate.spiking else f"{reset}-smooth"


HARD = Variant(True, False, sx.surrogate.Sigmoid())
HARD_DETACHED = Variant(True, True, sx.surrogate.ATan())
SOFT = Variant(False, False, sx.surrogate.ATan())
SOFT_DETACHED = Variant(False, True, Triangle())
SMOOTH_HARD = Variant(True, False, sx.surrogate.Sigmoid(spiking=False))
SMOOTH_SOFT = Variant(False, False, sx.surrogate.ATan(spiking=False))


class Shows(NamedTuple):
    """The variants that are run in more ways than the plain loop, which all are.

    Attributes:
        way: the key in `test_laws.COMPILED` of the compiled way.
        compiled: who is run that way.
        chunked: who is run eagerly in chunks whose steps are computed again on the way back.
        stepped: who is run eagerly step by step under `jax.checkpoint`.
    """

    way: str
    compiled: Variant
    chunked: Variant
    stepped: Variant
