"""The common form of image data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MAX_LABEL = 65535


class ImageData(NamedTuple):
    """Images and labels, split in a training and a test part.

    Pixels stay the whole numbers they are stored as; `x_train / scale` lies in [0, 1].

    Attributes:
        name: of the data set, as `"mnist"`.
        x_train: training images, uint8 [n_train, H, W, C], values 0 to `scale`.
        y_train: their classes, int32 [n_train], values 0 to `len(classes) - 1`.
        x_test: test images, uint8 [n_test, H, W, C].
        y_test: their classes, int32 [n_test].
        classes: name of each class.
        scale: the value of a pixel of full intensity: 16 for the digits, 255 for images of eight bits.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]
    scale: float

    def __repr__(self) -> str:
        """Shapes instead of the pixels."""
        arrays = ", ".join(
            f"{key}={array.dtype}{list(array.shape)}"
            for key, array in self._asdict().items()
            if isinstance(array, np.ndarray)
        )
        return f"ImageData(name={self.name!r}, {arrays}, classes={self.classes}, scale={self.scale})"


def assemble_images(
    name: str,
    arrays: Mapping[str, np.ndarray],
    files: Mapping[str, Path],
    classes: tuple[str, ...] | None,
) -> ImageData:
    """Checks that arrays of eight-bit images and labels belong together; puts them in the common form.

    Args:
        name: of the data set.
        arrays: `x_train`, `x_test`: uint8 [n, H, W] or [n, H, W, C]; `y_train`, `y_test`: integers [n].
        files: the file that each array was read from, for the errors.
        classes: name of each class. None: the numbers from 0 to the highest label.

    Returns:
        The images with a channel axis, and int32 labels.

    Raises:
        ValueError: wrong dtype or axes, unequal numbers of images and labels, images of two sizes, a label
            without a class; names the file.
    """
    for part in ("train", "test"):
        _check_part(arrays, files, part)
    x_train, x_test, y_train, y_test = (arrays[key] for key in ("x_train", "x_test", "y_train", "y_test"))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            f"{files['x_test']}: test images of shape {x_test.shape[1:]}, expected {x_train.shape[1:]} as "
            f"the training images in {files['x_train']}: take both from one data set"
        )
    if classes is None:
        classes = tuple(str(label) for label in range(int(max(y_train.max(), y_test.max())) + 1))
    for key in ("y_train", "y_test"):
        if arrays[key].max() >= len(classes):
            raise ValueError(
                f"{files[key]}: `{key}` has the label {arrays[key].max()}, expected 0 to {len(classes) - 1} "
                f"for the classes {classes}: correct the labels or `classes`"
            )
    return ImageData(
        name=name,
        x_train=x_train[..., None] if x_train.ndim == 3 else x_train,
        y_train=y_train.astype(np.int32),
        x_test=x_test[..., None] if x_test.ndim == 3 else x_test,
        y_test=y_test.astype(np.int32),
        classes=classes,
        scale=255.0,
    )


def _check_part(arrays: Mapping[str, np.ndarray], files: Mapping[str, Path], part: str) -> None:
    x_key, y_key = f"x_{part}", f"y_{part}"
    x, y = arrays[x_key], arrays[y_key]
    if x.dtype != np.uint8 or x.ndim not in (3, 4):
        raise ValueError(
            f"{files[x_key]}: `{x_key}` is {x.dtype}{list(x.shape)}, expected images uint8 [n, H, W] or "
            "[n, H, W, C] with values 0 to 255: convert it"
        )
    if not np.issubdtype(y.dtype, np.integer) or y.ndim != 1:
        raise ValueError(
            f"{files[y_key]}: `{y_key}` is {y.dtype}{list(y.shape)}, expected integer labels [n]: convert it"
        )
    if len(x) != len(y):
        raise ValueError(
            f"{files[x_key]} has {len(x)} images, but {files[y_key]} has {len(y)} labels, expected as "
            "many: take both from one data set"
        )
    if x.size == 0:
        raise ValueError(f"{files[x_key]}: `{x_key}` has the shape {x.shape}, expected at least one pixel")
    if y.min() < 0 or y.max() > _MAX_LABEL:
        raise ValueError(
            f"{files[y_key]}: `{y_key}` has labels from {y.min()} to {y.max()}, expected labels from 0 to "
            f"at most {_MAX_LABEL}: renumber them"
        )
