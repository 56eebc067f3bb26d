"""The page of pictures: its code runs, draws every picture it shows, and each of them can be read."""

import re
import runpy
from pathlib import Path

import numpy as np

from spikejax import visualize

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "images" / "gallery"
PAGE = (ROOT / "docs" / "concepts" / "pictures.md").read_text("utf-8")


def test_every_function_is_on_the_page():
    code = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.S))
    assert {name for name in visualize.__all__ if f"{name}(" not in code} == set()


def test_the_page_draws_the_pictures_it_shows(tmp_path, render):
    """Every one is legible, and the network behind them has learnt: else they would show noise."""
    figures = runpy.run_path(str(ROOT / "scripts" / "draw_gallery.py"))["run_page"](tmp_path)
    shown = re.findall(r"^!\[.+\]\(\.\./images/gallery/(.+)\)$", PAGE, re.M)
    written = [path.name for path in tmp_path.iterdir()]  # by the page itself
    assert sorted((*figures, *written)) == sorted(shown) == sorted(path.name for path in GALLERY.iterdir())
    curve = figures["accuracy-over-time.png"].axes[0].lines[0].get_ydata()
    assert np.mean(curve[-4:]) > 0.8
    for figure in figures.values():
        render(figure)


def test_pictures_are_small():
    sizes = [path.stat().st_size for path in GALLERY.iterdir()]
    assert max(sizes) < 60 * 1024 and sum(sizes) < 500 * 1024
