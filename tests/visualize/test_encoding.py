import jax.numpy as jnp
import numpy as np
import pytest

from spikejax.visualize import plot_encoding

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 17, (2, 4, 5)).astype(np.uint8)
SPIKES = (RNG.random((10, 2, 4, 5)) < IMAGES / 16).astype(np.float32)


def _pictures(figure, images: int) -> np.ndarray:
    """The pixels of the panels, [rows, columns, H, W]; the last row of axes has the scales."""
    drawn = [plot.images[0].get_array() for plot in figure.axes if plot.images]
    return np.array(drawn).reshape(images, -1, *drawn[0].shape)


def test_panels_are_image_rate_and_frames(render):
    figure = render(plot_encoding(IMAGES, SPIKES))
    pictures = _pictures(figure, images=2)
    np.testing.assert_array_equal(pictures[:, 0], IMAGES)
    np.testing.assert_allclose(pictures[:, 1], SPIKES.mean(0), rtol=1e-6)
    for column, step in enumerate((0, 3, 6, 9), start=2):
        np.testing.assert_array_equal(pictures[:, column], SPIKES[step])
    titles = [plot.get_title() for plot in figure.axes if plot.get_title()]
    assert titles == ["image", "rate over 10 steps", "step 0", "step 3", "step 6", "step 9"]


def test_channel_axis_and_jax_arrays_make_no_difference(render):
    plain = _pictures(plot_encoding(IMAGES, SPIKES), images=2)
    channel = plot_encoding(jnp.array(IMAGES)[..., None], jnp.array(SPIKES)[..., None])
    np.testing.assert_array_equal(_pictures(channel, images=2), plain)


def test_one_step_has_one_frame(render):
    figure = render(plot_encoding(IMAGES[:1], SPIKES[:1, :1]))
    assert _pictures(figure, images=1).shape[:2] == (1, 3)


def test_scales_are_shared_by_a_column(render):
    figure = render(plot_encoding(IMAGES, SPIKES))
    limits = [plot.images[0].get_clim() for plot in figure.axes if plot.images]
    assert limits[0] == limits[6] == (0, 16)
    assert set(limits[1:6]) == {(0, 1)}
    scales = [plot for plot in figure.axes if plot.axison and not plot.images]
    assert [[tick.get_text() for tick in plot.get_xticklabels()] for plot in scales] == [
        ["0", "16"],
        ["0", "1"],
    ]


def test_black_images_and_negative_pixels_have_a_scale(render):
    for images, span in ((np.zeros((1, 4, 5)), (0, 1)), (np.full((1, 4, 5), -0.5), (-0.5, 0.5))):
        figure = render(plot_encoding(images, SPIKES[:, :1]))
        assert figure.axes[0].images[0].get_clim() == span


@pytest.mark.parametrize(
    ("images", "spikes", "match"),
    [
        (IMAGES[0], SPIKES, r"`images` must have the axes \[images, H, W\], got the shape \(4, 5\)"),
        (
            IMAGES,
            SPIKES[0],
            r"`spikes` must have the axes \[time steps, images, H, W\], got the shape \(2, 4, 5\)",
        ),
        (
            np.stack([IMAGES] * 3, -1),
            SPIKES,
            r"`images` must have one channel, got 3 in the shape \(2, 4, 5, 3\)",
        ),
        (IMAGES, np.stack([SPIKES] * 2, -1), r"`spikes` must have one channel, got 2 in the shape"),
        (IMAGES[:1], SPIKES, r"`spikes` must be \[T, n, H, W\] for .* \(1, 4, 5\), got \(10, 2, 4, 5\)"),
        (IMAGES, SPIKES * 0.5, r"`spikes` of shape \(10, 2, 4, 5\) must have the values 0 and 1, got 0\.5"),
        (
            np.zeros((17, 2, 2)),
            np.zeros((1, 17, 2, 2)),
            r"`images` must be at most 16, got 17: give images\[:8\]",
        ),
    ],
)
def test_unfit_arguments_are_named(images, spikes, match):
    with pytest.raises(ValueError, match=match):
        plot_encoding(images, spikes)
