"""Curves of the surrogates."""

import io

import numpy as np
import pytest

from spikejax.surrogate import FakeNumericalGradient, MultiLevelSpikeCount, Sigmoid
from spikejax.visualize import plot_surrogates


def test_a_panel_a_surrogate_with_its_three_curves():
    figure = plot_surrogates([Sigmoid(2.0), FakeNumericalGradient(), MultiLevelSpikeCount()], columns=2)
    panels = figure.axes
    assert [panel.get_title() for panel in panels[:2]] == ["Sigmoid(alpha=2.0)", "FakeNumericalGradient(alpha=0.3)"]
    assert [len(panel.lines) for panel in panels] == [3, 2, 3, 0]
    assert not panels[3].axison
    u, slope = panels[0].lines[2].get_data()
    np.testing.assert_allclose(slope, Sigmoid(2.0).derivative(u), rtol=1e-6)


def test_one_panel_shows_the_whole_legend():
    figure = plot_surrogates([Sigmoid()])
    figure.savefig(io.BytesIO())
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_the_last_panel_of_each_column_has_numbers():
    panels = plot_surrogates([Sigmoid()] * 3, columns=2).axes
    assert [panel.xaxis.get_tick_params()["labelbottom"] for panel in panels[:3]] == [False, True, True]


@pytest.mark.parametrize(
    ("surrogates", "options", "match"),
    [
        ([], {}, "`surrogates` must hold at least one"),
        ([Sigmoid()], {"reach": 0.0}, "`reach` must be > 0, got 0.0"),
        ([Sigmoid()], {"columns": 0}, "`columns` must be an integer >= 1, got 0"),
    ],
)
def test_nothing_to_draw(surrogates, options, match):
    with pytest.raises(ValueError, match=match):
        plot_surrogates(surrogates, **options)
