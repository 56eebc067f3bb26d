"""Spikes of many neurons over time."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.visualize.canvas import BLACK, BLUE, as_spikes, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NEURONS_WITH_NUMBERS = 20


def plot_raster(spikes: ArrayLike, *, title: str = "spikes", rates: bool = True) -> "Figure":
    """Draws a dash for every spike, and beside it the firing rate of each neuron.

    Args:
        spikes: values 0 and 1, [T, N]: time steps, neurons.
        title: above the picture.
        rates: whether the column of firing rates (spikes per time step, 0 to 1) is drawn.

    Returns:
        The figure.

    Raises:
        ValueError: `spikes` is not [T, N] with at least one step and neuron, or has values beside 0 and 1.
        ImportError: matplotlib is not installed.
    """
    fired = as_spikes("spikes", spikes, ("time steps", "neurons"))
    steps, neurons = fired.shape
    figure = new_figure(8.0, 4.5)
    if rates:
        dashes, bars = figure.subplots(1, 2, sharey=True, width_ratios=(5, 1))
        _draw_rates(bars, fired.mean(axis=0))
    else:
        dashes = figure.subplots()
    times, indices = np.nonzero(fired)
    # A dash is as wide as a step of the axes (about 400 points), within what the eye can separate.
    width = float(np.clip(200 / steps, 0.4, 2.0))
    dashes.vlines(times, indices - 0.4, indices + 0.4, colors=BLACK, linewidth=width)
    dashes.set(title=title, xlabel="time step", ylabel="neuron")
    dashes.set(xlim=(-0.5, steps - 0.5), ylim=(-0.5, neurons - 0.5))
    whole_ticks(dashes.xaxis, dashes.yaxis)
    return figure


def _draw_rates(plot: "Axes", rates: np.ndarray) -> None:
    few = len(rates) <= _MOST_NEURONS_WITH_NUMBERS
    if few:
        plot.barh(np.arange(len(rates)), rates, height=0.8, color=BLUE)
        for index, rate in enumerate(rates):
            plot.annotate(f"{rate:.2f}", (rate, index), (3, 0), textcoords="offset points", va="center", size=8)
    else:
        plot.stairs(rates, np.arange(len(rates) + 1) - 0.5, orientation="horizontal", fill=True, color=BLUE)
    highest = float(rates.max()) or 1.0
    plot.set(title="rate", xlabel="spikes / step", xlim=(0, highest * (1.45 if few else 1.05)))
    plot.tick_params(left=False, labelleft=False)
    plot.locator_params(axis="x", nbins=3)
