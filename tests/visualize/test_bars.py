"""Bars in space."""

import numpy as np
import pytest
from mpl_toolkits.mplot3d import Axes3D

from spikejax.visualize import plot_bars_3d

VALUES = np.random.default_rng(0).uniform(-1, 2, (4, 3))


def test_a_bar_a_value_from_zero(render, monkeypatch):
    bars = []
    draw = Axes3D.bar3d

    def bar3d(self, *corners_and_sizes, **options):
        bars.extend(np.broadcast_arrays(*corners_and_sizes))
        return draw(self, *corners_and_sizes, **options)

    monkeypatch.setattr(Axes3D, "bar3d", bar3d)
    figure = render(plot_bars_3d(VALUES, title="output", label="membrane (V)"))
    (plot,) = figure.axes
    low, sizes = np.array(bars[:3]), np.array(bars[3:])
    np.testing.assert_allclose((low + sizes / 2)[:2], np.indices((4, 3)).reshape(2, -1), atol=1e-6)
    np.testing.assert_allclose(low[2], np.minimum(VALUES, 0).ravel(), atol=1e-6)
    np.testing.assert_allclose((low + sizes)[2], np.maximum(VALUES, 0).ravel(), atol=1e-6)
    labels = (plot.get_xlabel(), plot.get_ylabel(), plot.get_zlabel())
    assert labels == ("time step", "neuron", "membrane (V)")
    assert figure.get_suptitle() == "output"


def test_every_bar_is_in_view(render):
    for values in (VALUES, -np.abs(VALUES), np.zeros((1, 1)), np.ones((2, 5))):
        (plot,) = render(plot_bars_3d(values)).axes
        low, high = plot.get_zlim()
        assert low <= min(0, values.min()) and high >= max(0, values.max()) and low < high


def test_looked_at_from_where_it_is_said():
    (plot,) = plot_bars_3d(VALUES, elevation=70, azimuth=20).axes
    assert (plot.elev, plot.azim) == (70, 20)


@pytest.mark.parametrize(
    ("values", "options", "match"),
    [
        (np.ones(3), {}, r"`values` must have the axes \[time steps, neurons\], got the shape \(3,\)"),
        (np.ones((50, 50)), {}, r"`values` must be at most 2048, got the shape \(50, 50\): .*`plot_heatmap`"),
        (VALUES, {"elevation": 91.0}, r"`elevation` must be from 0 to 90 degrees, got 91\.0"),
    ],
)
def test_what_cannot_be_drawn(values, options, match):
    with pytest.raises(ValueError, match=match):
        plot_bars_3d(values, **options)
