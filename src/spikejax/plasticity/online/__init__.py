"""Online learning: gradients forward in time, in memory that does not grow with the number of steps."""

from spikejax.plasticity.online.bptt import BPTT
from spikejax.plasticity.online.decolle import DECOLLE
from spikejax.plasticity.online.eprop import EProp
from spikejax.plasticity.online.forward import ForwardGradient
from spikejax.plasticity.online.fptt import FPTT
from spikejax.plasticity.online.gradients import train_online, value_and_grad_online
from spikejax.plasticity.online.ottt import OTTT
from spikejax.plasticity.online.rtrl import DiagonalRTRL
from spikejax.plasticity.online.rule import Carry, LocalRule, OnlineRule
from spikejax.plasticity.online.sltt import SLTT

__all__ = [
    "BPTT",
    "DECOLLE",
    "FPTT",
    "OTTT",
    "SLTT",
    "Carry",
    "DiagonalRTRL",
    "EProp",
    "ForwardGradient",
    "LocalRule",
    "OnlineRule",
    "train_online",
    "value_and_grad_online",
]
