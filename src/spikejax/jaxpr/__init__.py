"""Traced programs read as data: interpreted by a table of rules, split, and asked for what they depend on."""

from spikejax.jaxpr.interpret import inlined, interpret, operations
from spikejax.jaxpr.reads import reads
from spikejax.jaxpr.split import split_program

__all__ = ["inlined", "interpret", "operations", "reads", "split_program"]
