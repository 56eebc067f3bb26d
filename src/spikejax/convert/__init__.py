"""Trained networks of rectifiers as spiking networks."""

from spikejax.convert.convert import convert, measure
from spikejax.convert.neurons import RateIF, SignedIF, SignedState
from spikejax.convert.ranges import Range, Ranges
from spikejax.convert.weights import load_torch

__all__ = ["Range", "Ranges", "RateIF", "SignedIF", "SignedState", "convert", "load_torch", "measure"]
