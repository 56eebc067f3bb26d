"""Data sets as NumPy arrays: the embedded digits, and readers of MNIST-like files that are on disk."""

from spikejax.datasets.digits import load_digits
from spikejax.datasets.folder import load_fashion_mnist, load_images, load_mnist
from spikejax.datasets.images import ImageData

__all__ = ["ImageData", "load_digits", "load_fashion_mnist", "load_images", "load_mnist"]
