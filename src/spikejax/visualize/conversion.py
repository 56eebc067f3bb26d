"""The accuracy of a converted network over time, and the activations beyond its scales."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.visualize.canvas import BLUE, VERMILION, as_values, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours but black, and dashes where they are used up.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def plot_accuracy_over_time(
    curves: Mapping[str, ArrayLike], *, reference: float | None = None, title: str = "accuracy over time"
) -> "Figure":
    """Draws the accuracy after each step, a curve a network.

    Args:
        curves: by name, shares from 0 to 1, [T].
        reference: accuracy of the network before the conversion, as a dotted line.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: there is no curve, or one is not [T] or not finite.
        ImportError: matplotlib is not installed.
    """
    if not curves:
        raise ValueError("`curves` must hold at least one curve, got none")
    figure = new_figure(8.0, 4.5)
    plot = figure.subplots()
    lowest = 1.0
    for index, (name, values) in enumerate(curves.items()):
        shares = as_values(f"curves[{name!r}]", values, ("time steps",))
        style = ("-", "--", ":")[index // len(COLOURS) % 3]
        last = f"{name}: {shares[-1]:.2%}"
        plot.plot(
            np.arange(1, len(shares) + 1), shares, color=COLOURS[index % len(COLOURS)], linestyle=style, label=last
        )
        lowest = min(lowest, float(shares[len(shares) // 4]))
    if reference is not None:
        plot.axhline(reference, color="black", linestyle=":", label=f"before: {reference:.2%}")
    plot.set(title=title, xlabel="time step", ylabel="accuracy", ylim=(max(0.0, lowest - 0.05), 1.0))
    plot.legend(loc="lower right")
    whole_ticks(plot.xaxis)
    return figure


def plot_ranges(
    histograms: Sequence[tuple[str, ArrayLike, float, ArrayLike]], *, title: str = "activations"
) -> "Figure":
    """Draws how often an activation has each value, and the scale above which it is cut.

    Args:
        histograms: for each layer its name, its counts in equal bins from 0 on, the largest value, and the scale, one
            number or one a channel, whose span is shaded; as `[(r.name, r.histogram, r.largest, r.scale) for r in
            ranges.layers]`.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: there is no layer, the counts are not [bins], or a scale is not finite.
        ImportError: matplotlib is not installed.
    """
    if not histograms:
        raise ValueError("`histograms` must hold at least one layer, got none")
    figure = new_figure(8.0, 1.8 * len(histograms) + 0.6)
    plots = figure.subplots(len(histograms), 1, squeeze=False)[:, 0]
    for plot, (name, counts, largest, scale) in zip(plots, histograms, strict=True):
        values = as_values(f"histogram of {name}", counts, ("bins",))
        few = values[: len(values) // 64 * 64].reshape(64, -1).sum(1) if len(values) >= 64 else values
        plot.stairs(few, np.linspace(0, largest, len(few) + 1), fill=True, color=BLUE)
        scales = as_values(f"scale of {name}", np.ravel(scale), ("channels",))
        low, high = float(scales.min()), float(scales.max())
        if len(scales) > 1:
            plot.axvspan(low, high, color=VERMILION, alpha=0.3, linewidth=0, zorder=0)
        label = f"scale = {low:.4g}" if low == high else f"scales of {len(scales)} channels: {low:.4g} to {high:.4g}"
        plot.axvline(high, color=VERMILION, linestyle="--", label=label)
        plot.set(yscale="log", ylabel=f"layer {name}")
        plot.legend(loc="upper right")
    plots[0].set(title=title)
    plots[-1].set(xlabel="activation")
    figure.align_ylabels()
    return figure
