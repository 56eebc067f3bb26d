"""Pictures of plasticity."""

from typing import Any

import numpy as np
import pytest

from spikejax.visualize import plot_plasticity

SPIKES = np.float32([0, 1, 0, 0, 1, 1])
COURSE = np.linspace(0, 1, 6)


def test_one_synapse_over_time():
    figure = plot_plasticity(SPIKES, 1 - SPIKES, COURSE, 2 * COURSE, 3 * COURSE, title="one")
    axes: list[Any] = figure.axes
    before, trace_pre, after, trace_post, weight = axes
    assert before.get_title() == "one"
    for plot, fired in ((before, SPIKES), (after, 1 - SPIKES)):
        np.testing.assert_array_equal(plot.collections[0].get_positions(), np.nonzero(fired)[0])
    for plot, factor in ((trace_pre, 1), (trace_post, 2), (weight, 3)):
        np.testing.assert_allclose(plot.lines[0].get_ydata(), factor * COURSE, rtol=1e-6)


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"`pre` of shape \(6,\) must have the values 0 and 1, got 0.2"):
        plot_plasticity(COURSE, SPIKES, COURSE, COURSE, COURSE)
    with pytest.raises(ValueError, match=r"all arguments must be as long, got 5 and 6 time steps"):
        plot_plasticity(SPIKES, SPIKES, COURSE[:5], COURSE, COURSE)
