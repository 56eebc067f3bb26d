"""Layers with a kernel, of every kind, and their correlation by loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

import spikejax as sx

SYNAPSES = {
    "dense": lambda rngs: (nnx.Linear(6, 4, rngs=rngs), (6,)),
    "spike dense": lambda rngs: (sx.nn.SpikeLinear(6, 4, rngs=rngs), (6,)),
    "conv1d": lambda rngs: (nnx.Conv(2, 4, (3,), strides=2, kernel_dilation=2, padding=[(1, 0)], rngs=rngs), (9, 2)),
    "conv2d": lambda rngs: (nnx.Conv(4, 6, (3, 2), strides=(2, 1), feature_group_count=2, rngs=rngs), (5, 4, 4)),
    "depthwise": lambda rngs: (nnx.Conv(3, 3, (3, 3), feature_group_count=3, kernel_dilation=2, rngs=rngs), (5, 5, 3)),
    "spike conv": lambda rngs: (sx.nn.SpikeConv(2, 3, (3, 3), padding="VALID", rngs=rngs), (4, 4, 2)),
    "circular": lambda rngs: (nnx.Conv(2, 3, (3,), padding="CIRCULAR", rngs=rngs), (5, 2)),
}
MASK = (np.arange(24) % 3 > 0).reshape(3, 2, 4)
MORE = {
    "masked": lambda rngs: (nnx.Conv(2, 4, (3,), mask=jnp.asarray(MASK), rngs=rngs), (5, 2)),
    "transposed": lambda rngs: (nnx.ConvTranspose(2, 3, (3, 2), strides=(2, 1), rngs=rngs), (3, 4, 2)),
    "general": lambda rngs: (nnx.LinearGeneral((2, 3), (4, 2), axis=(1, 3), rngs=rngs), (2, 5, 3)),
    "product": lambda rngs: (
        nnx.Linear(6, 4, dot_general=partial(lax.dot_general, precision="highest"), rngs=rngs),
        (6,),
    ),
}
"""Layers that the rules of plasticity need not be tried with one by one."""


def make(name):
    """The layer, and the shape of one input without the batch."""
    return (SYNAPSES | MORE)[name](nnx.Rngs(0))


def spikes(seed, *shape, rate=0.4):
    return jnp.float32(jax.random.uniform(jax.random.key(seed), shape) < rate)


def activity(layer, shape, steps=5, batch=2):
    """Spikes before and after the layer, `[T, N, *]`."""
    after = jax.eval_shape(layer, jax.ShapeDtypeStruct((batch, *shape), jnp.float32)).shape
    return spikes(1, steps, batch, *shape), spikes(2, steps, *after)


def correlate(layer, pre, post):
    """sum post of what each weight alone, at 1, lets through: the definition, a weight after the other."""
    bare = nnx.clone(layer)
    bare.bias, bare.use_bias = None, False
    total = np.zeros(layer.kernel.shape)
    for index in np.ndindex(total.shape):
        bare.kernel[...] = jnp.zeros(total.shape).at[index].set(1)
        total[index] = (np.asarray(bare(pre)) * np.asarray(post)).sum()
    return total
