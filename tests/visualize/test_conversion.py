"""Pictures of conversion."""

from typing import Any

import numpy as np
import pytest

from spikejax.visualize import plot_accuracy_over_time, plot_ranges

SHARES = np.linspace(0.1, 0.98, 20)


def test_a_curve_a_network_and_the_reference():
    figure = plot_accuracy_over_time({"max": SHARES, "99.9%": SHARES**2}, reference=0.99)
    (plot,) = figure.axes
    np.testing.assert_allclose(plot.lines[0].get_ydata(), SHARES, rtol=1e-6)
    np.testing.assert_array_equal(plot.lines[1].get_xdata(), np.arange(1, 21))
    labels = [text.get_text() for text in plot.get_legend().get_texts()]
    assert labels == ["max: 98.00%", "99.9%: 96.04%", "before: 99.00%"]


def test_more_curves_than_colours_have_dashes():
    curves = {str(i): SHARES for i in range(8)}
    lines = plot_accuracy_over_time(curves).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 8


def test_ranges():
    counts = np.arange(128.0)
    figure = plot_ranges([("2", counts, 4.0, 3.0), ("5", counts[:10], 1.0, 1.0)])
    first: Any
    second: Any
    first, second = figure.axes
    np.testing.assert_allclose(first.patches[0].get_data().values, counts.reshape(64, 2).sum(1))
    np.testing.assert_allclose(first.patches[0].get_data().edges[-1], 4.0)
    assert first.lines[0].get_xdata()[0] == 3.0
    np.testing.assert_allclose(second.patches[0].get_data().values, counts[:10])


def test_scales_of_channels_are_a_span():
    plot: Any = plot_ranges([("2", np.arange(64.0), 4.0, np.array([3.0, 1.0, 2.0]))]).axes[0]
    (span,) = [patch for patch in plot.patches if patch.get_facecolor()[-1] < 1]
    assert (span.get_x(), span.get_x() + span.get_width()) == (1, 3)
    assert plot.lines[0].get_xdata()[0] == 3
    assert [text.get_text() for text in plot.get_legend().get_texts()] == ["scales of 3 channels: 1 to 3"]


def test_nothing_to_draw():
    with pytest.raises(ValueError, match=r"`curves` must hold at least one curve, got none"):
        plot_accuracy_over_time({})
    with pytest.raises(ValueError, match=r"`histograms` must hold at least one layer, got none"):
        plot_ranges([])
    with pytest.raises(ValueError, match=r"`curves\['a'\]` must have the axes \[time steps\]"):
        plot_accuracy_over_time({"a": np.ones((2, 3))})
