"""Frames of events as pictures: beside each other, and one after another as a GIF."""

import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spikejax.checks import check_integer, check_number
from spikejax.visualize.canvas import BLUE, VERMILION, as_values, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AXES = ("time steps", "H", "W", "polarities")
_MOST_FRAMES = 16
_MOST_COLUMNS = 4
_LEVELS = 16  # of each polarity: 16 x 16 colours are all that a GIF has
_FAINTEST = 0.3


def plot_events(
    frames: ArrayLike, *, full: float | None = None, columns: int | None = None, title: str = "events"
) -> "Figure":
    """Draws frames of events: those of polarity 1 (brighter) orange-red, those of polarity 0 (darker) blue, both black.

    Args:
        frames: numbers of events, >= 0, `[T, H, W, 2]`. Of more than 16 steps, 16 are drawn, from the first to the
            last.
        full: number of events of a pixel that is drawn in full colour, > 0; None: the number that 99 % of the pixels
            with events do not exceed.
        columns: pictures beside each other, >= 1; None: 4.
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: `frames` is not `[T, H, W, 2]`, a value is not finite or < 0, `full` is not > 0, or `columns` < 1.
        ImportError: matplotlib is not installed.
    """
    counts, full = _as_events(frames, full)
    shown = np.linspace(0, len(counts) - 1, min(len(counts), _MOST_FRAMES)).round().astype(int)
    columns = min(_MOST_COLUMNS, len(shown)) if columns is None else columns
    check_integer("columns", columns)
    rows, columns = math.ceil(len(shown) / columns), min(columns, len(shown))
    height, width = counts.shape[1:3]
    side = min(7.6 / columns, 2.6)
    figure = new_figure(max(side * columns, 3.2), min(12.0, (side * height / width + 0.25) * rows + 0.9))
    plots = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = _colours()
    for plot, step in zip(plots, shown, strict=False):
        plot.imshow(colours[_levels(counts[step], full)], interpolation="nearest")
        plot.set(xticks=(), yticks=())
        plot.set_title(f"step {step}", fontsize="small")
    for plot in plots[len(shown) :]:
        plot.set_axis_off()
    figure.suptitle(title)
    _draw_legend(figure, full)
    return figure


def save_events_gif(
    path: str | Path, frames: ArrayLike, *, fps: float = 10.0, full: float | None = None, size: int = 320
) -> None:
    """Writes frames of events as a GIF that repeats for ever, in the colours of `plot_events`.

    An old file stays whole until the new one is.

    Args:
        path: of the file, `name.gif`, in a folder that exists.
        frames: numbers of events, >= 0, `[T, H, W, 2]`.
        fps: frames a second, > 0 and at most 50; the format rounds the time of a frame to 1/100 s.
        full: as for `plot_events`.
        size: each pixel is repeated until the longer side has about as many, >= 1.

    Raises:
        ValueError: as `plot_events`; `path` does not end in .gif; `fps` or `size` is out of its range.
        ImportError: Pillow is not installed.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"`path` must end in .gif, got {str(path)!r}")
    check_number("fps", fps, gt=0, le=50, remedy="viewers slow down what is faster")
    check_integer("size", size)
    counts, full = _as_events(frames, full)
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("`save_events_gif` writes with Pillow, which is not installed: pip install pillow") from error
    times = max(1, round(size / max(counts.shape[1:3])))
    palette = _colours().tobytes()
    pictures = []
    for levels in _levels(counts, full):
        picture = Image.fromarray(levels.repeat(times, 0).repeat(times, 1))
        picture.putpalette(palette)
        pictures.append(picture)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        beside = Path(folder) / path.name
        pictures[0].save(beside, save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0)
        os.replace(beside, path)


def _as_events(frames: ArrayLike, full: float | None) -> tuple[np.ndarray, float]:
    """The numbers of events, and that of full colour."""
    counts = as_values("frames", frames, _AXES)
    if counts.shape[-1] != 2:
        raise ValueError(
            f"`frames` must have 2 polarities on the last axis, got {counts.shape[-1]} in the shape {counts.shape}: "
            "draw other frames with `plot_feature_maps`"
        )
    check_number("frames", counts, ge=0, remedy="they are numbers of events")
    if full is None:
        some = counts[counts > 0]
        full = float(np.quantile(some, 0.99, method="higher")) if some.size else 1.0
    check_number("full", full, gt=0)
    return counts, full


def _levels(counts: np.ndarray, full: float) -> np.ndarray:
    """Numbers of events `[*, 2]` as indices `[*]` of `_colours`: any event is seen, from `full` on all look alike."""
    rough = np.ceil(np.minimum(counts / full, 1) * (_LEVELS - 1)).astype(np.uint8)
    return rough[..., 1] * np.uint8(_LEVELS) + rough[..., 0]


def _colours() -> np.ndarray:
    """Colours, uint8 `[256, 3]`: white paper, on which the two inks are laid over each other."""
    strength = np.r_[0, np.linspace(_FAINTEST, 1, _LEVELS - 1)][:, None]
    blue, red = (np.array([int(ink[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for ink in (BLUE, VERMILION))
    off, on = (1 - strength * (1 - ink) for ink in (blue, red))
    return (on[:, None] * off[None] * 255).round().astype(np.uint8).reshape(-1, 3)


def _draw_legend(figure: "Figure", full: float) -> None:
    from matplotlib.patches import Patch

    colours = _colours() / 255
    last = _LEVELS - 1
    names = {"polarity 1": last * _LEVELS, "polarity 0": last, "both": last * _LEVELS + last}
    patches = [Patch(facecolor=tuple(colours[index]), label=name) for name, index in names.items()]
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize="small",
        title=f"full colour: {full:.3g} events or more",
        title_fontsize="small",
    )
