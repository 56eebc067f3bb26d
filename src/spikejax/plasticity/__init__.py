"""Learning rules besides backpropagation through time."""

from spikejax.plasticity.online import (
    BPTT,
    DECOLLE,
    FPTT,
    OTTT,
    SLTT,
    DiagonalRTRL,
    EProp,
    ForwardGradient,
    train_online,
    value_and_grad_online,
)

__all__ = [
    "BPTT",
    "DECOLLE",
    "FPTT",
    "OTTT",
    "SLTT",
    "DiagonalRTRL",
    "EProp",
    "ForwardGradient",
    "train_online",
    "value_and_grad_online",
]
