"""Loss and accuracy over the epochs of a training."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spikejax.visualize.canvas import BLUE, VERMILION, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KEYS = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
_MOST_EPOCHS_WITH_MARKERS = 40
_LABEL_SPACING = 0.07


def plot_curves(log: Sequence[Mapping[str, Any]]) -> "Figure":
    """Draws the loss on the left and the accuracy on the right, of training and test, with the last values.

    Args:
        log: a row an epoch, in order, with the numbers `epoch`, `train_loss`, `train_accuracy`, `test_loss`
            and `test_accuracy`, accuracies in [0, 1]. Other keys are not read. A loss that is not finite, as
            a training that diverged has, leaves a gap.

    Returns:
        The figure.

    Raises:
        ValueError: `log` is empty, a row lacks a key or has something else than a number, the epochs do not
            increase, an accuracy is outside [0, 1].
        ImportError: matplotlib is not installed.
    """
    columns = _read_columns(log)
    epochs = columns["epoch"]
    figure = new_figure(9.0, 3.8)
    losses, accuracies = figure.subplots(1, 2)
    _draw_pair(losses, epochs, columns["train_loss"], columns["test_loss"], "{:#.4g}")
    _draw_pair(accuracies, epochs, columns["train_accuracy"] * 100, columns["test_accuracy"] * 100, "{:.2f} %")
    losses.set(title="loss", xlabel="epoch", ylabel="loss")
    accuracies.set(title="accuracy", xlabel="epoch", ylabel="accuracy (%)")
    return figure


def _read_columns(log: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    if not len(log):
        raise ValueError("`log` must have a row for each epoch, got none: train for at least one epoch")
    for index, row in enumerate(log):
        missing = [key for key in _KEYS if key not in row]
        if missing:
            raise ValueError(f"`log[{index}]` lacks {missing}: got the keys {sorted(row)}, expected {list(_KEYS)}")
    columns = {
        key: np.array([_as_number(f"log[{i}][{key!r}]", row[key]) for i, row in enumerate(log)]) for key in _KEYS
    }
    if not (np.diff(columns["epoch"]) > 0).all():
        raise ValueError(
            f"`log` must have increasing epochs, got {columns['epoch'].tolist()}: sort its rows and drop "
            "those that were repeated"
        )
    for key in ("train_accuracy", "test_accuracy"):
        outside = columns[key][~((columns[key] >= 0) & (columns[key] <= 1))]
        if outside.size:
            raise ValueError(f"`log`: `{key}` must lie in [0, 1], got {outside[0]}: give a fraction, no percentage")
    return columns


def _draw_pair(plot: "Axes", epochs: np.ndarray, train: np.ndarray, test: np.ndarray, form: str) -> None:
    """Draws two curves and, at their right ends, their names and last values."""
    marker = "o" if len(epochs) <= _MOST_EPOCHS_WITH_MARKERS else ""
    curves = [("train", train, BLUE, "-"), ("test", test, VERMILION, "--")]
    for _, values, color, style in curves:
        plot.plot(epochs, values, color=color, linestyle=style, marker=marker, markersize=4)
    whole_ticks(plot.xaxis)
    plot.grid(alpha=0.3)
    bottom, top = plot.get_ylim()
    heights = _separate(*((values[-1] - bottom) / (top - bottom) for _, values, _, _ in curves))
    for (name, values, color, _), height in zip(curves, heights, strict=True):
        text = f"{name} {form.format(values[-1])}"
        plot.annotate(text, (1.02, height), xycoords="axes fraction", color=color, va="center", size=9)


def _separate(first: float, second: float) -> tuple[float, float]:
    """Moves the heights of two labels apart where they overlap; one that is not finite goes to the top."""
    first, second = (height if math.isfinite(height) else 1.0 for height in (first, second))
    shift = max(0.0, _LABEL_SPACING - abs(first - second)) / 2
    return (first + shift, second - shift) if first >= second else (first - shift, second + shift)


def _as_number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be a number, got {value!r}: leave out rows that were not evaluated") from error
