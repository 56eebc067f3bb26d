"""One row for each layer over time: how it is built, what it sees, and which ways of running it must agree."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import spikejax as sx
from spikejax import nn

T, N = 6, 2
IMAGE, TOKENS, FEATURES = (4, 5, 3), (6, 8), (5,)


class Case(NamedTuple):
    """A layer, the shape of one sample, and what it is like.

    Attributes:
        make: the layer, from `nnx.Rngs`.
        shape: of one sample.
        chunks: "any" in both modes, "any in eval", or "whole".
        key: whether it draws from a key.
        slow: whether it takes long to compile.
    """

    make: Any
    shape: tuple[int, ...]
    chunks: str = "any"
    key: bool = False
    slow: bool = False


NEURON = sx.LIF(v_threshold=0.4)
CASES = {
    "ThresholdDependentBatchNorm": Case(
        lambda rngs: nn.ThresholdDependentBatchNorm(3, 0.5, 1.5, rngs=rngs), IMAGE, "any in eval"
    ),
    "TemporalEffectiveBatchNorm": Case(
        lambda rngs: nn.TemporalEffectiveBatchNorm(3, T, rngs=rngs), IMAGE, "any in eval"
    ),
    "BatchNormThroughTime": Case(lambda rngs: nn.BatchNormThroughTime(5, T + 1, rngs=rngs), FEATURES),
    "NeuNorm": Case(lambda rngs: nn.NeuNorm(IMAGE, 0.7, shared=True), IMAGE),
    "TimeInvariantDropout": Case(lambda rngs: nn.TimeInvariantDropout(0.5), FEATURES, key=True),
    "WeightStandardizedConv": Case(lambda rngs: nn.WeightStandardizedConv(3, 2, (3, 3), rngs=rngs), IMAGE),
    "AdaptiveAvgPool": Case(lambda rngs: nn.AdaptiveAvgPool((2, 3)), IMAGE),
    "PrintShape": Case(lambda rngs: nn.PrintShape("here"), FEATURES),
    "TemporalAttention": Case(lambda rngs: nn.TemporalAttention(T, 2, rngs=rngs), FEATURES, "whole"),
    "MultiDimensionalAttention": Case(lambda rngs: nn.MultiDimensionalAttention(T, 3, 2, 2, rngs=rngs), IMAGE, "whole"),
    "SpikingSelfAttention": Case(
        lambda rngs: nn.SpikingSelfAttention(8, 2, scale=0.5, neuron=NEURON, rngs=rngs),
        TOKENS,
        "any in eval",
        slow=True,
    ),
    "QKAttention": Case(lambda rngs: nn.QKAttention(8, 2, neuron=NEURON, rngs=rngs), TOKENS, "any in eval", slow=True),
}


def inputs(case: Case) -> Any:
    """Currents `[T, N, *]`."""
    return jnp.asarray(np.random.default_rng(0).normal(0.5, 1.0, (T, N, *case.shape)), jnp.float32)


def network(case: Case, train: bool) -> nn.Sequential:
    """The layer before neurons whose output tells small differences, with parameters that are not 0 or 1."""
    net = nn.Sequential(case.make(nnx.Rngs(0)), sx.LeakyIntegrator(tau=1.5))
    rng = np.random.default_rng(1)
    state = nnx.state(net)
    nnx.update(net, jax.tree.map(lambda a: a + jnp.asarray(rng.uniform(0.05, 0.3, a.shape), a.dtype), state))
    net.train() if train else net.eval()
    return net
