"""Neuron models: pure equations, without a time axis and without weights."""

from spikejax.cells.adaptive import Adaptation, AdEx, Izhikevich
from spikejax.cells.analog import LIAF
from spikejax.cells.base import ChargeFireReset, Membrane, Neuron
from spikejax.cells.complementary import CLIF, Complementary
from spikejax.cells.current import CubaLIF, SynapticCurrent
from spikejax.cells.gated import Gated, GatedLIF
from spikejax.cells.integer import ILIF, unroll_counts
from spikejax.cells.integrate_fire import IF
from spikejax.cells.klif import KLIF
from spikejax.cells.leaky import LIF, LeakyIntegrator, ParametricLIF
from spikejax.cells.linear import LinearLIF
from spikejax.cells.noisy import NoisyLIF, NoisyMembrane
from spikejax.cells.nonlinear import EIF, QIF
from spikejax.cells.parallel import PSN, MaskedPSN
from spikejax.cells.refractory import Refractory, RefractoryState
from spikejax.cells.resonate import Oscillation, ResonateAndFire
from spikejax.cells.sliding import SlidingPSN, SlidingPSNState
from spikejax.cells.stochastic import Stochastic, StochasticState
from spikejax.cells.ternary import TernaryIF, TernaryLIF
from spikejax.cells.threshold import ALIF, AdaptiveThreshold

__all__ = [
    "ALIF",
    "CLIF",
    "EIF",
    "IF",
    "ILIF",
    "KLIF",
    "LIAF",
    "LIF",
    "PSN",
    "QIF",
    "AdEx",
    "Adaptation",
    "AdaptiveThreshold",
    "ChargeFireReset",
    "Complementary",
    "CubaLIF",
    "Gated",
    "GatedLIF",
    "Izhikevich",
    "LeakyIntegrator",
    "LinearLIF",
    "MaskedPSN",
    "Membrane",
    "Neuron",
    "NoisyLIF",
    "NoisyMembrane",
    "Oscillation",
    "ParametricLIF",
    "Refractory",
    "RefractoryState",
    "ResonateAndFire",
    "SlidingPSN",
    "SlidingPSNState",
    "Stochastic",
    "StochasticState",
    "SynapticCurrent",
    "TernaryIF",
    "TernaryLIF",
    "unroll_counts",
]
