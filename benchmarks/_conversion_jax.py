"""The implementation on JAX of conversion: spikejax."""

import jax
import jax.numpy as jnp
from _on_jax import OnJax
from _problems import Problem, image, trained
from flax import nnx

from spikejax.convert import convert, predict
from spikejax.nn import AvgPool, Flatten
from spikejax.typing import Array

BATCH = 20
"""What `accuracy_over_time` takes on a CPU."""


def converted(problem: Problem) -> OnJax:
    """A converted network over the images, batch by batch."""
    x, (kernels, norms) = image(problem), trained(problem)
    rngs, layers = nnx.Rngs(0), []
    for kernel, (scale, bias, mean, var) in zip(kernels[:-1], norms, strict=True):
        conv = nnx.Conv(*kernel.shape[2:], (3, 3), padding="VALID", use_bias=False, rngs=rngs)
        norm = nnx.BatchNorm(kernel.shape[3], use_running_average=True, rngs=rngs)
        conv.kernel[...] = jnp.asarray(kernel)
        for variable, value in zip((norm.scale, norm.bias, norm.mean, norm.var), (scale, bias, mean, var), strict=True):
            variable[...] = jnp.asarray(value)
        layers += [conv, norm, nnx.relu, AvgPool(2)]
    dense = nnx.Linear(*kernels[-1].shape, use_bias=False, rngs=rngs)
    dense.kernel[...] = jnp.asarray(kernels[-1])
    net = convert(nnx.Sequential(*layers, Flatten(), dense), x, "max", fold=problem.get("fold", True))
    graph, variables = nnx.split(net)
    size, steps = min(len(x), problem.get("batch", BATCH)), problem["steps"]

    def classify(variables: nnx.State, x: Array) -> dict[str, Array]:
        def some(x: Array) -> tuple[Array, Array]:
            said = predict(nnx.merge(graph, variables), x, steps)
            return said.classes, said.outputs

        classes, outputs = jax.lax.map(some, x.reshape(-1, size, *x.shape[1:]))
        return {"outputs": classes.swapaxes(0, 1).reshape(steps, -1) + 1, "mean": outputs.reshape(len(x), -1)}

    return OnJax(classify, variables, x)
