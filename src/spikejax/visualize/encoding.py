"""Images beside the spikes that they were encoded as."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.visualize.canvas import as_spikes, as_values, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_MOST_IMAGES = 16
_MOST_FRAMES = 4


def plot_encoding(images: ArrayLike, spikes: ArrayLike) -> "Figure":
    """Draws each image, beside it the firing rate of its pixels over all time steps, and a few steps' spikes.

    Args:
        images: pixels of any range, [n, H, W] or [n, H, W, 1], n from 1 to 16. All share one scale of greys.
        spikes: values 0 and 1, [T, n, H, W] or [T, n, H, W, 1]; H and W may be other than the images', as those
            of a feature map.

    Returns:
        The figure.

    Raises:
        ValueError: an argument has other axes, the shapes of both do not agree, a pixel is not finite,
            `spikes` has values beside 0 and 1, or there are more than 16 images.
        ImportError: matplotlib is not installed.
    """
    pixels = as_values("images", _drop_channel("images", images, 4), ("images", "H", "W"))
    fired = as_spikes("spikes", _drop_channel("spikes", spikes, 5), ("time steps", "images", "H", "W"))
    if fired.shape[1] != len(pixels):
        raise ValueError(
            f"`spikes` must be [T, n, H, W] for `images` [n, H, W] of shape {pixels.shape}, got "
            f"{fired.shape}: encode the same images"
        )
    if len(pixels) > _MOST_IMAGES:
        raise ValueError(f"`images` must be at most {_MOST_IMAGES}, got {len(pixels)}: give images[:8], spikes[:, :8]")
    steps = len(fired)
    shown = np.linspace(0, steps - 1, _MOST_FRAMES).round().astype(int)
    # As keys, the steps that a short sequence would show twice are one.
    frames = {f"step {step}": fired[step] for step in shown}
    rates = fired.mean(axis=0)
    return _draw_columns({"image": pixels, f"rate over {steps} step{'s' * (steps > 1)}": rates, **frames})


def _draw_columns(columns: dict[str, np.ndarray]) -> "Figure":
    """Draws columns of images [n, H, W] by their titles; below the first two, the scales of their greys."""
    count = len(next(iter(columns.values())))
    figure = new_figure(1.35 * len(columns) + 0.2, 1.35 * count + 0.7)
    plots = figure.subplots(count + 1, len(columns), squeeze=False, height_ratios=(*[1.0] * count, 0.08))
    for index, (title, images) in enumerate(columns.items()):
        ends = _span(images) if index == 0 else (0.0, 1.0)
        *panels, foot = plots[:, index]
        for plot, image in zip(panels, images, strict=True):
            plot.imshow(image, cmap="gray", vmin=ends[0], vmax=ends[1], interpolation="nearest")
            plot.set(xticks=(), yticks=())
        panels[0].set_title(title, fontsize="small")
        if index < 2:
            _draw_scale(figure, panels[0].images[0], foot, ends)
        else:
            foot.set_axis_off()
    return figure


def _span(images: np.ndarray) -> tuple[float, float]:
    """The values that are drawn black and white: 0, or the lowest if it is below, and the highest."""
    lowest, highest = min(0.0, float(images.min())), float(images.max())
    return lowest, highest if highest > lowest else lowest + 1.0


def _drop_channel(name: str, values: ArrayLike, axes_with_channel: int) -> ArrayLike:
    array = np.asarray(values)
    if array.ndim != axes_with_channel:
        return array
    if array.shape[-1] != 1:
        raise ValueError(
            f"`{name}` must have one channel, got {array.shape[-1]} in the shape {array.shape}: select one, as [..., 0]"
        )
    return array[..., 0]


def _draw_scale(figure: "Figure", image: "AxesImage", place: "Axes", ends: tuple[float, float]) -> None:
    """Draws the scale of greys below a column, labelled at its two ends, inwards."""
    bar = figure.colorbar(image, cax=place, orientation="horizontal", ticks=ends, format="%.4g")
    bar.ax.tick_params(labelsize="small")
    for label, side in zip(bar.ax.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side)
