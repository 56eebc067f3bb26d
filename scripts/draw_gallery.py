"""Draws docs/images/gallery by running the code of docs/concepts/pictures.md, above each of its pictures."""

import io
import os
import re
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "concepts" / "pictures.md"
LARGEST = 60 * 1024  # bytes of one picture


def run_page(folder: Path) -> dict[str, Figure]:
    """Runs the page's code in `folder`, which then holds the files that it writes; the figures by file name."""
    page, figures, names = PAGE.read_text("utf-8"), {}, {}
    here = Path.cwd()
    os.chdir(folder)
    try:
        for part in re.finditer(r"```python\n(.*?)```|\]\(\.\./images/gallery/(.+?)\)", page, re.S):
            code, picture = part.groups()
            if code:
                line = page.count("\n", 0, part.start(1))
                exec(compile("\n" * line + code, str(PAGE), "exec"), names)
            elif picture.endswith(".png"):
                figures[picture] = names.pop("figure")
    finally:
        os.chdir(here)
    return figures


def write(figure: Figure, path: Path) -> None:
    """Writes a figure as a small file, in 256 colours at most."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=100)
    Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    gallery = DOCS / "images" / "gallery"
    for name, figure in run_page(gallery).items():
        write(figure, gallery / name)
    sizes = {path.name: path.stat().st_size for path in sorted(gallery.iterdir())}
    print("\n".join(f"{size:7d} {name}" for name, size in sizes.items()), f"\n{sum(sizes.values()):7d} bytes")
    if large := [name for name, size in sizes.items() if size > LARGEST]:
        raise SystemExit(f"larger than {LARGEST} bytes: {large}")
