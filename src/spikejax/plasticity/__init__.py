"""Learning on the spot: by spike timing and reward, and by gradients forward in time; traces are the rules' own."""

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
from spikejax.plasticity.rule import Pairs, Rule, TraceRule, Traces
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
    "Pairs",
    "RateState",
    "Resources",
    "RewardRule",
    "RewardState",
    "Rule",
    "SoftBound",
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
    "train_online",
    "value_and_grad_online",
]
