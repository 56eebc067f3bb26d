"""Learning rules: local ones by spike timing and reward, and gradients forward in time."""

from spikejax.plasticity.bounds import SoftBound, keep_within, normalize
from spikejax.plasticity.homeostasis import RateState, SynapticScaling, ThresholdHomeostasis
from spikejax.plasticity.learn import Learned, labels, learn, mix
from spikejax.plasticity.online import (
    BPTT,
    DECOLLE,
    FPTT,
    OTTT,
    SLTT,
    Carry,
    DiagonalRTRL,
    EProp,
    ForwardGradient,
    LocalRule,
    OnlineRule,
    train_online,
    value_and_grad_online,
)
from spikejax.plasticity.reward import MSTDP, MSTDPET, EligibilityState, RewardRule, RewardState
from spikejax.plasticity.rule import PlasticityRule, SpikePairs, SpikeTraces, TraceRule
from spikejax.plasticity.short_term import Resources, TsodyksMarkram
from spikejax.plasticity.stdp import STDP, TripletSTDP, TripletTraces

__all__ = [
    "BPTT",
    "DECOLLE",
    "FPTT",
    "MSTDP",
    "MSTDPET",
    "OTTT",
    "SLTT",
    "STDP",
    "Carry",
    "DiagonalRTRL",
    "EProp",
    "EligibilityState",
    "ForwardGradient",
    "Learned",
    "LocalRule",
    "OnlineRule",
    "PlasticityRule",
    "RateState",
    "Resources",
    "RewardRule",
    "RewardState",
    "SoftBound",
    "SpikePairs",
    "SpikeTraces",
    "SynapticScaling",
    "ThresholdHomeostasis",
    "TraceRule",
    "TripletSTDP",
    "TripletTraces",
    "TsodyksMarkram",
    "keep_within",
    "labels",
    "learn",
    "mix",
    "normalize",
    "train_online",
    "value_and_grad_online",
]
