import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.visualize import plot_heatmap, plot_membrane

MEMBRANE = np.array([0.2, 0.7, 0.0, 0.4, 0.9, -0.1])
SPIKES = np.array([0, 0, 1, 0, 0, 1])


def test_membrane_lines_and_spikes(render):
    figure = render(plot_membrane(MEMBRANE, SPIKES, v_threshold=0.95, v_reset=-0.2))
    upper, lower = figure.axes
    potential, threshold, reset = upper.lines
    np.testing.assert_array_equal(potential.get_ydata(), MEMBRANE)
    assert set(threshold.get_ydata()) == {0.95} and set(reset.get_ydata()) == {-0.2}
    assert [segment[0][0] for segment in lower.collections[0].get_segments()] == [2, 5]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["membrane", "v_threshold = 0.95", "v_reset = -0.2"]


def test_soft_reset_has_no_reset_line(render):
    figure = render(plot_membrane(MEMBRANE, SPIKES, v_reset=None))
    assert [line.get_label() for line in figure.axes[0].lines] == ["membrane", "v_threshold = 1"]


def test_levels_may_be_arrays_without_axes(render):
    figure = render(plot_membrane(jnp.array(MEMBRANE), jnp.array(SPIKES), v_threshold=jnp.array(0.5)))
    assert set(figure.axes[0].lines[1].get_ydata()) == {0.5}


def test_an_adapting_threshold_is_a_curve(render):
    figure = render(plot_membrane(MEMBRANE, SPIKES, v_threshold=1 + MEMBRANE))
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), 1 + MEMBRANE)
    assert [text.get_text() for text in figure.legends[0].get_texts()][1] == "v_threshold"


@pytest.mark.parametrize("steps", [1, 100, 1000])
def test_membrane_ticks_are_whole(render, tick_texts, steps):
    figure = render(plot_membrane(np.zeros(steps), np.ones(steps)))
    assert all(0 <= int(text) < steps for text in tick_texts(figure.axes[1].xaxis))
    assert (figure.axes[0].lines[0].get_marker() == ".") == (steps <= 50)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"membrane": MEMBRANE[:, None]},
            r"`membrane` must have the axes \[time steps\], got the shape \(6, 1\)",
        ),
        ({"spikes": SPIKES[:-1]}, r"`spikes` must be as long as `membrane`, \(6,\), got \(5,\)"),
        ({"spikes": SPIKES * 2}, r"`spikes` of shape \(6,\) must have the values 0 and 1, got 2\.0"),
        ({"v_threshold": np.inf}, r"`v_threshold` must be finite, got inf"),
        ({"v_threshold": SPIKES[1:]}, r"`v_threshold` must be one number or as long as `membrane`, \(6,\), got \(5,\)"),
        ({"v_threshold": MEMBRANE * np.nan}, r"`v_threshold` of shape \(6,\) must be finite, got 6 values NaN"),
        ({"v_reset": np.nan}, r"`v_reset` must be finite, got nan"),
    ],
)
def test_unfit_arguments_are_named(changes, match):
    with pytest.raises(ValueError, match=match):
        plot_membrane(**{"membrane": MEMBRANE, "spikes": SPIKES} | changes)


def test_heatmap_shows_time_to_the_right(render):
    values = np.arange(12.0).reshape(4, 3)
    figure = render(plot_heatmap(values, title="hidden", label="membrane (V)"))
    plot, bar = figure.axes
    np.testing.assert_array_equal(plot.images[0].get_array(), values.T)
    assert plot.images[0].origin == "lower"
    assert plot.get_title() == "hidden" and bar.get_ylabel() == "membrane (V)"
    assert plot.get_xlabel() == "time step" and plot.get_ylabel() == "neuron"


@pytest.mark.parametrize(("steps", "neurons"), [(1, 1), (100, 10), (100, 784)])
def test_heatmap_ticks_are_whole(render, tick_texts, steps, neurons):
    plot = render(plot_heatmap(np.zeros((steps, neurons)))).axes[0]
    for axis, length in ((plot.xaxis, steps), (plot.yaxis, neurons)):
        assert all(0 <= int(text) < length for text in tick_texts(axis))


def test_heatmap_refuses_other_axes():
    with pytest.raises(ValueError, match=r"`values` must have the axes \[time steps, neurons\], got the shape"):
        plot_heatmap(np.zeros((2, 3, 4)))
