"""Feature maps, weights and receptive fields as sheets of pictures."""

from typing import Any

import numpy as np
import pytest

from spikejax.visualize import plot_feature_maps, plot_receptive_fields, plot_weights

RNG = np.random.default_rng(0)


def _sheet(figure) -> np.ndarray:
    return figure.axes[0].images[0].get_array().filled(np.nan)


def _pictures(figure, height: int, width: int) -> np.ndarray:
    """The sheet cut into its pictures, [rows, columns, H, W]."""
    sheet = np.pad(_sheet(figure), ((0, 1), (0, 1)), constant_values=np.nan)
    rows, columns = sheet.shape[0] // (height + 1), sheet.shape[1] // (width + 1)
    cut = sheet.reshape(rows, height + 1, columns, width + 1).swapaxes(1, 2)
    assert np.isnan(cut[:, :, height]).all() and np.isnan(cut[..., width]).all(), "no gap between the pictures"
    return cut[:, :, :height, :width]


def _numbers(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_feature_maps_about_a_square(render):
    maps = RNG.random((3, 4, 7))
    figure = render(plot_feature_maps(maps, title="layer 1", label="rate"))
    pictures = _pictures(figure, 3, 4)
    assert pictures.shape[:2] == (3, 3)
    np.testing.assert_array_equal(pictures.reshape(9, 3, 4)[:7], maps.transpose(2, 0, 1))
    assert np.isnan(pictures.reshape(9, 3, 4)[7:]).all()
    plot, bar = figure.axes
    assert _numbers(plot.yaxis) == ["0–2", "3–5", "6–6"]
    assert (plot.get_title(), plot.get_ylabel(), bar.get_ylabel()) == ("layer 1", "channels", "rate")
    assert plot.images[0].get_clim() == (0, maps.max())
    assert _numbers(render(plot_feature_maps(maps, columns=1)).axes[0].yaxis) == list("0123456")


@pytest.mark.parametrize("steps", [3, 20])
def test_feature_maps_over_time(render, steps):
    maps = RNG.random((steps, 4, 5, 2)) < 0.3
    figure = render(plot_feature_maps(maps))
    shown = np.linspace(0, steps - 1, min(8, steps)).round().astype(int)
    np.testing.assert_array_equal(_pictures(figure, 4, 5), maps[shown].transpose(0, 3, 1, 2))
    plot = figure.axes[0]
    assert (_numbers(plot.yaxis), plot.get_ylabel()) == (list(map(str, shown)), "time step")
    assert (_numbers(plot.xaxis), plot.get_xlabel()) == (["0", "1"], "channel")


def test_weights_of_a_linear_layer_around_zero(render):
    kernel = RNG.normal(size=(30, 6))
    plot = render(plot_weights(kernel, title="first")).axes[0]
    np.testing.assert_array_equal(plot.images[0].get_array(), kernel)
    low, high = plot.images[0].get_clim()
    assert -low == high == np.abs(kernel).max() and plot.images[0].get_cmap().name == "RdBu_r"
    assert (plot.get_title(), plot.get_ylabel(), plot.get_xlabel()) == ("first", "input", "output")
    image = plot_weights(np.abs(kernel)).axes[0].images[0]
    assert image.get_clim() == (0, np.abs(kernel).max()) and image.get_cmap().name == "Greys"


def test_kernels_of_a_convolution(render):
    kernel = RNG.normal(size=(3, 2, 4, 20))
    figure = render(plot_weights(kernel))
    np.testing.assert_array_equal(_pictures(figure, 3, 2), kernel.transpose(2, 3, 0, 1))
    plot = figure.axes[0]
    assert (_numbers(plot.yaxis), plot.get_ylabel()) == (list("0123"), "input channel")
    assert (_numbers(plot.xaxis), plot.get_xlabel()) == ([str(i) for i in range(0, 20, 2)], "output channel")
    one = render(plot_weights(kernel[:, :, :1, :8], columns=4))
    np.testing.assert_array_equal(_pictures(one, 3, 2).reshape(8, 3, 2), kernel[:, :, 0, :8].transpose(2, 0, 1))
    assert (_numbers(one.axes[0].yaxis), one.axes[0].get_ylabel()) == (["0–3", "4–7"], "output channels")


def test_receptive_fields_in_a_sheet(render):
    weights = np.arange(5 * 2 * 3.0).reshape(5, 2, 3)
    figure = render(plot_receptive_fields(weights, columns=2))
    pictures = _pictures(figure, 2, 3).reshape(6, 2, 3)
    np.testing.assert_array_equal(pictures[:5], weights)
    assert np.isnan(pictures[5]).all()
    assert _sheet(plot_receptive_fields(weights)).shape == (5, 11)
    assert not figure.axes[0].patches


def test_where_no_picture_is_nothing_is_drawn():
    """Around pictures in blue and red the gaps are grey, but not the rest of the last row."""
    plot: Any = plot_receptive_fields(RNG.normal(size=(5, 2, 3)), columns=3).axes[0]
    (paper,) = plot.patches
    assert paper.get_bbox().extents.tolist() == [6.5, 2.5, 10.5, 4.5]
    assert _sheet(plot.figure).shape == (5, 11)


def test_all_zeros_have_a_scale(render):
    for figure in (plot_weights(np.zeros((2, 2))), plot_feature_maps(np.zeros((2, 2, 1)))):
        assert render(figure).axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: plot_feature_maps(np.ones((4, 9))), r"`maps` must have the axes \[H, W, channels\]"),
        (
            lambda: plot_feature_maps(np.ones((2, 3, 3, 33))),
            r"`maps` .* at most 32 channels, got 33: give maps\[\.\.\.",
        ),
        (lambda: plot_feature_maps(np.ones((2, 3, 3, 4)), columns=2), r"`columns` is for maps \[H, W, C\], got 2"),
        (lambda: plot_feature_maps(np.ones((3, 3, 4)), columns=0), r"`columns` must be an integer >= 1, got 0"),
        (lambda: plot_weights(np.ones(3)), r"`kernel` must have the axes \[inputs, outputs\], got the shape \(3,\)"),
        (
            lambda: plot_weights(np.ones((3, 3, 2, 33))),
            r"`kernel` .* at most 32 channels, got the shape \(3, 3, 2, 33\)",
        ),
        (lambda: plot_weights(np.ones((3, 3, 2, 2)), columns=2), r"`columns` is for convolutions with one input"),
        (lambda: plot_weights(np.ones((3, 3)), columns=2), r"`columns` is for convolutions with one input"),
        (lambda: plot_receptive_fields(np.ones((4, 9))), r"`weights` must have the axes \[neurons, rows, columns\]"),
        (lambda: plot_receptive_fields(np.ones((4, 3, 3)), columns=0), r"`columns` must be an integer >= 1, got 0"),
    ],
)
def test_what_cannot_be_drawn(call, match):
    with pytest.raises(ValueError, match=match):
        call()
