"""Attention between tokens, in spikes."""

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx

from spikejax.cells import LIF, Neuron
from spikejax.checks import check_number, check_option, check_type
from spikejax.nn.graph import Graph
from spikejax.typing import Array

NEURON = LIF(tau=2.0, detach_reset=True)


class SpikingSelfAttention(Graph):
    """Self-attention of spikes, without softmax (SSA); a network of neurons.

        q, k, v = LIF(BN(x Wq)), LIF(BN(x Wk)), LIF(BN(x Wv))
        y = LIF(BN(LIF(scale (q k^T) v) Wo))          q, k, v split in heads

    Takes and gives `[N, tokens, dim]` at each step, and needs nothing of other steps but its neurons' membranes. As
    q, k, v are 0 and 1, (q k^T) v and q (k^T v) are the same whole numbers; the cheaper one is computed.

    Args:
        dim: features of a token.
        heads: number of heads, a divisor of `dim`.
        scale: factor of (q k^T) v, > 0, which brings it to the threshold.
        neuron: the neurons; each layer has its own copy of their parameters.
        attention_threshold: threshold of the neurons behind (q k^T) v.
        rngs: random streams for the initial parameters.
        **options: of `nnx.BatchNorm`, such as `momentum`.

    Raises:
        ValueError: `heads` does not divide `dim`, or `scale` is not > 0.
        TypeError: `neuron` is no spiking neuron with a threshold.

    Source: Zhou, Zhu, He, Wang, Yan, Tian and Yuan, "Spikformer: When Spiking Neural Network Meets Transformer", 2023,
    and the authors' code (scale 0.125, attention_threshold 0.5).
    """

    def __init__(
        self,
        dim: int,
        heads: int = 8,
        *,
        scale: float = 0.125,
        neuron: Neuron = NEURON,
        attention_threshold: float = 0.5,
        rngs: nnx.Rngs,
        **options: Any,
    ) -> None:
        check_number("scale", scale, gt=0)
        build = _Builder(dim, heads, neuron, attention_threshold, rngs, options)
        q, k, v = (build.projection(0) for _ in range(3))
        mixed = build.attention(_Mix(heads, scale), q, k, v)
        build.projection(mixed)
        super().__init__(build.layers, build.inputs)


class QKAttention(Graph):
    """Attention that lets tokens, or channels, of k through by a spike of q, at a cost linear in the tokens (QKA).

        q, k = LIF(BN(x Wq)), LIF(BN(x Wk))
        a = LIF(sum over the channels of each head of q)      mode="token",   one spike a token and head
        a = LIF(sum over the tokens of q)                     mode="channel", one spike a channel
        y = LIF(BN((a k) Wo))

    Takes and gives `[N, tokens, dim]` at each step, and needs nothing of other steps but its neurons' membranes.

    Args:
        dim: features of a token.
        heads: number of heads, a divisor of `dim`; without effect with mode="channel".
        mode: unit that a spike of q lets pass, "token" or "channel".
        neuron: the neurons; each layer has its own copy of their parameters.
        attention_threshold: threshold of the neurons behind the sum.
        rngs: random streams for the initial parameters.
        **options: of `nnx.BatchNorm`, such as `momentum`.

    Raises:
        ValueError: `heads` does not divide `dim`, or `mode` is unknown.
        TypeError: `neuron` is no spiking neuron with a threshold.

    Source: Zhou, Zhang, Zhou, Yu, Huang, Fan, Yuan, Ma, Zhou and Tian, "QKFormer: Hierarchical Spiking Transformer
    using Q-K Attention", 2024, and the authors' code (attention_threshold 0.5).
    """

    def __init__(
        self,
        dim: int,
        heads: int = 8,
        *,
        mode: Literal["token", "channel"] = "token",
        neuron: Neuron = NEURON,
        attention_threshold: float = 0.5,
        rngs: nnx.Rngs,
        **options: Any,
    ) -> None:
        check_option("mode", mode, ("token", "channel"))
        build = _Builder(dim, heads, neuron, attention_threshold, rngs, options)
        q, k = build.projection(0), build.projection(0)
        total = _OverChannels(heads) if mode == "token" else _over_tokens
        open_gate = build.attention(total, q)
        masked = build.add(_PerHead(heads) if mode == "token" else _per_channel, open_gate, k)
        build.projection(masked)
        super().__init__(build.layers, build.inputs)


class _Builder:
    """Layers and wires of a graph; every method gives the place of what it added."""

    def __init__(
        self, dim: int, heads: int, neuron: Neuron, threshold: float, rngs: nnx.Rngs, options: dict[str, Any]
    ) -> None:
        if heads < 1 or dim % heads:
            raise ValueError(f"`heads` must divide `dim` = {dim}, got {heads}")
        check_type("neuron", neuron, Neuron, "a spiking neuron such as sx.LIF()")
        self.dim, self.neuron, self.threshold, self.rngs, self.options = dim, neuron, threshold, rngs, options
        self.layers: list[Any] = []
        self.inputs: list[tuple[int, ...]] = []

    def add(self, layer: Any, *sources: int) -> int:
        self.layers.append(layer)
        self.inputs.append(sources)
        return len(self.layers)

    def projection(self, source: int) -> int:
        """Linear, BatchNorm, neurons."""
        dense = self.add(nnx.Linear(self.dim, self.dim, rngs=self.rngs), source)
        norm = self.add(nnx.BatchNorm(self.dim, rngs=self.rngs, **self.options), dense)
        return self.add(self.neuron, norm)

    def attention(self, function: Any, *sources: int) -> int:
        """A function of spikes, and neurons with the threshold of attention."""
        return self.add(self.neuron.replace(v_threshold=self.threshold), self.add(function, *sources))


@dataclass(frozen=True)
class _Mix:
    heads: int
    scale: float

    def __call__(self, q: Array, k: Array, v: Array) -> Array:
        """Scale (q k^T) v of `[N, tokens, dim]`."""
        split = (*q.shape[:2], self.heads, -1)
        q, k, v = (a.reshape(split) for a in (q, k, v))
        if q.shape[1] > q.shape[3]:
            y = jnp.einsum("nqhd,nhde->nqhe", q, jnp.einsum("nkhd,nkhe->nhde", k, v))
        else:
            y = jnp.einsum("nhqk,nkhe->nqhe", jnp.einsum("nqhd,nkhd->nhqk", q, k), v)
        return self.scale * y.reshape(*y.shape[:2], -1)


@dataclass(frozen=True)
class _OverChannels:
    heads: int

    def __call__(self, q: Array) -> Array:
        """Spikes of each token and head, `[N, tokens, heads]`."""
        return q.reshape(*q.shape[:2], self.heads, -1).sum(-1)


@dataclass(frozen=True)
class _PerHead:
    heads: int

    def __call__(self, gate: Array, k: Array) -> Array:
        """The features `[N, tokens, dim]` of the heads whose gate `[N, tokens, heads]` is open."""
        return (gate[..., None] * k.reshape(*k.shape[:2], self.heads, -1)).reshape(k.shape)


def _over_tokens(q: Array) -> Array:
    return q.sum(1)


def _per_channel(gate: Array, k: Array) -> Array:
    return gate[:, None] * k
