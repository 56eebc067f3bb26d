"""Values of many neurons over time as bars that stand in space."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.visualize.canvas import as_values, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import Axes3D

_MOST_BARS = 1024
_WIDTH = 0.7


def plot_bars_3d(
    values: ArrayLike,
    *,
    title: str = "membrane",
    label: str = "potential",
    elevation: float = 40.0,
    azimuth: float = -60.0,
) -> "Figure":
    """Draws values of neurons over time as bars from 0 up or down, for instance their membranes or rates.

    Bars in front hide those behind them: `plot_heatmap` draws the same values flat.

    Args:
        values: `[T, N]`: time steps, neurons; at most 1024 values, as 32 x 32.
        title: above the picture.
        label: what the values are, with their unit.
        elevation: from how high they are looked at, in degrees, 0 (from the side) to 90 (from above).
        azimuth: from where around they are looked at, in degrees.

    Returns:
        The figure.

    Raises:
        ValueError: `values` is not `[T, N]` with at least one step and neuron, there are more than 1024, a value is not
            finite, or `elevation` is not from 0 to 90.
        ImportError: matplotlib is not installed.
    """
    array = as_values("values", values, ("time steps", "neurons"))
    if array.size > _MOST_BARS:
        raise ValueError(
            f"`values` must be at most {_MOST_BARS}, got the shape {array.shape}: give a part of them, or draw all "
            "with `plot_heatmap`"
        )
    check_number("elevation", elevation, ge=0, le=90, remedy="it is in degrees")
    figure = new_figure(8.0, 6.0)
    plot = figure.add_subplot(projection="3d", computed_zorder=False)
    steps, neurons = array.shape
    low, high = min(0.0, float(array.min())), max(0.0, float(array.max()))
    high = high if high > low else low + 1.0
    colours = _colours((array - low) / (high - low))
    # Bar by bar, the nearest last: sorted by matplotlib, the faces of high bars show through low ones before them.
    for nearness, (step, neuron) in enumerate(_from_far_to_near(array.shape, azimuth)):
        value = float(array[step, neuron])
        corner = step - _WIDTH / 2, neuron - _WIDTH / 2, min(value, 0.0)
        plot.bar3d(*corner, _WIDTH, _WIDTH, abs(value), color=colours[step, neuron], shade=True, zorder=3 + nearness)
    plot.set(xlim=(-0.5, steps - 0.5), ylim=(-0.5, neurons - 0.5), zlim=(low, high), box_aspect=(4, 4, 2.2))
    plot.view_init(elev=elevation, azim=azimuth)
    _name(plot, title, label)
    return figure


def _name(plot: "Axes3D", title: str, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    plot.figure.suptitle(title)
    plot.set_xlabel("time step", labelpad=8)
    plot.set_ylabel("neuron", labelpad=8)
    plot.set_zlabel(label, labelpad=8)
    whole_ticks(plot.xaxis, plot.yaxis)
    plot.zaxis.set_major_locator(MaxNLocator(5))


def _from_far_to_near(shape: tuple[int, ...], azimuth: float) -> np.ndarray:
    """The places `[bars, 2]` of a field of `shape`, for someone who looks at it from `azimuth` degrees."""
    places = np.indices(shape).reshape(2, -1)
    towards = np.cos(np.radians(azimuth)) / shape[0], np.sin(np.radians(azimuth)) / shape[1]
    return places[:, np.argsort(towards @ places, kind="stable")].T


def _colours(shares: np.ndarray) -> np.ndarray:
    """Colours for values from 0, dark, to 1, light."""
    from matplotlib import colormaps

    return colormaps["cividis"](shares)
