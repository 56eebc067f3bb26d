"""Flax NNX containers and the few layers that spiking networks need besides Flax's own."""

from spikejax.nn.adapter import CellModule, Container
from spikejax.nn.branches import Parallel, Residual
from spikejax.nn.competition import WinnerTakeAll
from spikejax.nn.delay import Delay
from spikejax.nn.drop_connect import DropConnectLinear
from spikejax.nn.graph import Graph
from spikejax.nn.layers import AvgPool, Flatten, MaxPool, Scale, SumPool, Voting
from spikejax.nn.learned_delay import DelayedLinear, LearnedDelay, set_sigma
from spikejax.nn.recurrent import ElementwiseRecurrent, Recurrent
from spikejax.nn.reversed import Reversed
from spikejax.nn.rnn import LSTMState, RNNState, SpikingGRU, SpikingLSTM, SpikingVanillaRNN
from spikejax.nn.sequential import Sequential
from spikejax.nn.spikes import SpikeConv, SpikeLinear
from spikejax.nn.synapse import SynapseFilter

__all__ = [
    "AvgPool",
    "CellModule",
    "Container",
    "Delay",
    "DelayedLinear",
    "DropConnectLinear",
    "ElementwiseRecurrent",
    "Flatten",
    "Graph",
    "LSTMState",
    "LearnedDelay",
    "MaxPool",
    "Parallel",
    "RNNState",
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
    "SynapseFilter",
    "Voting",
    "WinnerTakeAll",
    "set_sigma",
]
