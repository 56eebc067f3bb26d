"""Values to spikes. An encoder is a cell, so it stands first in a network and draws inside the time loop."""

from spikejax.encoding.delta import DeltaModulation, LastInput
from spikejax.encoding.latency import Latency
from spikejax.encoding.pattern import Periodic, WeightedPhase
from spikejax.encoding.poisson import Poisson, RandomState
from spikejax.encoding.population import GaussianTuning, Population
from spikejax.encoding.timed import StepIndex

__all__ = [
    "DeltaModulation",
    "GaussianTuning",
    "LastInput",
    "Latency",
    "Periodic",
    "Poisson",
    "Population",
    "RandomState",
    "StepIndex",
    "WeightedPhase",
]
