"""The activity of the layers of a network in one picture."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.visualize.canvas import BLACK, BLUE, VERMILION, as_values, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPANS = (5, 25, 50, 75, 95)
_QUIET = "#BBBBBB"


def plot_activity(records: Mapping[str, ArrayLike], *, title: str = "activity of the layers") -> "Figure":
    """Draws for each layer its rate over time, how the rates of its neurons are spread, and how many never change.

    The rate of a neuron is the mean over all steps and samples. A silent neuron has never fired, a saturated one fired
    at every step of every sample; neither tells the next layer anything about the sample.

    Args:
        records: spikes of each layer, values from 0 to 1, `[T, N, *]` with the same T; as `run` with `record="spikes"`
            returns them, whose layers are drawn in the order of the network, without what else was recorded. Other
            names, where none is that of recorded spikes, are drawn in their order.
        title: above the picture.

    Returns:
        The figure: on the left the rate of each layer at each step; in the middle the rates of the neurons, of which
        half lie in the bar and 90 % on the line, with the median in white and the mean as a dot; on the right the share
        of the silent and of the saturated neurons.

    Raises:
        ValueError: there is no layer, or one is not `[T, N, *]`, has another T, or has values that are not from 0 to 1.
        ImportError: matplotlib is not installed.
    """
    if not records:
        raise ValueError('`records` must hold at least one layer, got none: run with record="spikes"')
    recorded = [name for name in records if name.split(".")[-1] == "spikes"]
    names = sorted(recorded, key=_place) if recorded else records
    layers = {name.removesuffix(".spikes"): _as_layer(name, records[name]) for name in names}
    lengths = sorted({len(spikes) for spikes in layers.values()})
    if len(lengths) > 1:
        raise ValueError(f"all of `records` must be as long, got {' and '.join(map(str, lengths))} time steps")
    rates = [spikes.mean((0, 1)) for spikes in layers.values()]
    figure = new_figure(10.0, min(12.0, 0.42 * len(layers) + 1.9))
    left, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=(4, 4, 3))
    over_time = np.stack([spikes.mean((1, 2)) for spikes in layers.values()])
    image = left.imshow(over_time, aspect="auto", cmap="cividis", vmin=0, interpolation="nearest")
    figure.colorbar(image, ax=left, label="spikes / step")
    left.set(title="rate over time", xlabel="time step", ylabel="layer (neurons)")
    left.set_yticks(range(len(layers)), [f"{name} ({rate.size})" for name, rate in zip(layers, rates, strict=True)])
    whole_ticks(left.xaxis)
    _draw_spread(middle, rates)
    _draw_shares(right, rates)
    figure.suptitle(title)
    return figure


def _place(name: str) -> tuple:
    """Puts the paths of a network in order, "10.spikes" after "2.spikes"."""
    path = name.removesuffix(".spikes").split(".")
    return tuple(map(int, path)) if all(part.isdecimal() for part in path) else ()


def _as_layer(name: str, values: ArrayLike) -> np.ndarray:
    """Checked spikes as `[T, N, neurons]`."""
    array = np.asarray(values)
    whole = array.reshape(*array.shape[:2], -1) if array.ndim > 3 and array.size else array
    spikes = as_values(f"records[{name!r}]", whole, ("time steps", "samples", "neurons"))
    outside = spikes[(spikes < 0) | (spikes > 1)]
    if outside.size:
        raise ValueError(
            f"`records[{name!r}]` must have values from 0 to 1, got {outside[0]}: divide counts by the largest, take "
            "the absolute values of signed spikes, and leave out what are no spikes"
        )
    return spikes


def _draw_spread(plot: "Axes", rates: list[np.ndarray]) -> None:
    places = np.arange(len(rates))
    low, first, median, third, high = np.array([np.percentile(rate, _SPANS) for rate in rates]).T
    plot.hlines(places, low, high, color=BLUE, linewidth=1.5)
    plot.barh(places, third - first, 0.55, left=first, color=BLUE)
    plot.vlines(median, places - 0.275, places + 0.275, color="white", linewidth=1.5)
    plot.plot([rate.mean() for rate in rates], places, "o", color=BLACK, markersize=4)
    plot.set(title="rates of the neurons", xlabel="spikes / step", xlim=(0, None))
    plot.tick_params(left=False)
    plot.grid(axis="x", alpha=0.3)


def _draw_shares(plot: "Axes", rates: list[np.ndarray]) -> None:
    places = np.arange(len(rates))
    silent, saturated = (np.array([100 * np.mean(rate == end) for rate in rates]) for end in (0, 1))
    plot.barh(places, silent, 0.55, color=_QUIET, label="silent")
    plot.barh(places, saturated, 0.55, left=100 - saturated, color=VERMILION, label="saturated")
    for place, few, many in zip(places, silent, saturated, strict=True):
        text = ", ".join(f"{share:.3g} % {name}" for share, name in ((few, "silent"), (many, "saturated")) if share)
        plot.annotate(text or "none", (50, place), ha="center", va="center", size=8)
    plot.set(title="neurons that never change", xlabel="share (%)", xlim=(0, 100))
    plot.tick_params(left=False)
