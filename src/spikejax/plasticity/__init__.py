"""Learning on the spot: rules of spike timing and of reward, whose traces are their own state."""

from spikejax.plasticity.bounds import SoftBound, keep_within, normalize
from spikejax.plasticity.homeostasis import RateState, SynapticScaling, ThresholdHomeostasis
from spikejax.plasticity.learn import Learned, labels, learn, mix
from spikejax.plasticity.reward import MSTDP, MSTDPET, EligibilityState, RewardRule, RewardState
from spikejax.plasticity.rule import Pairs, Rule, TraceRule, Traces
from spikejax.plasticity.short_term import Resources, TsodyksMarkram
from spikejax.plasticity.stdp import STDP, TripletSTDP, TripletTraces
from spikejax.plasticity.synapse import Synapse, synapse_of

__all__ = [
    "MSTDP",
    "MSTDPET",
    "STDP",
    "EligibilityState",
    "Learned",
    "Pairs",
    "RateState",
    "Resources",
    "RewardRule",
    "RewardState",
    "Rule",
    "SoftBound",
    "Synapse",
    "SynapticScaling",
    "ThresholdHomeostasis",
    "TraceRule",
    "Traces",
    "TripletSTDP",
    "TripletTraces",
    "TsodyksMarkram",
    "keep_within",
    "labels",
    "learn",
    "mix",
    "normalize",
    "synapse_of",
]
