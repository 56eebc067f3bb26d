"""Simulation of NetX files in JAX, bit for bit as Lava computes them."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer

from spikejax import nn
from spikejax.export.netx.file import PathLike, chip_of, read
from spikejax.export.netx.network import network_of
from spikejax.scan import run
from spikejax.typing import Array


def simulate_fixed_point(net: PathLike | nn.Sequential, spikes: Array, *, steps: int | None = None) -> Array:
    """Output spikes as Loihi's integers give them: bit for bit what Lava's fixed-point simulation computes.

    Every sample starts from rest, and all layers run in the same step: where Lava's output comes L steps late, one
    for each layer, this is at once. With biases it equals Lava loaded with reset_interval >= T and reset_offset=1.

    Args:
        net: a NetX file, a network that `quantized` made, or a trained one, which is quantised first.
        spikes: what the chip gets, `[T, N, *]`: spikes, or whole numbers as graded input; in the axes of the
            network's samples, channels last, and flat where its first layer flattens.
        steps: None, or the number of steps for which one `spikes` `[N, *]` is shown.

    Returns:
        Spikes `[T, N, *]` of the last layer on the chip, 0 or 1, in float32; without voting.

    Raises:
        ValueError: the network cannot be exported, the file not read, or `spikes` are no whole numbers.
    """
    spikes = jnp.asarray(spikes, jnp.float32)
    if not isinstance(spikes, Tracer) and bool((spikes != jnp.round(spikes)).any()):
        raise ValueError("`spikes` must be whole numbers, got fractions: encode them, or multiply with the input_scale")
    if isinstance(net, str | Path | os.PathLike):
        net = read(net)
    else:
        sample = spikes.shape[1 if steps is not None else 2 :]
        net = network_of(chip_of(net, sample, scale="auto", input_scale=None))
        if len(sample) > 1 and not isinstance(net[0], nnx.Conv):
            spikes = spikes.reshape(*spikes.shape[: spikes.ndim - len(sample)], -1)
    graph, variables = nnx.split(net)
    return _run(graph, variables, spikes, steps)


@jax.jit(static_argnums=(0, 3))
def _run(graph: nnx.GraphDef, variables: nnx.State, spikes: Array, steps: int | None) -> Array:
    return run(nnx.merge(graph, variables), spikes, steps=steps)[1]
