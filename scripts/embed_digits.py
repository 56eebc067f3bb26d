"""Writes the embedded digits, `src/spikejax/datasets/digits.npz`, from scikit-learn's copy of the UCI data.

Run once, with scikit-learn installed: `python scripts/embed_digits.py`. The split is stored in the file, so
it does not depend on the random generator of a later NumPy.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).resolve().parents[1] / "src/spikejax/datasets/digits.npz"
TEST_IMAGES_PER_CLASS = 36
SOURCE = (
    "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, "
    "1998, doi:10.24432/C50P49, CC BY 4.0. The 1797 images of its test set, split anew into 1437 and 360."
)


def choose_test_images(labels: np.ndarray) -> np.ndarray:
    """Draws the test images, as many of each class.

    Args:
        labels: class of each image, int [n].

    Returns:
        True where the image is a test image, bool [n].
    """
    generator = np.random.default_rng(0)
    is_test = np.zeros(labels.shape, bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        is_test[generator.permutation(members)[:TEST_IMAGES_PER_CLASS]] = True
    return is_test


def main() -> None:
    """Splits the digits and writes them, in their source's order."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        raise ValueError("scikit-learn's digits are no longer whole numbers in 0 .. 255")
    labels = digits.target.astype(np.uint8)
    is_test = choose_test_images(labels)
    np.savez_compressed(
        TARGET,
        x_train=images[~is_test],
        y_train=labels[~is_test],
        x_test=images[is_test],
        y_test=labels[is_test],
        source=np.array(SOURCE),
    )
    size = TARGET.stat().st_size
    print(f"{TARGET.name}: {np.sum(~is_test)} training and {np.sum(is_test)} test images, {size} bytes")


if __name__ == "__main__":
    main()
