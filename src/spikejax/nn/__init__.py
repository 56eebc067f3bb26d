"""Flax NNX containers and the few layers that spiking networks need besides Flax's own."""

from spikejax.nn.adapter import CellModule, Container
from spikejax.nn.layers import AvgPool, Flatten, MaxPool, Voting
from spikejax.nn.sequential import Sequential
from spikejax.nn.spikes import SpikeConv, SpikeLinear

__all__ = [
    "AvgPool",
    "CellModule",
    "Container",
    "Flatten",
    "MaxPool",
    "Sequential",
    "SpikeConv",
    "SpikeLinear",
    "Voting",
]
