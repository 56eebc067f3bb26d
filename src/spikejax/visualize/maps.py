"""Many small pictures in one: feature maps, weights, and what the neurons of a layer have learnt to see."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.checks import check_integer
from spikejax.visualize.canvas import as_values, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_MOST_STEPS = 8
_MOST_CHANNELS = 32
_MOST_NUMBERS = 16
_ACROSS, _UP = 6.4, 11.0  # the most room for pictures, in inches
_LARGEST = 1.6  # of one of several pictures


def plot_feature_maps(
    maps: ArrayLike, *, columns: int | None = None, title: str = "feature maps", label: str = "firing rate"
) -> "Figure":
    """Draws the maps of a layer of images beside each other, all in one scale of colours.

    Args:
        maps: spikes, rates or any other values of one sample: `[H, W, C]`, a picture a channel; or `[T, H, W, C]` with
            C at most 32, a row of pictures a time step. Of more than 8 steps, 8 are drawn, from the first to the last.
        columns: pictures beside each other for `[H, W, C]`, >= 1; None makes about a square.
        title: above the picture.
        label: what the values are, with their unit; stands beside the scale of colours.

    Returns:
        The figure.

    Raises:
        ValueError: `maps` has other axes or too many channels, a value is not finite, `columns` < 1 or given for
            `[T, H, W, C]`.
        ImportError: matplotlib is not installed.
    """
    if np.ndim(maps) != 4:
        array = as_values("maps", maps, ("H", "W", "channels"))
        return _draw_sheet(array.transpose(2, 0, 1), columns, title, label, "channels", "cividis")
    array = as_values("maps", maps, ("time steps", "H", "W", "channels"))
    steps, height, width, channels = array.shape
    if columns is not None:
        raise ValueError(
            f"`columns` is for maps [H, W, C], got {columns} and the shape {array.shape}: maps over time have a column "
            "a channel"
        )
    if channels > _MOST_CHANNELS:
        raise ValueError(
            f"`maps` [T, H, W, C] must have at most {_MOST_CHANNELS} channels, got {channels}: give maps[..., "
            f":{_MOST_CHANNELS}], or the mean over time"
        )
    shown = np.linspace(0, steps - 1, min(steps, _MOST_STEPS)).round().astype(int)
    pictures = array[shown].transpose(0, 3, 1, 2).reshape(-1, height, width)
    figure = _draw_sheet(pictures, channels, title, label, "", "cividis")
    _name(figure.axes[0], "time step", shown, "channel", range(channels), (height, width))
    return figure


def plot_weights(kernel: ArrayLike, *, columns: int | None = None, title: str = "weights") -> "Figure":
    """Draws the weights of a layer: of a linear one as one picture, of a convolution as a picture a kernel.

    Weights of both signs are drawn in blue and red around a white 0, weights of one sign in greys.

    Args:
        kernel: `[in, out]`, or `[H, W, in, out]`, as `kernel[...]` of Flax's layers. Of a convolution with several
            input channels, a row is one of them and a column an output channel, at most 32 of each.
        columns: pictures beside each other for a convolution with one input channel, >= 1; None makes about a square.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: `kernel` has other axes or too many channels, a value is not finite, `columns` < 1 or given for
            another kernel.
        ImportError: matplotlib is not installed.
    """
    if np.ndim(kernel) != 4:
        array = as_values("kernel", kernel, ("inputs", "outputs"))
        inputs = 1
    else:
        array = as_values("kernel", kernel, ("H", "W", "input channels", "output channels"))
        inputs = array.shape[2]
    if columns is not None and (array.ndim == 2 or inputs > 1):
        raise ValueError(
            f"`columns` is for convolutions with one input channel, got {columns} and the shape {array.shape}: leave "
            "it out"
        )
    if array.ndim == 2:
        return _draw_matrix(array, title)
    height, width, _, outputs = array.shape
    pictures = array.transpose(2, 3, 0, 1).reshape(-1, height, width)
    if inputs == 1:
        return _draw_sheet(pictures, columns, title, "weight", "output channels")
    if max(inputs, outputs) > _MOST_CHANNELS:
        raise ValueError(
            f"`kernel` [H, W, in, out] must have at most {_MOST_CHANNELS} channels, got the shape {array.shape}: give "
            f"kernel[:, :, :{_MOST_CHANNELS}, :{_MOST_CHANNELS}]"
        )
    figure = _draw_sheet(pictures, outputs, title, "weight", "")
    _name(figure.axes[0], "input channel", range(inputs), "output channel", range(outputs), (height, width))
    return figure


def plot_receptive_fields(
    weights: ArrayLike, *, columns: int | None = None, title: str = "receptive fields"
) -> "Figure":
    """Draws the weights into each neuron as a picture, all in one scale of colours.

    Weights of both signs are drawn in blue and red around a white 0, weights of one sign in greys.

    Args:
        weights: `[N, H, W]`: neurons, rows, columns; of a linear layer on images, `kernel.T.reshape(-1, H, W)`.
        columns: pictures beside each other, >= 1; None makes about a square.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: `weights` is not `[N, H, W]`, a value is not finite, or `columns` < 1.
        ImportError: matplotlib is not installed.
    """
    fields = as_values("weights", weights, ("neurons", "rows", "columns"))
    return _draw_sheet(fields, columns, title, "weight", "neurons")


def _draw_matrix(array: np.ndarray, title: str) -> "Figure":
    """Draws one matrix `[in, out]`, an input a row."""
    inputs, outputs = array.shape
    figure = new_figure(8.0, float(np.clip(_ACROSS * inputs / outputs + 0.9, 2.5, 7.0)))
    plot = figure.subplots()
    colours, low, high = _scale(array)
    shown = plot.imshow(array, cmap=colours, vmin=low, vmax=high, aspect="auto")
    plot.set(title=title, xlabel="output", ylabel="input")
    whole_ticks(plot.xaxis, plot.yaxis)
    figure.colorbar(shown, label="weight")
    return figure


def _draw_sheet(
    pictures: np.ndarray, columns: int | None, title: str, label: str, rows_of: str, colours: str | None = None
) -> "Figure":
    """Draws pictures `[n, H, W]` in rows, whose numbers stand at their left where it is said what they are of."""
    count, height, width = pictures.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    check_integer("columns", columns)
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    across = min(_ACROSS, max(_LARGEST * columns, 3.0))
    figure = new_figure(across + 1.6, min(_UP, across * sheet.shape[0] / sheet.shape[1] + 0.9))
    plot = figure.subplots()
    scale_colours, low, high = _scale(pictures)
    shown = plot.imshow(sheet, cmap=colours or scale_colours, vmin=low, vmax=high, interpolation="nearest")
    plot.set(title=title, xticks=[], yticks=[])
    if low < 0 and not colours:  # else a gap would look like 0
        from matplotlib.patches import Rectangle

        plot.set_facecolor("0.75")
        top, left = (rows - 1) * (height + 1) - 0.5, (count - 1) % columns * (width + 1) + width - 0.5
        plot.add_patch(Rectangle((left, top), sheet.shape[1] - 0.5 - left, height, color="white", linewidth=0))
    plot.spines[:].set_visible(False)
    if rows_of:
        firsts = range(0, count, columns)
        numbers = [f"{first}–{min(first + columns, count) - 1}" if columns > 1 else f"{first}" for first in firsts]
        _number(plot.yaxis, rows_of, numbers, height)
    figure.colorbar(shown, ax=plot, label=label, shrink=0.8)
    return figure


def _scale(values: np.ndarray) -> tuple[str, float, float]:
    """Colours for weights, and the values at their ends: 0 is white."""
    low, high = float(values.min()), float(values.max())
    if low >= 0:
        return "Greys", 0.0, high or 1.0
    reach = max(-low, high)
    return "RdBu_r", -reach, reach


def _name(
    plot: "Axes", rows: str, row_names: Sequence, columns: str, column_names: Sequence, size: tuple[int, int]
) -> None:
    """Names the rows and columns of a sheet of pictures of one size."""
    _number(plot.yaxis, rows, row_names, size[0])
    _number(plot.xaxis, columns, column_names, size[1])


def _number(axis: "Axis", label: str, names: Sequence, length: int) -> None:
    """Writes the names of pictures of one length beside their middles, every second or fifth where there are many."""
    stride = next(s for s in (1, 2, 5, 10, 20, 50, 100, len(names)) if len(names) <= s * _MOST_NUMBERS)
    places = np.arange(len(names))[::stride] * (length + 1) + (length - 1) / 2
    axis.set_ticks(places, [str(name) for name in names[::stride]], fontsize="small")
    axis.set_tick_params(length=0)
    axis.set_label_text(label)
