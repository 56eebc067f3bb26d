"""Implementations on JAX of the networks: spikejax by each of its ways."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from _on_jax import OnJax
from _problems import Problem, cotangent, image, labels, spikes, weights
from flax import nnx

import spikejax as sx
from spikejax.typing import Array

Weights = Sequence[Array]


def network(kernels: Weights, linear: str = "Linear") -> sx.nn.Sequential:
    """Linear or convolution, then LIF, for each kernel; a convolution is followed by max pooling.

    `linear` is "Linear" or, for layers whose input is spikes, "SpikeLinear".
    """
    rngs = nnx.Rngs(0)
    layers: list[Any] = []
    for kernel in kernels:
        if kernel.ndim == 4:
            *size, inputs, outputs = kernel.shape
            layer = nnx.Conv(inputs, outputs, size, use_bias=False, rngs=rngs)
        else:
            layers.append(sx.nn.Flatten())
            inputs, outputs = kernel.shape
            kind = {"Linear": nnx.Linear, "SpikeLinear": sx.nn.SpikeLinear}[linear]
            layer = kind(inputs, outputs, use_bias=False, rngs=rngs)
        layer.kernel[...] = kernel
        layers += [layer, sx.LIF(tau=2.0, surrogate=sx.surrogate.ATan(2.0))]
        layers += [sx.nn.MaxPool(2)] if kernel.ndim == 4 else []
    return sx.nn.Sequential(*layers)


def spikejax(problem: Problem) -> OnJax:
    """Spikes in, or an image shown at every step; forward, and backward to all weights.

    `run` holds the options of `run`; with `whole` all steps are one chunk. An image is given as such, with `steps`, or
    where `repeated` as a sequence.
    """
    if "rate" in problem:
        return training_step(problem)
    options, linear = _how(problem), problem.get("linear", "Linear")

    def forward(kernels: Weights, x: Array) -> Array:
        if not problem.get("repeated"):
            return sx.run(network(kernels, linear), x, **options)[1]
        repeated = jnp.broadcast_to(x, (options["steps"], *x.shape))
        return sx.run(network(kernels, linear), repeated, **options | {"steps": None})[1]

    def both(kernels: Weights, x: Array, g: Array) -> dict[str, Array]:
        y, pull = jax.vjp(lambda kernels: forward(kernels, x), kernels)
        return {"outputs": y} | _named(pull(g)[0])

    x = image(problem) if "image" in problem else spikes(problem)
    return OnJax(both, weights(problem), x, cotangent(problem))


def training_step(problem: Problem) -> OnJax:
    """Forward, cross-entropy of the firing rates, backward, and a step of gradient descent."""
    options, linear = _how(problem), problem.get("linear", "Linear")

    def loss(kernels: Weights, x: Array, y: Array) -> tuple[Array, Array]:
        outs = sx.run(network(kernels, linear), x, **options)[1]
        return sx.losses.cross_entropy_rate(outs, y), outs

    def step(kernels: Weights, x: Array, y: Array) -> dict[str, Array]:
        gradients, outs = jax.grad(loss, has_aux=True)(kernels, x, y)
        new = {f"weights {i}": w - problem["rate"] * g for i, (w, g) in enumerate(zip(kernels, gradients, strict=True))}
        return {"outputs": outs} | _named(gradients) | new

    return OnJax(step, weights(problem), spikes(problem), labels(problem))


def _how(problem: Problem) -> dict[str, Any]:
    """Options of `run`."""
    steps = problem["steps"] if "image" in problem else problem["shape"][0]
    shown = {"steps": steps} if "image" in problem else {}
    return dict(problem["run"]) | shown | ({"chunk": steps} if problem.get("whole") else {})


def _named(gradients: Weights) -> dict[str, Array]:
    return {f"gradient {i}": gradient for i, gradient in enumerate(gradients)}
