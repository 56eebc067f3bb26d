"""Frames of events as pictures and as a GIF."""

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from spikejax.visualize import plot_events, save_events_gif

COUNTS = np.random.default_rng(0).poisson(0.3, (6, 5, 7, 2))
WHITE, BLUE, VERMILION = (255, 255, 255), (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def _titles(figure) -> list[str]:
    return [plot.get_title() for plot in figure.axes if plot.axison]


def test_inks_of_the_polarities(render):
    frames = np.zeros((1, 2, 3, 2))
    frames[0, 0] = [[4, 0], [0, 4], [4, 4]]  # polarity 0, polarity 1, both
    frames[0, 1] = [[1, 0], [0, 9], [0, 0]]
    image = np.asarray(render(plot_events(frames, full=4)).axes[0].images[0].get_array())
    assert [tuple(pixel) for pixel in image[0, :2]] == [BLUE, VERMILION]
    assert image[0, 2].max() < 60, "both inks are dark together"
    assert tuple(image[1, 1]) == VERMILION, "more than full colour"
    assert tuple(image[1, 2]) == WHITE
    weak = image[1, 0].astype(int)
    assert (np.array(BLUE) < weak).all() and weak[0] < 200, "one event is paler than four, and seen"


def test_one_event_is_seen_beside_many():
    image = np.asarray(plot_events(COUNTS, full=1000).axes[0].images[0].get_array())
    seen = image[COUNTS[0].any(-1)]
    assert seen.size and (seen.min(-1) < 200).all()


def test_the_fullest_pixels_do_not_fade_the_others():
    frames = np.concatenate((np.ones((1, 20, 20, 2)), np.zeros((1, 20, 20, 2))))
    frames[0, 0, 0] = 1000
    image = np.asarray(plot_events(frames).axes[0].images[0].get_array())
    np.testing.assert_array_equal(image[5, 5], image[0, 0])


@pytest.mark.parametrize(("steps", "columns", "panels"), [(1, None, 1), (6, None, 8), (6, 3, 6), (40, None, 16)])
def test_a_panel_a_step(render, steps, columns, panels):
    frames = np.resize(COUNTS, (steps, 5, 7, 2))
    figure = render(plot_events(frames, columns=columns, title="one recording"))
    shown = np.linspace(0, steps - 1, min(steps, 16)).round().astype(int)
    assert _titles(figure) == [f"step {step}" for step in shown]
    assert len(figure.axes) == panels and figure.get_suptitle() == "one recording"
    for plot, step in zip(figure.axes, shown, strict=False):
        dyed = (np.asarray(plot.images[0].get_array()) < 255).any(-1)
        np.testing.assert_array_equal(dyed, frames[step].any(-1))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["polarity 1", "polarity 0", "both"]
    assert figure.legends[0].get_title().get_text().startswith("full colour: ")


def test_gif_is_the_pictures(tmp_path):
    path = tmp_path / "events.gif"
    save_events_gif(path, COUNTS, fps=20, full=2, size=14)
    panels = [np.asarray(plot.images[0].get_array()) for plot in plot_events(COUNTS, full=2).axes[:6]]
    with GifImageFile(path) as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (6, (14, 10), 0)
        for step, panel in enumerate(panels):
            film.seek(step)
            assert film.info["duration"] == 50
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), panel.repeat(2, 0).repeat(2, 1))
    assert list(tmp_path.iterdir()) == [path]


def test_equal_frames_take_their_time(tmp_path):
    """Pillow makes one picture of equal ones, which stays as long as they would."""
    save_events_gif(tmp_path / "still.gif", np.resize(COUNTS[0], (5, 5, 7, 2)), fps=10)
    with GifImageFile(tmp_path / "still.gif") as film:
        times = []
        for step in range(film.n_frames):
            film.seek(step)
            times.append(film.info["duration"])
    assert sum(times) == 500


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "events.gif"
    path.write_bytes(b"old")

    def broken(self, file, **_):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        save_events_gif(path, COUNTS)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"frames": COUNTS[0]}, r"`frames` must have the axes \[time steps, H, W, polarities\], got .* \(5, 7, 2\)"),
        ({"frames": COUNTS[..., :1]}, r"`frames` must have 2 polarities on the last axis, got 1 in the shape"),
        ({"frames": -COUNTS}, r"`frames` must be >= 0, got values from -.*: they are numbers of events"),
        ({"full": 0}, r"`full` must be > 0, got 0"),
    ],
)
def test_frames_that_cannot_be_drawn(tmp_path, changes, match):
    arguments = {"frames": COUNTS} | changes
    with pytest.raises(ValueError, match=match):
        plot_events(**arguments)
    with pytest.raises(ValueError, match=match):
        save_events_gif(tmp_path / "events.gif", **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("events.png", {}, r"`path` must end in \.gif, got '.*events\.png'"),
        ("events.gif", {"fps": 60}, r"`fps` must be within \(0, 50\], got 60"),
        ("events.gif", {"size": 0}, r"`size` must be an integer >= 1, got 0"),
    ],
)
def test_what_no_gif_can_be(tmp_path, name, options, match):
    with pytest.raises(ValueError, match=match):
        save_events_gif(tmp_path / name, COUNTS, **options)


def test_columns_below_one():
    with pytest.raises(ValueError, match=r"`columns` must be an integer >= 1, got 0"):
        plot_events(COUNTS, columns=0)
