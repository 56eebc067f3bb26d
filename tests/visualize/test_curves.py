import itertools
import math

import numpy as np
import pytest

from spikejax.visualize import plot_curves


def _rows(epochs: int, **changes) -> list[dict]:
    row = {"train_loss": 0.3, "train_accuracy": 0.91, "test_loss": 0.31, "test_accuracy": 0.9, "lr": "cosine"}
    return [{"epoch": epoch, **row, **changes} for epoch in range(epochs)]


def _labels(plot) -> list[str]:
    return [text.get_text() for text in plot.texts]


def _labels_do_not_overlap(plot) -> bool:
    boxes = [text.get_window_extent() for text in plot.texts]
    return not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_curves_are_the_rows(render):
    log = _rows(3)
    log[2] |= {"test_loss": 0.1, "test_accuracy": 0.97531}
    losses, accuracies = render(plot_curves(log)).axes
    np.testing.assert_array_equal(losses.lines[1].get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(losses.lines[0].get_ydata(), [0.3] * 3)
    np.testing.assert_allclose(losses.lines[1].get_ydata(), [0.31, 0.31, 0.1])
    np.testing.assert_allclose(accuracies.lines[0].get_ydata(), [91.0] * 3)
    np.testing.assert_allclose(accuracies.lines[1].get_ydata(), [90, 90, 97.531])
    assert _labels(losses) == ["train 0.3000", "test 0.1000"]
    assert _labels(accuracies) == ["train 91.00 %", "test 97.53 %"]


@pytest.mark.parametrize("epochs", [1, 2, 10, 200])
def test_legible_for_any_number_of_epochs(render, tick_texts, epochs):
    for plot in render(plot_curves(_rows(epochs))).axes:
        assert all(0 <= int(text) <= epochs for text in tick_texts(plot.xaxis))
        assert all((line.get_marker() == "o") == (epochs <= 40) for line in plot.lines)
        assert _labels_do_not_overlap(plot)


@pytest.mark.parametrize(("train", "test"), [(0.5, 0.5), (0.5, 0.50001), (0.50001, 0.5)])
def test_labels_of_equal_curves_stand_apart_in_their_order(render, train, test):
    losses = render(plot_curves(_rows(4, train_loss=train, test_loss=test))).axes[0]
    assert _labels_do_not_overlap(losses)
    heights = [text.get_window_extent().y0 for text in losses.texts]
    assert (heights[0] > heights[1]) == (train >= test)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_diverged_training_is_drawn(render, loss):
    log = _rows(4)
    log[3] |= {"train_loss": loss}
    losses = render(plot_curves(log)).axes[0]
    assert _labels(losses) == [f"train {loss}", "test 0.3100"]
    everywhere = render(plot_curves(_rows(2, train_loss=loss, test_loss=loss))).axes[0]
    assert _labels_do_not_overlap(everywhere)


@pytest.mark.parametrize(
    ("log", "match"),
    [
        ([], "`log` must have a row for each epoch, got none"),
        (
            [{"epoch": 0, "train_loss": 1}],
            r"`log\[0\]` lacks \['train_accuracy', 'test_loss', 'test_accuracy'\]",
        ),
        (_rows(2)[::-1], r"`log` must have increasing epochs, got \[1\.0, 0\.0\]"),
        (_rows(1) * 2, r"`log` must have increasing epochs, got \[0\.0, 0\.0\]"),
        (_rows(1, test_accuracy=97.5), r"`test_accuracy` must lie in \[0, 1\], got 97\.5: give a fraction"),
        (_rows(1, train_accuracy=math.nan), r"`train_accuracy` must lie in \[0, 1\], got nan"),
        (_rows(1, test_loss=None), r"`log\[0\]\['test_loss'\]` must be a number, got None"),
    ],
)
def test_unfit_logs_are_named(log, match):
    with pytest.raises(ValueError, match=match):
        plot_curves(log)
