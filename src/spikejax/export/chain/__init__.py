"""A network as a chain of plain layers of NumPy arrays: the start of every exporter."""

from spikejax.export.chain.reading import Reader, read_chain
from spikejax.export.chain.specs import (
    ConvSpec,
    DelaySpec,
    DenseSpec,
    FlattenSpec,
    LayerSpec,
    NeuronSpec,
    PoolSpec,
    ScaleSpec,
    VotingSpec,
)

__all__ = [
    "ConvSpec",
    "DelaySpec",
    "DenseSpec",
    "FlattenSpec",
    "LayerSpec",
    "NeuronSpec",
    "PoolSpec",
    "Reader",
    "ScaleSpec",
    "VotingSpec",
    "read_chain",
]
