"""The page of pictures: its code runs, draws every picture it shows, and each of them can be read."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from spikejax import visualize

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "images" / "gallery"
PAGE = (ROOT / "docs" / "concepts" / "pictures.md").read_text("utf-8")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The figures by file name, and the folder that holds what the page writes itself."""
    folder = tmp_path_factory.mktemp("gallery")
    return runpy.run_path(str(ROOT / "scripts" / "draw_gallery.py"))["run_page"](folder), folder


def test_every_function_is_on_the_page():
    code = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
    assert {name for name in visualize.__all__ if f"{name}(" not in code} == set()


def test_the_pictures_are_those_of_the_page(drawn):
    figures, folder = drawn
    shown = re.findall(r"^!\[.+\]\(\.\./images/gallery/(.+)\)$", PAGE, re.M)
    written = [path.name for path in folder.iterdir()]
    assert sorted((*figures, *written)) == sorted(shown) == sorted(path.name for path in GALLERY.iterdir())


def test_every_picture_is_legible(drawn, render):
    for figure in drawn[0].values():
        render(figure)


def test_pictures_are_small():
    sizes = [path.stat().st_size for path in GALLERY.iterdir()]
    assert max(sizes) < 60 * 1024 and sum(sizes) < 500 * 1024


def test_the_network_has_learnt(drawn):
    """Else the page would show noise."""
    curve = drawn[0]["accuracy-over-time.png"].axes[0].lines[0].get_ydata()
    assert np.mean(curve[-4:]) > 0.8
