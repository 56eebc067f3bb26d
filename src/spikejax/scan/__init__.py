"""Drivers over time."""

from spikejax.scan.plan import METHODS, Plan, plan
from spikejax.scan.run import run

__all__ = ["METHODS", "Plan", "plan", "run"]
