"""Conversion of trained networks of rectifiers to spiking networks."""

from spikejax.convert.convert import convert, measure
from spikejax.convert.expectation import Compensated, Expected, RunningMean
from spikejax.convert.neurons import MultiThresholdIF, RateIF, SignedIF, SignedState
from spikejax.convert.offset import calibrate_offset
from spikejax.convert.predict import Prediction, accuracy_over_time, predict
from spikejax.convert.quantized import QCFS
from spikejax.convert.ranges import Range, Ranges
from spikejax.convert.weights import load_torch

__all__ = [
    "QCFS",
    "Compensated",
    "Expected",
    "MultiThresholdIF",
    "Prediction",
    "Range",
    "Ranges",
    "RateIF",
    "RunningMean",
    "SignedIF",
    "SignedState",
    "accuracy_over_time",
    "calibrate_offset",
    "convert",
    "load_torch",
    "measure",
    "predict",
]
