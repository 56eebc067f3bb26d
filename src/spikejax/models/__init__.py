"""Networks of the literature, built from `spikejax.nn`."""

from spikejax.models.classifiers import convolutional, fully_connected
from spikejax.models.residual import BasicBlock, ResNet, resnet18
from spikejax.models.transformer import TransformerBlock, VisionTransformer

__all__ = [
    "BasicBlock",
    "ResNet",
    "TransformerBlock",
    "VisionTransformer",
    "convolutional",
    "fully_connected",
    "resnet18",
]
