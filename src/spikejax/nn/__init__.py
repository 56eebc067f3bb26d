"""Flax NNX containers and the few layers that spiking networks need besides Flax's own."""

from spikejax.nn.adapter import CellModule, Container
from spikejax.nn.attention import MultiDimensionalAttention, TemporalAttention
from spikejax.nn.competition import WinnerTakeAll
from spikejax.nn.delay import Delay
from spikejax.nn.diagnose import Diagnosis, LayerActivity, diagnose
from spikejax.nn.dropout import Mask, TimeInvariantDropout
from spikejax.nn.graph import Graph
from spikejax.nn.init import lif_gain
from spikejax.nn.layers import AvgPool, Flatten, MaxPool, Scale, SumPool, Voting
from spikejax.nn.neunorm import Activity, NeuNorm
from spikejax.nn.norms import BatchNormThroughTime, TemporalEffectiveBatchNorm, ThresholdDependentBatchNorm
from spikejax.nn.recurrent import Recurrent
from spikejax.nn.self_attention import QKAttention, SpikingSelfAttention
from spikejax.nn.sequential import Sequential
from spikejax.nn.shapes import AdaptiveAvgPool, PrintShape
from spikejax.nn.spikes import SpikeConv, SpikeLinear
from spikejax.nn.standardized import WeightStandardizedConv

__all__ = [
    "Activity",
    "AdaptiveAvgPool",
    "AvgPool",
    "BatchNormThroughTime",
    "CellModule",
    "Container",
    "Delay",
    "Diagnosis",
    "Flatten",
    "Graph",
    "LayerActivity",
    "Mask",
    "MaxPool",
    "MultiDimensionalAttention",
    "NeuNorm",
    "PrintShape",
    "QKAttention",
    "Recurrent",
    "Scale",
    "Sequential",
    "SpikeConv",
    "SpikeLinear",
    "SpikingSelfAttention",
    "SumPool",
    "TemporalAttention",
    "TemporalEffectiveBatchNorm",
    "ThresholdDependentBatchNorm",
    "TimeInvariantDropout",
    "Voting",
    "WeightStandardizedConv",
    "WinnerTakeAll",
    "diagnose",
    "lif_gain",
]
