"""Drivers over time."""

from spikejax.scan.memory import Memory, memory_estimate
from spikejax.scan.plan import METHODS, Plan, plan
from spikejax.scan.run import run

__all__ = ["METHODS", "Memory", "Plan", "memory_estimate", "plan", "run"]
