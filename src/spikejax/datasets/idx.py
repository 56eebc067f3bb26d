"""IDX, the file format of MNIST: four bytes of magic number, the lengths of the axes, the values."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_TYPE_NAMES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Reads an IDX file of unsigned bytes, gzipped or not (its first bytes tell, not its name).

    Args:
        path: the file.
        ndim: number of axes it must have: 3 for images [n, H, W], 1 for labels [n].

    Returns:
        Its values, uint8 with `ndim` axes.

    Raises:
        ValueError: the file is damaged or holds something else; the message has the received and the expected value.

    Source:
        Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998, "File formats".
    """
    content = _read_bytes(path)
    _check_magic(path, content[:4], ndim)
    header = 4 + 4 * ndim
    if len(content) < header:
        raise ValueError(f"{path} is truncated: {len(content)} bytes, expected a header of {header}: fetch it again")
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", ndim, offset=4))
    length, expected = len(content) - header, math.prod(shape)
    if length != expected:
        fault = "is truncated" if length < expected else "has bytes left over"
        raise ValueError(
            f"{path} {fault}: {length} bytes after the header, expected {expected} for the shape {shape}: "
            f"fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not an intact gzip file of {len(content)} bytes ({error}): fetch it again"
        ) from error


def _check_magic(path: Path, magic: bytes, ndim: int) -> None:
    expected = f"expected '{bytes((0, 0, _UNSIGNED_BYTE, ndim)).hex(' ')}' (uint8, axes: {ndim})"
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPE_NAMES:
        raise ValueError(
            f"{path} is not an IDX file: its magic number is '{magic.hex(' ')}', {expected}: fetch it again"
        )
    if magic[2] != _UNSIGNED_BYTE or magic[3] != ndim:
        raise ValueError(
            f"{path} has the magic number '{magic.hex(' ')}' ({_TYPE_NAMES[magic[2]]}, axes: {magic[3]}), "
            f"{expected}: is it another file under this name?"
        )
