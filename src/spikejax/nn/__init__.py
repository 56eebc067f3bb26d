"""Flax NNX containers and the few layers that spiking networks need besides Flax's own."""

from spikejax.nn.attention import MultiDimensionalAttention, TemporalAttention
from spikejax.nn.branches import Parallel, Residual
from spikejax.nn.cell_module import CellModule
from spikejax.nn.competition import WinnerTakeAll
from spikejax.nn.container import Container
from spikejax.nn.delay import Delay
from spikejax.nn.diagnose import Diagnosis, LayerActivity, diagnose
from spikejax.nn.drop_connect import DropConnectLinear
from spikejax.nn.dropout import Mask, TimeInvariantDropout
from spikejax.nn.graph import Graph
from spikejax.nn.init import lif_gain
from spikejax.nn.layers import AvgPool, Flatten, MaxPool, Scale, SumPool, Voting
from spikejax.nn.learned_delay import DelayedLinear, LearnedDelay, set_sigma
from spikejax.nn.linear_map import LinearMap
from spikejax.nn.neunorm import Activity, NeuNorm
from spikejax.nn.norms import BatchNormThroughTime, TemporalEffectiveBatchNorm, ThresholdDependentBatchNorm
from spikejax.nn.recurrent import ElementwiseRecurrent, Recurrent
from spikejax.nn.reversed import Reversed
from spikejax.nn.rnn import LSTMState, RNNState, SpikingGRU, SpikingLSTM, SpikingVanillaRNN
from spikejax.nn.self_attention import QKAttention, SpikingSelfAttention
from spikejax.nn.sequential import Sequential
from spikejax.nn.shapes import AdaptiveAvgPool, PrintShape
from spikejax.nn.spikes import SpikeConv, SpikeLinear
from spikejax.nn.standardized import WeightStandardizedConv
from spikejax.nn.synapse import SynapseFilter

__all__ = [
    "Activity",
    "AdaptiveAvgPool",
    "AvgPool",
    "BatchNormThroughTime",
    "CellModule",
    "Container",
    "Delay",
    "DelayedLinear",
    "Diagnosis",
    "DropConnectLinear",
    "ElementwiseRecurrent",
    "Flatten",
    "Graph",
    "LSTMState",
    "LayerActivity",
    "LearnedDelay",
    "LinearMap",
    "Mask",
    "MaxPool",
    "MultiDimensionalAttention",
    "NeuNorm",
    "Parallel",
    "PrintShape",
    "QKAttention",
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
    "SpikingSelfAttention",
    "SpikingVanillaRNN",
    "SumPool",
    "SynapseFilter",
    "TemporalAttention",
    "TemporalEffectiveBatchNorm",
    "ThresholdDependentBatchNorm",
    "TimeInvariantDropout",
    "Voting",
    "WeightStandardizedConv",
    "WinnerTakeAll",
    "diagnose",
    "lif_gain",
    "set_sigma",
]
