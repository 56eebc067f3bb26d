"""The digits that come with the package: real images for demonstrations and tests, without a download."""

import importlib.resources

import numpy as np

from spikejax.datasets.images import ImageData


def load_digits() -> ImageData:
    """Loads 1797 handwritten digits of 8x8 pixels, each pixel a count of 0 to 16.

    They are the test set of the UCI digits in its own order, split anew into 1437 training and 360 test
    images: 36 of each class, drawn once and stored, so that the split is the same everywhere. The same 13
    people wrote both parts, so the test accuracy is that for known handwriting. Each call returns new arrays.

    Returns:
        The images, uint8 [1437, 8, 8, 1] and [360, 8, 8, 1], with `scale` 16 and the classes "0" to "9".

    Source:
        E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
        1998, doi:10.24432/C50P49, licence CC BY 4.0.
    """
    with (
        importlib.resources.files("spikejax.datasets").joinpath("digits.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return ImageData(
            name="digits",
            x_train=archive["x_train"][..., None],
            y_train=archive["y_train"].astype(np.int32),
            x_test=archive["x_test"][..., None],
            y_test=archive["y_test"].astype(np.int32),
            classes=tuple("0123456789"),
            scale=16.0,
        )
