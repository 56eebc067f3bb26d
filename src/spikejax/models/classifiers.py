"""Small image classifiers: fully connected, and convolutional."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.cells import LIF
from spikejax.checks import check_integer
from spikejax.nn import Flatten, MaxPool, Sequential, Voting
from spikejax.typing import Array, Cell


def fully_connected(
    shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (),
    neuron: Callable[[], Cell] = LIF,
    encoder: Cell | None = None,
    voters: int = 1,
    dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> Sequential:
    """A chain of linear layers without bias, each followed by neurons.

        [encoder] - flatten - (linear - neuron) for each hidden size - linear - neuron [- voting]

    Args:
        shape: shape of one sample, `(*)`.
        classes: number of output neurons.
        hidden: neurons of each hidden layer; none gives the single layer of the MNIST tutorials.
        neuron: makes the neurons of a layer; called once a layer.
        encoder: a cell that turns values into spikes; None feeds the values as currents.
        voters: output neurons a class, whose mean is the class's output.
        dtype: dtype of the matrix products; None keeps the parameters' float32.
        rngs: source of the initial weights.

    Raises:
        ValueError: a size is < 1.

    Source: with hidden=(), SpikingJelly's fully connected MNIST network.
    """
    inputs = 1
    for n in shape:
        inputs *= n
    sizes = (inputs, *hidden, classes * voters)
    for name, value in (*(("hidden", size) for size in hidden), ("classes", classes), ("voters", voters)):
        check_integer(name, value)
    layers: list[Any] = [] if encoder is None else [encoder]
    layers.append(Flatten())
    for fan_in, fan_out in pairwise(sizes):
        layers += [nnx.Linear(fan_in, fan_out, use_bias=False, dtype=dtype, rngs=rngs), neuron()]
    return Sequential(*layers, *_vote(voters))


def convolutional(
    shape: Sequence[int],
    classes: int,
    *,
    channels: int = 32,
    neuron: Callable[[], Cell] = LIF,
    pool: Callable[[Array], Array] = MaxPool(2),  # noqa: B008
    encoder: Cell | None = None,
    voters: int = 1,
    dtype: DTypeLike | None = None,
    rngs: nnx.Rngs,
) -> Sequential:
    """Two convolutions and two linear layers; without an encoder the first convolution learns the code.

        [encoder] - (conv 3x3 - batch norm - neuron - max pool 2x2) twice - flatten
        - linear - neuron - linear - neuron [- voting]

    Args:
        shape: shape of one sample, `(H, W, C)`, H and W at least 4.
        classes: number of output neurons.
        channels: feature maps of both convolutions; the hidden layer has 16 neurons a map.
        neuron: makes the neurons of a layer; called once a layer.
        pool: halves height and width.
        encoder: a cell that turns values into spikes; None feeds the image as a current at every step.
        voters: output neurons a class, whose mean is the class's output.
        dtype: dtype of convolutions and matrix products; None keeps the parameters' float32.
        rngs: source of the initial weights.

    Raises:
        ValueError: `shape` is not (H, W, C) with H, W >= 4, or a size is < 1.

    Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
    Networks", 2021, Fashion-MNIST network; SpikingJelly's CSNN (channels=128).
    """
    if len(shape) != 3 or min(shape[:2]) < 4:
        raise ValueError(f"`shape` must be (H, W, C) with H and W at least 4, got {tuple(shape)}")
    for name, value in (("channels", channels), ("classes", classes), ("voters", voters)):
        check_integer(name, value)
    height, width, depth = shape
    layers: list[Any] = [] if encoder is None else [encoder]
    for inputs in (depth, channels):
        conv = nnx.Conv(inputs, channels, (3, 3), use_bias=False, dtype=dtype, rngs=rngs)
        layers += [conv, nnx.BatchNorm(channels, momentum=0.9, dtype=jnp.float32, rngs=rngs), neuron(), pool]
    features, hidden = channels * (height // 4) * (width // 4), channels * 16
    layers += [Flatten(), nnx.Linear(features, hidden, use_bias=False, dtype=dtype, rngs=rngs), neuron()]
    layers += [nnx.Linear(hidden, classes * voters, use_bias=False, dtype=dtype, rngs=rngs), neuron()]
    return Sequential(*layers, *_vote(voters))


def _vote(voters: int) -> list[Voting]:
    return [Voting(voters)] if voters > 1 else []
