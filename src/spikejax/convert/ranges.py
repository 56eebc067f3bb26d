"""Ranges of the activations of a trained network, measured over data."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from spikejax.convert.graph import NodeList, evaluate_nodes
from spikejax.convert.nodes import ActivationNode
from spikejax.convert.scales import BINS, ScaleMode
from spikejax.typing import Array


@dataclass(frozen=True)
class Range:
    """Measurements of one activation.

    Attributes:
        name: its index among the nodes of the network.
        line: the line of code that it comes from.
        shape: its shape for one sample.
        largest: its largest value; here and below the magnitude, if it may be negative.
        scale: the value that the highest firing rate, one spike a step, will stand for: one number, or one a channel.
        clipped: share of all activity that is lost, because it lies above the scale.
        rate: mean firing rate to expect, spikes a step.
        histogram: number of values in each of equal bins from 0 to `largest`.
    """

    name: str
    line: str
    shape: tuple[int, ...]
    largest: float
    scale: float | np.ndarray
    clipped: float
    rate: float
    histogram: np.ndarray


@dataclass(frozen=True)
class Ranges:
    """The ranges of all activations, in order; prints as a table.

    Attributes:
        mode: name of the mode that chose the scales.
        layers: one range for each activation.
    """

    mode: str
    layers: tuple[Range, ...]

    def __str__(self) -> str:
        head = f"{'layer':>5}  {'shape':14}{'largest':>9}{'scale':>14}{'clipped':>9}{'rate':>7}  error at T=50"
        rows = [
            f"{r.name:>5}  {'x'.join(map(str, r.shape)):14}{r.largest:9.3f}{_span(r.scale):>14}{r.clipped:9.2%}"
            f"{r.rate:7.3f}  {r.clipped + 0.5 / (50 * max(r.rate, 1e-9)):.1%} of the activity"
            for r in self.layers
        ]
        return "\n".join((f"mode {self.mode}", head, *rows))


def measure_nodes(nodes: NodeList, data: ArrayLike, mode: ScaleMode, batch_size: int) -> Ranges:
    """Runs the network over `data` once for the largest values and the scales, and once more for the histograms."""
    values = np.asarray(data)
    batches = [jnp.asarray(x) for x in np.array_split(values, max(1, -(-len(values) // batch_size)))]
    measured = {i: node for i, node in enumerate(nodes) if isinstance(node, ActivationNode)}
    groups = {i: node.shape[-1] if mode.channels and node.shape else 1 for i, node in measured.items()}
    largest, scales = ({i: np.zeros(n) for i, n in groups.items()} for _ in range(2))
    scales_of = jax.jit(partial(_scales_of_batch, nodes, mode, groups))
    for number, x in enumerate(batches):
        maxima, new = scales_of(scales, x)
        largest = {i: np.maximum(largest[i], maximum) for i, maximum in maxima.items()}
        scales = {i: mode.average(scales[i], np.asarray(new[i]), number == 0) for i in measured}
    count = jax.jit(partial(_histograms_of_batch, nodes, groups))
    histograms = {i: np.zeros((n, BINS)) for i, n in groups.items()}
    for x in batches:
        histograms = {i: histograms[i] + np.asarray(h) for i, h in count(largest, x).items()}
    if mode.over_all:
        scales = {i: mode.of_histogram(histograms[i], largest[i]) for i in measured}
    return Ranges(mode.name, tuple(_range(i, n, histograms[i], largest[i], scales[i]) for i, n in measured.items()))


def _scales_of_batch(
    nodes: NodeList, mode: ScaleMode, groups: dict[int, int], scales: dict[int, Array], x: Array
) -> tuple[dict[int, Array], dict[int, Array]]:
    """The largest values of a batch, and the scales that it asks for, of every activation."""
    maxima, new = dict[int, Array](), dict[int, Array]()

    def choose(index: int, y: Array) -> Array:
        values = y.reshape(-1, groups[index])
        magnitudes = jnp.abs(values)
        maxima[index] = magnitudes.max(0)
        new[index] = mode.of_batch(magnitudes, scales[index])
        return jnp.clip(values, -new[index], new[index]).reshape(y.shape) if mode.balanced else y

    evaluate_nodes(nodes, x, choose)
    return maxima, new


def _histograms_of_batch(
    nodes: NodeList, groups: dict[int, int], largest: dict[int, Array], x: Array
) -> dict[int, Array]:
    """The histograms of every activation of a batch."""
    histograms = dict[int, Array]()

    def count(index: int, y: Array) -> Array:
        histograms[index] = _count(jnp.abs(y).reshape(-1, groups[index]), largest[index])
        return y

    evaluate_nodes(nodes, x, count)
    return histograms


def _count(a: Array, largest: Array) -> Array:
    """Histograms `[groups, bins]` of values `[n, groups]`, each from 0 to its largest."""
    groups = a.shape[1]
    bins = jnp.clip((a / jnp.maximum(largest, 1e-12) * BINS).astype(jnp.int32), 0, BINS - 1)
    return jnp.bincount((bins + BINS * jnp.arange(groups)).ravel(), length=groups * BINS).reshape(groups, BINS)


def _range(index: int, node: ActivationNode, histograms: np.ndarray, largest: np.ndarray, scale: np.ndarray) -> Range:
    if node.levels:
        scale = np.full_like(scale, node.limit or 1.0)
    elif node.limit is not None:
        scale = np.minimum(scale, node.limit)
    scale = np.where(scale > 0, scale, 1.0)
    centres = (np.arange(BINS) + 0.5) * largest[:, None] / BINS
    activity = float(np.sum(histograms * centres))
    fired = np.minimum(centres, scale[:, None])
    clipped = 1 - float(np.sum(histograms * fired)) / activity if activity > 0 else 0.0
    rate = float(np.sum(histograms * fired / scale[:, None])) / max(1.0, float(histograms.sum()))
    top = float(largest.max())
    whole = (
        histograms[0] if len(histograms) == 1 else np.histogram(centres, BINS, (0, top or 1.0), weights=histograms)[0]
    )
    return Range(
        str(index), node.line, node.shape, top, float(scale[0]) if len(scale) == 1 else scale, clipped, rate, whole
    )


def _span(scale: float | np.ndarray) -> str:
    """A scale, or the smallest and the largest of all channels, as text."""
    return f"{scale:.3f}" if np.ndim(scale) == 0 else f"{np.min(scale):.3f}..{np.max(scale):.3f}"
