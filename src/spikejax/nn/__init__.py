"""Flax NNX containers and the few layers that spiking networks need besides Flax's own."""

from spikejax.nn.adapter import CellModule, Container
from spikejax.nn.branches import Parallel, Residual
from spikejax.nn.competition import WinnerTakeAll
from spikejax.nn.delay import Delay
from spikejax.nn.graph import Graph
from spikejax.nn.layers import AvgPool, Flatten, MaxPool, Scale, SumPool, Voting
from spikejax.nn.recurrent import ElementwiseRecurrent, Recurrent
from spikejax.nn.reversed import Reversed
from spikejax.nn.rnn import Hidden, HiddenAndCell, SpikingGRU, SpikingLSTM, SpikingVanillaRNN
from spikejax.nn.sequential import Sequential
from spikejax.nn.spikes import SpikeConv, SpikeLinear

__all__ = [
    "AvgPool",
    "CellModule",
    "Container",
    "Delay",
    "ElementwiseRecurrent",
    "Flatten",
    "Graph",
    "Hidden",
    "HiddenAndCell",
    "MaxPool",
    "Parallel",
    "Recurrent",
    "Residual",
    "Reversed",
    "Scale",
    "Sequential",
    "SpikeConv",
    "SpikeLinear",
    "SpikingGRU",
    "SpikingLSTM",
    "SpikingVanillaRNN",
    "SumPool",
    "Voting",
    "WinnerTakeAll",
]
