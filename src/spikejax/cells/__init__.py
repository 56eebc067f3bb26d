"""Neuron models: pure equations, without a time axis and without weights."""

from spikejax.cells.base import ChargeFireReset, Membrane, Neuron
from spikejax.cells.integrate_fire import IF
from spikejax.cells.leaky import LIF, LeakyIntegrator, ParametricLIF

__all__ = [
    "IF",
    "LIF",
    "ChargeFireReset",
    "LeakyIntegrator",
    "Membrane",
    "Neuron",
    "ParametricLIF",
]
