"""Networks of the literature, built from `spikejax.nn`."""

from spikejax.models.classifiers import convolutional, fully_connected
from spikejax.models.residual import BasicBlock, ResNet, resnet18

__all__ = ["BasicBlock", "ResNet", "convolutional", "fully_connected", "resnet18"]
