"""Surrogate gradients: a step forward, a smooth derivative backward."""

from spikejax.surrogate.base import SurrogateFunction, heaviside
from spikejax.surrogate.piecewise import (
    DeterministicPass,
    LeakyKReLU,
    LogTailedReLU,
    PiecewiseLeakyReLU,
    PiecewiseQuadratic,
    Rect,
    Triangle,
)
from spikejax.surrogate.registry import by_name
from spikejax.surrogate.smooth import ATan, Erf, PiecewiseExp, QPseudoSpike, Sigmoid, SoftSign, SuperSpike
from spikejax.surrogate.special import (
    S2NN,
    FakeNumericalGradient,
    MultiLevelSpikeCount,
    NonzeroSignLogAbs,
    SquarewaveFourierSeries,
)

__all__ = [
    "S2NN",
    "ATan",
    "DeterministicPass",
    "Erf",
    "FakeNumericalGradient",
    "LeakyKReLU",
    "LogTailedReLU",
    "MultiLevelSpikeCount",
    "NonzeroSignLogAbs",
    "PiecewiseExp",
    "PiecewiseLeakyReLU",
    "PiecewiseQuadratic",
    "QPseudoSpike",
    "Rect",
    "Sigmoid",
    "SoftSign",
    "SquarewaveFourierSeries",
    "SuperSpike",
    "SurrogateFunction",
    "Triangle",
    "by_name",
    "heaviside",
]
