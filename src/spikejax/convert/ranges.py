"""How large the activations of a trained network become, measured over data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from spikejax.convert.scales import BINS, Mode
from spikejax.convert.trace import Activation, Node, Synapse
from spikejax.typing import Array


@dataclass(frozen=True)
class Range:
    """What was measured of one activation.

    Attributes:
        name: its place among the nodes of the network.
        where: the line of the program that it comes from.
        shape: its shape for one sample.
        largest: its largest value, of those of either sign the magnitude, as in all that follows.
        scale: the value that the highest firing rate, one spike a step, will stand for: one number, or one a channel.
        clipped: share of all activity that lies above the scale and so is lost.
        rate: mean firing rate to expect, spikes a step.
        histogram: how many values lie in each of equal bins from 0 to `largest`.
    """

    name: str
    where: str
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
        mode: how the scales were chosen.
        layers: one an activation.
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


def evaluate(nodes: Sequence[Node | None], x: Array, activation: Callable[[int, Activation, Array], Array]) -> Array:
    """What the nodes give for a batch `[N, *]`, with `activation(index, node, x)` in the place of activations."""
    values = [x]
    for index, node in enumerate(nodes):
        if node is None:
            continue
        given = [values[i] for i in node.inputs]
        if isinstance(node, Activation):
            values.append(activation(index, node, given[0]))
        elif isinstance(node, Synapse):
            values.append(apply_synapse(node, given[0]))
        else:
            values.append(node.call(*given))  # pyright: ignore[reportAttributeAccessIssue]
    return values[-1]


def apply_synapse(node: Synapse, x: Array) -> Array:
    """The synapse on a batch: W x + b."""
    if node.options is None:
        return x @ node.kernel + node.bias
    n = node.kernel.ndim
    last = lax.ConvDimensionNumbers(
        (0, n - 1, *range(1, n - 1)), (n - 1, n - 2, *range(n - 2)), (0, n - 1, *range(1, n - 1))
    )
    options = node.options
    y = lax.conv_general_dilated(
        x,
        node.kernel,
        options["strides"],
        options["padding"],
        rhs_dilation=options["kernel_dilation"],
        dimension_numbers=last,
        feature_group_count=options["feature_group_count"],
    )
    return y + node.bias


def rectify(index: int, node: Activation, x: Array) -> Array:
    """The activation as the network has it."""
    if node.signed:
        return x
    if node.levels:
        step = (node.limit or 1.0) / node.levels
        return jnp.clip(jnp.floor(x / step + 0.5), 0, node.levels) * step
    return jnp.clip(x, 0, node.limit)


def measure_nodes(nodes: Sequence[Node | None], data: ArrayLike, mode: Mode, batch_size: int) -> Ranges:
    """Runs the network over `data` once for the largest values and the scales, and once more for the histograms."""
    values = np.asarray(data)
    batches = [jnp.asarray(x) for x in np.array_split(values, max(1, -(-len(values) // batch_size)))]
    found = {i: node for i, node in enumerate(nodes) if isinstance(node, Activation)}
    groups = {i: node.shape[-1] if mode.channels and node.shape else 1 for i, node in found.items()}

    def activations(x: Array, change: Callable[[int, Array], Array] = lambda i, a: a) -> dict[int, Array]:
        kept: dict[int, Array] = {}

        def keep(index: int, node: Activation, x: Array) -> Array:
            a = rectify(index, node, x)
            kept[index] = jnp.abs(a).reshape(-1, groups[index])
            return change(index, a)

        evaluate(nodes, x, keep)
        return kept

    scale = jax.jit(lambda scales, x: _scale(activations, mode, scales, x))
    largest, scales, first = (
        {i: np.zeros(n) for i, n in groups.items()},
        {i: np.zeros(n) for i, n in groups.items()},
        True,
    )
    for x in batches:
        tops, new = scale(scales, x)
        largest = {i: np.maximum(largest[i], top) for i, top in tops.items()}
        scales = {i: mode.average(scales[i], np.asarray(new[i]), first) for i in found}
        first = False
    count = jax.jit(lambda x: {i: _count(a, jnp.asarray(largest[i])) for i, a in activations(x).items()})
    histograms = {i: np.zeros((n, BINS)) for i, n in groups.items()}
    for x in batches:
        histograms = {i: histograms[i] + np.asarray(h) for i, h in count(x).items()}
    if mode.over_all:
        scales = {i: mode.of_histogram(histograms[i], largest[i]) for i in found}
    return Ranges(mode.name, tuple(_range(i, found[i], histograms[i], largest[i], scales[i]) for i in found))


def _scale(
    activations: Any, mode: Mode, scales: dict[int, Array], x: Array
) -> tuple[dict[int, Array], dict[int, Array]]:
    """The largest values of a batch, and the scales that it asks for."""
    new: dict[int, Array] = {}

    def choose(index: int, a: Array) -> Array:
        flat = a.reshape(-1, scales[index].size)
        new[index] = mode.of_batch(jnp.abs(flat), scales[index])
        return jnp.clip(flat, -new[index], new[index]).reshape(a.shape) if mode.balanced else a

    kept = activations(x, choose)
    return {i: a.max(0) for i, a in kept.items()}, new


def _count(a: Array, largest: Array) -> Array:
    """Histograms `[groups, bins]` of values `[n, groups]`, each from 0 to its largest."""
    groups = a.shape[1]
    bins = jnp.clip((a / jnp.maximum(largest, 1e-12) * BINS).astype(jnp.int32), 0, BINS - 1)
    return jnp.bincount((bins + BINS * jnp.arange(groups)).ravel(), length=groups * BINS).reshape(groups, BINS)


def _range(index: int, node: Activation, histograms: np.ndarray, largest: np.ndarray, scale: np.ndarray) -> Range:
    if node.levels:
        scale = np.full_like(scale, node.limit or 1.0)
    elif node.limit is not None:
        scale = np.minimum(scale, node.limit)
    scale = np.where(scale > 0, scale, 1.0)
    centres = (np.arange(BINS) + 0.5) * largest[:, None] / BINS
    activity = float(np.sum(histograms * centres))
    kept = np.minimum(centres, scale[:, None])
    clipped = 1 - float(np.sum(histograms * kept)) / activity if activity > 0 else 0.0
    rate = float(np.sum(histograms * kept / scale[:, None])) / max(1.0, float(histograms.sum()))
    top = float(largest.max())
    whole = (
        histograms[0] if len(histograms) == 1 else np.histogram(centres, BINS, (0, top or 1.0), weights=histograms)[0]
    )
    one = float(scale[0]) if len(scale) == 1 else scale
    return Range(str(index), node.where, node.shape, top, one, clipped, rate, whole)


def _span(scale: float | np.ndarray) -> str:
    """A scale, or the least and the largest of all channels, in words."""
    return f"{scale:.3f}" if np.ndim(scale) == 0 else f"{np.min(scale):.3f}..{np.max(scale):.3f}"
