"""Curves of the surrogates."""

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


@pytest.mark.parametrize("arguments", [([],), ([Sigmoid()], 0.0), ([Sigmoid()], 1.0, 0)])
def test_nothing_to_draw(arguments):
    surrogates, *rest = arguments
    options = dict(zip(("reach", "columns"), rest, strict=False))
    with pytest.raises(ValueError, match="`surrogates` must not be empty, `reach` > 0 and `columns` >= 1"):
        plot_surrogates(surrogates, **options)
