"""NumPy archives of images in Keras's layout: the arrays `x_train`, `y_train`, `x_test`, `y_test`."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads the four arrays of an archive. Pickled objects are refused, never loaded.

    Args:
        path: the `.npz` file.

    Returns:
        `x_train`, `y_train`, `x_test`, `y_test` as they are stored.

    Raises:
        ValueError: the file is damaged, is no archive, lacks an array or holds objects.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path} is not an .npz file: its {path.stat().st_size} bytes are no intact zip archive, "
            f"expected the arrays {', '.join(_KEYS)} as `numpy.savez` writes them: fetch it again"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            present = sorted(archive.files)
            arrays = {key: np.asarray(archive[key]) for key in _KEYS if key in present}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read ({error}): expected arrays of numbers (objects are not loaded): fetch it again"
        ) from error
    missing = [key for key in _KEYS if key not in present]
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}: found {present}, expected {list(_KEYS)}: rename its arrays"
        )
    return arrays
