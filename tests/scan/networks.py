"""The networks that the tests of the driver take through time."""

from functools import cache

import jax
import numpy as np
from flax import nnx

import spikejax as sx

STEPS, BATCH, INPUTS = 13, 3, 4


@cache
def nested() -> sx.nn.Sequential:
    """Linear, neuron, a network in the network, and a read-out that does not spike."""
    rngs = nnx.Rngs(0)
    inner = sx.nn.Sequential(nnx.Linear(5, 6, rngs=rngs), sx.IF(v_reset=None))
    outer = (nnx.Linear(INPUTS, 5, rngs=rngs), sx.LIF(v_threshold=0.5), inner, lambda x: 2 * x)
    return sx.nn.Sequential(*outer, nnx.Linear(6, 2, rngs=rngs), sx.LeakyIntegrator())


def inputs() -> np.ndarray:
    t, n, f = np.meshgrid(np.arange(STEPS), np.arange(BATCH), np.arange(INPUTS), indexing="ij")
    return np.float32(1.5 * np.sin(1.9 * t + 0.8 * f + 2.3 * n) + 0.5)


def run(cell, xs, state=None, **how):
    """`sx.run`, compiled as one, which here is the faster way."""
    return jax.jit(lambda xs, state: sx.run(cell, xs, state, **how))(xs, state)
