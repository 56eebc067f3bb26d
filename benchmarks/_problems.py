"""The inputs of the implementations: the same arrays for all, made by NumPy from a fixed seed.

A problem is a dict that JSON can hold. Weights and images are multiples of powers of two, which float32 adds without
rounding in any order, so that no spike depends on the order in which a matrix product adds.
"""

import math
from typing import Any

import numpy as np

Problem = dict[str, Any]
DRAWN = 10_000_019
"""Random numbers drawn for an array, at most; a prime, so that none meets itself at another step."""
SHARE = 0.2
"""Share of the spikes that are 1, where a problem does not say otherwise."""


def currents(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Input currents, about the problem's `mean`, and the gradient at the outputs; each of its `shape` [T, N, *]."""
    x, g = (_normal(np.random.default_rng(seed), problem["shape"]) for seed in (0, 1))
    return x + np.float32(problem.get("mean", 0.8)), g


def spikes(problem: Problem, seed: int = 1) -> np.ndarray:
    """Spikes of the problem's `shape` [T, N, *]."""
    drawn = np.random.default_rng(seed).random(problem["shape"], np.float32)
    return (drawn < problem.get("share", SHARE)).astype(np.float32)


def image(problem: Problem) -> np.ndarray:
    """Images of the problem's `image` [N, H, W, C], values in [0, 1]."""
    return (np.random.default_rng(1).integers(0, 65, problem["image"]) / 64).astype(np.float32)


def cotangent(problem: Problem) -> np.ndarray:
    """The gradient at a network's outputs [T, N, classes]."""
    steps, batch = (problem["steps"], problem["image"][0]) if "image" in problem else problem["shape"][:2]
    return np.random.default_rng(2).normal(0.0, 1.0, (steps, batch, problem["layers"][-1][-1])).astype(np.float32)


def labels(problem: Problem) -> np.ndarray:
    """The class of each of the N samples, of as many classes as the last layer has neurons."""
    return np.random.default_rng(2).integers(0, problem["layers"][-1][-1], problem["shape"][1])


def weights(problem: Problem) -> list[np.ndarray]:
    """The weights of the problem's `layers`, each a shape such as [inputs, outputs] or [3, 3, inputs, outputs].

    Such that about every fourth neuron fires, whatever its number of inputs.
    """
    rng = np.random.default_rng(3)
    matrices = []
    for layer in problem["layers"]:
        inputs = float(np.prod(layer[:-1]))
        drawn = rng.normal(3 / inputs, 3 / inputs**0.5, layer)
        matrices.append((np.rint(4096 * drawn) / 4096).astype(np.float32))
    return matrices


def trained(problem: Problem) -> tuple[list[np.ndarray], list[tuple[np.ndarray, ...]]]:
    """A network for images of 28 x 28 as if it were trained: three convolutions and a dense layer of 10 classes.

    Returns:
        The kernels, channels last, and of the BatchNorm behind each convolution scale, bias, mean and variance.
    """
    rng, channels = np.random.default_rng(4), problem["channels"]
    shapes = [(3, 3, i, channels) for i in (1, channels, channels)] + [(channels, 10)]
    kernels = [rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32) for shape in shapes]
    low, high = np.array([[0.5, -0.2, -0.1, 0.2], [1.5, 0.3, 0.1, 0.6]])
    norms = [tuple(rng.uniform(low, high, (channels, 4)).astype(np.float32).T) for _ in range(3)]
    return kernels, norms


def _normal(rng: np.random.Generator, shape: list[int]) -> np.ndarray:
    """Normally distributed numbers, drawn once for at most `DRAWN` elements and repeated for more."""
    return np.resize(rng.standard_normal(min(DRAWN, math.prod(shape)), np.float32), shape)
