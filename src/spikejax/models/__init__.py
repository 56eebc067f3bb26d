"""Networks of the literature, built from `spikejax.nn`."""

from spikejax.models.classifiers import convolutional, fully_connected

__all__ = ["convolutional", "fully_connected"]
