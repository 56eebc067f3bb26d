"""What plasticity does: traces and a weight over time, and what the neurons of a layer have learnt to see."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.visualize.canvas import BLUE, VERMILION, as_spikes, as_values, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_plasticity(
    pre: ArrayLike,
    post: ArrayLike,
    trace_pre: ArrayLike,
    trace_post: ArrayLike,
    weight: ArrayLike,
    *,
    title: str = "spike-timing-dependent plasticity",
) -> "Figure":
    """Draws one synapse over time: the spikes before and after it, their traces, and below them its weight.

    Args:
        pre: spikes before the synapse, values 0 and 1, [T].
        post: spikes after it, values 0 and 1, [T].
        trace_pre: trace of the spikes before it, [T].
        trace_post: trace of the spikes after it, [T].
        weight: its weight, [T].
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: an argument is not [T], their lengths differ, or one holds other values than it may.
        ImportError: matplotlib is not installed.
    """
    axes = ("time steps",)
    sides = [
        ("before", as_spikes("pre", pre, axes), as_values("trace_pre", trace_pre, axes), BLUE),
        ("after", as_spikes("post", post, axes), as_values("trace_post", trace_post, axes), VERMILION),
    ]
    course = as_values("weight", weight, axes)
    lengths = sorted({len(course), *(len(values) for _, *both, _ in sides for values in both)})
    if len(lengths) > 1:
        raise ValueError(f"all arguments must be as long, got {' and '.join(map(str, lengths))} time steps")
    figure = new_figure(8.0, 6.0)
    *pairs, last = figure.subplots(5, 1, sharex=True, height_ratios=(1, 3, 1, 3, 3))
    for (name, fired, trace, color), spikes, curve in zip(sides, pairs[::2], pairs[1::2], strict=True):
        spikes.eventplot(fired.nonzero()[0], lineoffsets=0.5, colors=color, linewidths=1.2)
        spikes.set(ylim=(-0.1, 1.1), yticks=[], ylabel=name)
        curve.plot(trace, color=color, linewidth=1.2)
        curve.set(ylabel="trace")
    last.plot(course, color="black", linewidth=1.2)
    last.set(ylabel="weight", xlabel="time step", xlim=(-0.5, len(course) - 0.5))
    pairs[0].set(title=title)
    figure.align_ylabels()
    whole_ticks(last.xaxis)
    return figure


def plot_receptive_fields(
    weights: ArrayLike, *, columns: int | None = None, title: str = "receptive fields"
) -> "Figure":
    """Draws the weights into each neuron as a picture, all in one scale of grey.

    Args:
        weights: [N, H, W]: neurons, rows, columns.
        columns: pictures beside each other, >= 1; None makes about a square.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: `weights` is not [N, H, W], a value is not finite, or `columns` < 1.
        ImportError: matplotlib is not installed.
    """
    fields = as_values("weights", weights, ("neurons", "rows", "columns"))
    columns = math.ceil(math.sqrt(len(fields))) if columns is None else columns
    if columns < 1:
        raise ValueError(f"`columns` must be >= 1, got {columns}")
    rows = math.ceil(len(fields) / columns)
    height, width = fields.shape[1:]
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for index, field in enumerate(fields):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        sheet[top : top + height, left : left + width] = field
    figure = new_figure(8.0, min(12.0, 7.0 * sheet.shape[0] / sheet.shape[1] + 0.6))
    plot = figure.subplots()
    shown = plot.imshow(sheet, cmap="Greys", interpolation="nearest")
    plot.set(title=title, xticks=[], yticks=[])
    plot.spines[:].set_visible(False)
    figure.colorbar(shown, ax=plot, label="weight", shrink=0.8)
    return figure
