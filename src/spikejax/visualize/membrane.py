"""Membrane potentials over time: of one neuron with its spikes, and of many as a map of colours."""

import math
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from spikejax.visualize.canvas import (
    BLACK,
    BLUE,
    GREEN,
    VERMILION,
    as_spikes,
    as_values,
    new_figure,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_membrane(
    membrane: ArrayLike,
    spikes: ArrayLike,
    *,
    v_threshold: ArrayLike = 1.0,
    v_reset: SupportsFloat | None = 0.0,
    title: str = "membrane and spikes of one neuron",
) -> "Figure":
    """Draws the membrane potential of one neuron with threshold and reset, and below it its spikes.

    Recorded after the reset, the membrane stays below the threshold; recorded before it (the `h` of the
    neuron's equations), it reaches the threshold at each spike.

    Args:
        membrane: potential at each time step, [T].
        spikes: values 0 and 1, [T].
        v_threshold: threshold, in the units of `membrane`, one number or, where it adapts, one a step, [T]; drawn as a
            dashed line.
        v_reset: potential after a spike; drawn as a dotted line. None (the soft reset): no line.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: `membrane` or `spikes` is not [T], lengths differ, a value or line is not finite, or `spikes` has
            other values than 0 and 1.
        ImportError: matplotlib is not installed.
    """
    potential = as_values("membrane", membrane, ("time steps",))
    fired = as_spikes("spikes", spikes, ("time steps",))
    if potential.shape != fired.shape:
        raise ValueError(
            f"`spikes` must be as long as `membrane`, {potential.shape}, got {fired.shape}: record both over "
            "the same time steps"
        )
    figure = new_figure(8.0, 4.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    steps = len(potential)
    upper.plot(potential, color=BLUE, linewidth=1.2, label="membrane", marker="." if steps <= 50 else "")
    _draw_threshold(upper, v_threshold, potential)
    if v_reset is not None:
        _draw_level(upper, "v_reset", v_reset, GREEN, ":")
    upper.set(title=title, ylabel="membrane")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    lower.vlines(np.flatnonzero(fired), 0, 1, colors=BLACK, linewidth=float(np.clip(200 / steps, 0.4, 2.0)))
    lower.set(xlabel="time step", ylabel="spikes", xlim=(-0.5, steps - 0.5), ylim=(0, 1), yticks=())
    whole_ticks(lower.xaxis)
    return figure


def plot_heatmap(values: ArrayLike, *, title: str = "membrane", label: str = "potential") -> "Figure":
    """Draws values of many neurons over time as colours, for instance their membranes.

    Args:
        values: [T, N]: time steps, neurons.
        title: above the picture.
        label: what the values are, with their unit; stands beside the scale of colours.

    Returns:
        The figure.

    Raises:
        ValueError: `values` is not [T, N] with at least one step and neuron, or a value is not finite.
        ImportError: matplotlib is not installed.
    """
    array = as_values("values", values, ("time steps", "neurons"))
    figure = new_figure(8.0, 4.5)
    plot = figure.subplots()
    image = plot.imshow(array.T, aspect="auto", origin="lower", cmap="cividis")
    figure.colorbar(image, label=label)
    plot.set(title=title, xlabel="time step", ylabel="neuron")
    whole_ticks(plot.xaxis, plot.yaxis)
    return figure


def _draw_threshold(plot: "Axes", v_threshold: ArrayLike, potential: np.ndarray) -> None:
    thresholds = np.asarray(v_threshold)
    if not thresholds.ndim:
        _draw_level(plot, "v_threshold", thresholds, VERMILION, "--")
        return
    if thresholds.shape != potential.shape:
        raise ValueError(
            f"`v_threshold` must be one number or as long as `membrane`, {potential.shape}, got {thresholds.shape}: "
            "select one neuron"
        )
    course = as_values("v_threshold", thresholds, ("time steps",))
    plot.plot(course, color=VERMILION, linestyle="--", label="v_threshold")


def _draw_level(plot: "Axes", name: str, value: SupportsFloat, color: str, style: str) -> None:
    level = float(value)
    if not math.isfinite(level):
        raise ValueError(f"`{name}` must be finite, got {level}: give the neuron's own")
    plot.axhline(level, color=color, linestyle=style, label=f"{name} = {level:.4g}")
