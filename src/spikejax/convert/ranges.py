"""How large the activations of a trained network become, measured over data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from spikejax.convert.trace import Activation, Node, Synapse
from spikejax.typing import Array

BINS = 4096
"""Bins of the histogram that percentiles are taken from."""


@dataclass(frozen=True)
class Range:
    """What was measured of one activation.

    Attributes:
        name: its place among the nodes of the network.
        where: the line of the program that it comes from.
        shape: its shape for one sample.
        largest: its largest value.
        scale: the value that the highest firing rate, one spike a step, will stand for.
        clipped: share of all activity that lies above the scale and so is lost.
        rate: mean firing rate to expect, spikes a step.
        histogram: how many values lie in each of equal bins from 0 to `largest`.
    """

    name: str
    where: str
    shape: tuple[int, ...]
    largest: float
    scale: float
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
        head = f"{'layer':>5}  {'shape':14}{'largest':>9}{'scale':>9}{'clipped':>9}{'rate':>7}  error at T=50"
        rows = [
            f"{r.name:>5}  {'x'.join(map(str, r.shape)):14}{r.largest:9.3f}{r.scale:9.3f}{r.clipped:9.2%}{r.rate:7.3f}"
            f"  {r.clipped + 0.5 / (50 * max(r.rate, 1e-9)):.1%} of the activity"
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
    if node.levels:
        step = (node.limit or 1.0) / node.levels
        return jnp.clip(jnp.floor(x / step + 0.5), 0, node.levels) * step
    return jnp.clip(x, 0, node.limit)


def measure_nodes(
    nodes: Sequence[Node | None], data: ArrayLike, mode: str | float, momentum: float | None, batch_size: int
) -> Ranges:
    """Runs the network over `data` once for the largest values, and once more for the histograms."""
    share, percentile = parse_mode(mode)
    found = {i: node for i, node in enumerate(nodes) if isinstance(node, Activation)}
    batches = np.array_split(np.asarray(data), max(1, -(-len(np.asarray(data)) // batch_size)))

    @jax.jit
    def activations(x: Array) -> dict[int, Array]:
        kept: dict[int, Array] = {}

        def keep(index: int, node: Activation, x: Array) -> Array:
            kept[index] = rectify(index, node, x)
            return kept[index]

        evaluate(nodes, x, keep)
        return kept

    @jax.jit
    def facts(x: Array) -> dict[int, tuple[Array, Array]]:
        top = lambda a: jnp.max(a) * share if percentile is None else jnp.percentile(a, percentile)  # noqa: E731
        return {i: (jnp.max(a), top(a)) for i, a in activations(x).items()}

    largest, average = dict.fromkeys(found, 0.0), {}
    for x in batches:
        for i, (top, chosen) in facts(jnp.asarray(x)).items():
            largest[i] = max(largest[i], float(top))
            average[i] = (
                float(chosen) if i not in average else average[i] + (momentum or 0) * (float(chosen) - average[i])
            )

    @jax.jit
    def count(x: Array) -> dict[int, Array]:
        return {i: jnp.histogram(a, BINS, (0.0, max(largest[i], 1e-12)))[0] for i, a in activations(x).items()}

    histograms: dict[int, np.ndarray] = dict.fromkeys(found, np.zeros(BINS))
    for x in batches:
        histograms = {i: histograms[i] + np.asarray(h) for i, h in count(jnp.asarray(x)).items()}

    layers = []
    for i, node in found.items():
        scale = average[i] if momentum is not None else _chosen(histograms[i], largest[i], share, percentile)
        scale = min(scale, node.limit) if node.limit is not None else scale
        scale = float(node.limit or 1.0) if node.levels else scale
        layers.append(_range(i, node, histograms[i], largest[i], scale or 1.0))
    return Ranges(str(mode), tuple(layers))


def parse_mode(mode: str | float) -> tuple[float, float | None]:
    """The share of the maximum, or the percentile, that a mode stands for.

    Raises:
        ValueError: it is none of "max", a percentage, a number in (0, 1].
    """
    if mode == "max":
        return 1.0, None
    if isinstance(mode, str) and mode.endswith("%"):
        try:
            percentile = float(mode[:-1])
        except ValueError:
            percentile = -1.0
        if 0 < percentile <= 100:
            return 1.0, percentile
    elif not isinstance(mode, str | bool) and 0 < mode <= 1:
        return float(mode), None
    raise ValueError(f'`mode` must be "max", a percentile such as "99.9%", or a number in (0, 1], got {mode!r}')


def _chosen(histogram: np.ndarray, largest: float, share: float, percentile: float | None) -> float:
    if percentile is None:
        return largest * share
    total = np.concatenate(([0.0], np.cumsum(histogram)))
    return float(np.interp(percentile / 100 * total[-1], total, np.linspace(0, largest, BINS + 1)))


def _range(index: int, node: Activation, histogram: np.ndarray, largest: float, scale: float) -> Range:
    centres = (np.arange(BINS) + 0.5) * largest / BINS
    activity = float(np.sum(histogram * centres))
    lost = float(np.sum(histogram * np.maximum(centres - scale, 0)))
    rate = (activity - lost) / scale / max(1.0, float(histogram.sum()))
    clipped = lost / activity if activity > 0 else 0.0
    return Range(str(index), node.where, node.shape, largest, scale, clipped, rate, histogram)
