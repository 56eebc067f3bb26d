"""Spiking neural networks on JAX and Flax: functional, fast, exportable."""

from spikejax import cells, encoding, losses, nn, scan, surrogate
from spikejax.cells import IF, LIF, LeakyIntegrator, Neuron, ParametricLIF
from spikejax.scan import run

__all__ = [
    "IF",
    "LIF",
    "LeakyIntegrator",
    "Neuron",
    "ParametricLIF",
    "cells",
    "encoding",
    "losses",
    "nn",
    "run",
    "scan",
    "surrogate",
]
