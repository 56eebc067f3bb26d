"""Pictures of plasticity."""

import numpy as np
import pytest

from spikejax.visualize import plot_plasticity, plot_receptive_fields

SPIKES = np.float32([0, 1, 0, 0, 1, 1])
COURSE = np.linspace(0, 1, 6)


def test_one_synapse_over_time():
    figure = plot_plasticity(SPIKES, 1 - SPIKES, COURSE, 2 * COURSE, 3 * COURSE, title="one")
    before, trace_pre, after, trace_post, weight = figure.axes
    assert before.get_title() == "one"
    for plot, fired in ((before, SPIKES), (after, 1 - SPIKES)):
        np.testing.assert_array_equal(plot.collections[0].get_positions(), fired.nonzero()[0])
    for plot, factor in ((trace_pre, 1), (trace_post, 2), (weight, 3)):
        np.testing.assert_allclose(plot.lines[0].get_ydata(), factor * COURSE, rtol=1e-6)


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"`pre` of shape \(6,\) must have the values 0 and 1, got 0.2"):
        plot_plasticity(COURSE, SPIKES, COURSE, COURSE, COURSE)
    with pytest.raises(ValueError, match=r"all arguments must be as long, got 5 and 6 time steps"):
        plot_plasticity(SPIKES, SPIKES, COURSE[:5], COURSE, COURSE)


def test_receptive_fields_in_a_sheet():
    weights = np.arange(5 * 2 * 3.0).reshape(5, 2, 3)
    sheet = plot_receptive_fields(weights, columns=2).axes[0].images[0].get_array().filled(np.nan)
    assert sheet.shape == (8, 7)
    np.testing.assert_array_equal(sheet[0:2, 0:3], weights[0])
    np.testing.assert_array_equal(sheet[3:5, 4:7], weights[3])
    assert np.isnan(sheet[6:, 4:]).all()
    assert np.isnan(sheet[2]).all()
    assert plot_receptive_fields(weights).axes[0].images[0].get_array().shape == (5, 11)


def test_what_is_no_receptive_field():
    with pytest.raises(ValueError, match=r"`weights` must have the axes \[neurons, rows, columns\]"):
        plot_receptive_fields(np.ones((4, 9)))
    with pytest.raises(ValueError, match=r"`columns` must be >= 1, got 0"):
        plot_receptive_fields(np.ones((4, 3, 3)), columns=0)
