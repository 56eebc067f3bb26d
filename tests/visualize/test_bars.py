"""Bars in space."""

from typing import Any

import numpy as np
import pytest
from mpl_toolkits.mplot3d import Axes3D

from spikejax.visualize import plot_bars_3d

VALUES = np.random.default_rng(0).uniform(-1, 2, (4, 3))


@pytest.fixture
def bars(monkeypatch):
    """What was drawn: x, y, z, their sizes and the rank in which it is painted, of each bar."""
    drawn, draw = [], Axes3D.bar3d

    def bar3d(self, *corner_and_size, **options):
        drawn.append((*corner_and_size, options["zorder"]))
        return draw(self, *corner_and_size, **options)

    monkeypatch.setattr(Axes3D, "bar3d", bar3d)
    return drawn


def test_a_bar_a_value_from_zero(render, bars):
    figure = render(plot_bars_3d(VALUES, title="output", label="membrane (V)"))
    (plot,) = figure.axes
    low, sizes = np.split(np.array(sorted(bars)).T[:6], 2)
    np.testing.assert_allclose((low + sizes / 2)[:2], np.indices((4, 3)).reshape(2, -1), atol=1e-6)
    np.testing.assert_allclose(low[2], np.minimum(VALUES, 0).ravel(), atol=1e-6)
    np.testing.assert_allclose((low + sizes)[2], np.maximum(VALUES, 0).ravel(), atol=1e-6)
    labels = (plot.get_xlabel(), plot.get_ylabel(), plot.get_zlabel())
    assert labels == ("time step", "neuron", "membrane (V)")
    assert figure.get_suptitle() == "output"


def test_every_bar_is_in_view():
    for values in (VALUES, -np.abs(VALUES), np.zeros((1, 1)), np.ones((2, 5))):
        plot: Any = plot_bars_3d(values).axes[0]
        low, high = plot.get_zlim()
        assert low <= min(0, values.min()) and high >= max(0, values.max()) and low < high


@pytest.mark.parametrize("azimuth", [-60.0, 20.0, 130.0, 220.0])
def test_near_bars_hide_those_behind_them(bars, azimuth):
    """The eye is beyond one corner of the field: no bar may be painted before one that is farther on both axes."""
    plot: Any = plot_bars_3d(VALUES, elevation=70, azimuth=azimuth).axes[0]
    assert (plot.elev, plot.azim) == (70, azimuth) and not plot.computed_zorder
    drawn = np.array(sorted(bars, key=lambda bar: bar[-1]))
    assert len(set(drawn[:, -1])) == VALUES.size and drawn[0, -1] > 2.5, "below the axes"
    to_the_eye = np.sign([np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))])
    for rank, place in enumerate(drawn[:, :2]):
        assert ((drawn[:rank, :2] - place) * to_the_eye <= 0).any(1).all()


@pytest.mark.parametrize(
    ("values", "options", "match"),
    [
        (np.ones(3), {}, r"`values` must have the axes \[time steps, neurons\], got the shape \(3,\)"),
        (np.ones((33, 32)), {}, r"`values` must be at most 1024, got the shape \(33, 32\): .*`plot_heatmap`"),
        (VALUES, {"elevation": 91.0}, r"`elevation` must be within \[0, 90\], got 91\.0"),
    ],
)
def test_what_cannot_be_drawn(values, options, match):
    with pytest.raises(ValueError, match=match):
        plot_bars_3d(values, **options)
