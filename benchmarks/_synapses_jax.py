"""The implementations on JAX of the linear layers: those of spikejax and Flax."""

import jax
from _on_jax import OnJax
from _problems import Problem, cotangent, spikes, weights
from flax import nnx

import spikejax as sx
from spikejax.typing import Array


def layer(problem: Problem) -> OnJax:
    """Spikes in; forward, and backward to the weights."""
    (kernel,) = weights(problem)
    kind = {"Linear": nnx.Linear, "SpikeLinear": sx.nn.SpikeLinear}[problem["layer"]]
    graph, _ = nnx.split(kind(*kernel.shape, use_bias=False, rngs=nnx.Rngs(0)))

    def both(kernel: Array, x: Array, g: Array) -> dict[str, Array]:
        y, pull = jax.vjp(lambda kernel: nnx.merge(graph, nnx.State({"kernel": nnx.Param(kernel)}))(x), kernel)
        return {"outputs": y, "gradient": pull(g)[0]}

    return OnJax(both, kernel, spikes(problem), cotangent(problem))
