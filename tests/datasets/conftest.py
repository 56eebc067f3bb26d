"""A small data set and its writers, for the readers to read."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

DTYPE_CODES = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}
STEMS = {
    "x_train": "train-images",
    "y_train": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Images of 3x4 pixels with labels 0 to 9, in the layout of MNIST."""
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (20, 3, 4), np.uint8),
        "y_train": np.arange(20, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, (10, 3, 4), np.uint8),
        "y_test": np.arange(10, dtype=np.uint8),
    }


@pytest.fixture
def to_idx():
    """The bytes of an IDX file: big-endian values after a header with dtype and lengths."""

    def convert(array: np.ndarray) -> bytes:
        header = struct.pack(">HBB", 0, DTYPE_CODES[array.dtype.name], array.ndim)
        lengths = struct.pack(f">{array.ndim}I", *array.shape)
        return header + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()

    return convert


@pytest.fixture
def write_idx_set(to_idx):
    """Writes a data set as four IDX files."""

    def write(folder: Path, arrays: dict[str, np.ndarray], mark: str = "-", gzipped: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for key, array in arrays.items():
            file = folder / f"{STEMS[key]}{mark}idx{array.ndim}-ubyte{'.gz' if gzipped else ''}"
            content = to_idx(array)
            file.write_bytes(gzip.compress(content) if gzipped else content)

    return write
