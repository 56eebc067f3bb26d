"""Readers of MNIST, Fashion-MNIST and data sets of the same layout that are already on disk."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikejax.datasets.idx import read_idx
from spikejax.datasets.images import ImageData, assemble_images
from spikejax.datasets.npz import read_npz


class _Layout(NamedTuple):
    """Places of a data set below the given folder, the names of its classes, and the advice if it is missing."""

    folders: tuple[str, ...]
    archives: tuple[str, ...]
    classes: tuple[str, ...] | None
    remedy: str


_LAYOUTS = {
    "mnist": _Layout(
        folders=("", "raw", "MNIST/raw"),
        archives=("mnist.npz",),
        classes=tuple("0123456789"),
        remedy="the folder with MNIST's four IDX files (torchvision.datasets.MNIST fetches them), or Keras's mnist.npz",
    ),
    "fashion-mnist": _Layout(
        folders=("", "raw", "FashionMNIST/raw"),
        archives=("fashion-mnist.npz", "fashion_mnist.npz"),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        remedy="the folder with Fashion-MNIST's four IDX files (torchvision.datasets.FashionMNIST fetches "
        "them; Debian's package dataset-fashion-mnist puts them in /usr/share/datasets/fashion-mnist)",
    ),
}
_IDX_FILES = {
    "x_train": ("train-images", 3),
    "y_train": ("train-labels", 1),
    "x_test": ("t10k-images", 3),
    "y_test": ("t10k-labels", 1),
}


def load_mnist(path: str | os.PathLike[str]) -> ImageData:
    """Loads MNIST: 60000 and 10000 handwritten digits of 28x28 pixels. See `load_images`.

    Args:
        path: its folder (or the folder above `MNIST/raw` or `raw`), or a `.npz` file.

    Returns:
        The images, uint8 [n, 28, 28, 1], with the classes "0" to "9".

    Raises:
        FileNotFoundError: no complete set of files; lists what was looked for.
        ValueError: a file is damaged or holds something else.

    Source:
        Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998.
    """
    return load_images(path, "mnist")


def load_fashion_mnist(path: str | os.PathLike[str]) -> ImageData:
    """Loads Fashion-MNIST: 60000 and 10000 articles of clothing of 28x28 pixels. See `load_images`.

    Its files have the names of MNIST's: only the folder tells them apart.

    Args:
        path: its folder (or the folder above `FashionMNIST/raw` or `raw`), or a `.npz` file.

    Returns:
        The images, uint8 [n, 28, 28, 1], with the ten classes by name.

    Raises:
        FileNotFoundError: no complete set of files; lists what was looked for.
        ValueError: a file is damaged or holds something else.

    Source:
        H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747.
    """
    return load_images(path, "fashion-mnist")


def load_images(
    path: str | os.PathLike[str], name: str = "images", *, classes: Sequence[str] | None = None
) -> ImageData:
    """Loads a data set of the layout of MNIST from a folder or a NumPy archive.

    A folder is searched for the IDX files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
    `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` (or `train-images.idx3-ubyte` ..., each also `.gz`; the
    first spelling that exists is read) in itself, in `raw`, in `MNIST/raw` and `FashionMNIST/raw`, and for an
    archive `mnist.npz`, `fashion-mnist.npz` or `name` with the ending `.npz`. The names `"mnist"` and
    `"fashion-mnist"` look for their own data set only. An archive has the arrays `x_train`, `y_train`,
    `x_test`, `y_test`: images uint8 [n, H, W] or [n, H, W, C], labels integers [n].

    Args:
        path: a folder, or a `.npz` file.
        name: of the data set.
        classes: name of each class. Default: those of MNIST and Fashion-MNIST for these names, otherwise the
            numbers from 0 to the highest label.

    Returns:
        The images, uint8 [n, H, W, C], and labels, int32 [n], with `scale` 255.

    Raises:
        FileNotFoundError: no complete set of files; lists what was looked for.
        ValueError: a file is damaged or holds something else, or several complete sets were found.
    """
    layout = _LAYOUTS.get(name) or _layout_of_any(name)
    arrays, files = _read(Path(path).expanduser(), name, layout)
    names = tuple(classes) if classes is not None else layout.classes
    return assemble_images(name, arrays, files, names)


def _layout_of_any(name: str) -> _Layout:
    known = _LAYOUTS.values()
    folders = dict.fromkeys(folder for layout in known for folder in layout.folders)
    archives = dict.fromkeys([f"{name}.npz", *(archive for layout in known for archive in layout.archives)])
    remedy = "the folder with the four IDX files, or the .npz file"
    return _Layout(tuple(folders), tuple(archives), None, remedy)


def _read(path: Path, name: str, layout: _Layout) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    """Reads the one data set that lies at `path`; returns its arrays and the file of each."""
    if path.suffix == ".npz" and not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"`path`: there is no file {path}: give {layout.remedy}")
        return _read_archive(path)
    if path.is_file():
        raise ValueError(f"`path` must be a folder or an .npz file, got the file {path}: give the folder it lies in")
    folders = [path / folder for folder in layout.folders]
    archives = [path / archive for archive in layout.archives if (path / archive).is_file()]
    sets = [files for files in map(_find_idx_files, folders) if len(files) == len(_IDX_FILES)]
    if len(sets) + len(archives) > 1:
        complete = [str(files["x_train"].parent) for files in sets] + [str(archive) for archive in archives]
        raise ValueError(
            f"`path` {path} holds several data sets, {complete}: give one of them, or move the others away"
        )
    if archives:
        return _read_archive(archives[0])
    if sets:
        return {key: read_idx(sets[0][key], ndim) for key, (_, ndim) in _IDX_FILES.items()}, sets[0]
    raise FileNotFoundError(_describe_search(path, name, layout))


def _read_archive(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    arrays = read_npz(path)
    return arrays, dict.fromkeys(arrays, path)


def _spell(stem: str, ndim: int) -> list[str]:
    return [f"{stem}{mark}idx{ndim}-ubyte" for mark in ("-", ".")]


def _find_idx_files(folder: Path) -> dict[str, Path]:
    """The IDX files that are in `folder`, by the name of their array."""
    files = {}
    for key, (stem, ndim) in _IDX_FILES.items():
        plain = _spell(stem, ndim)
        paths = [folder / name for name in (*plain, *(f"{name}.gz" for name in plain))]
        existing = [path for path in paths if path.is_file()]
        if existing:
            files[key] = existing[0]
    return files


def _describe_search(path: Path, name: str, layout: _Layout) -> str:
    """The error for a folder without a complete data set: the files looked for, those found, what to do."""
    folders = [path / folder for folder in layout.folders]
    absent = "" if path.exists() else ", which does not exist"
    present = [str(file) for folder in folders for file in _find_idx_files(folder).values()]
    return "\n".join(
        [
            f"`path`: no complete data set {name!r} in {path}{absent}.",
            f"Looked for {', '.join(str(path / archive) for archive in layout.archives)},",
            f"and in {', '.join(map(str, folders))} for all of these (each also .gz):",
            *(f"  {' or '.join(_spell(stem, ndim))}" for stem, ndim in _IDX_FILES.values()),
            f"Found of these: {', '.join(present) or 'none'}. Give {layout.remedy}.",
        ]
    )
