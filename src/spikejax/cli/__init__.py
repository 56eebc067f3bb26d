"""The `spikejax` command: train, evaluate, plot, info, export."""

from spikejax.cli import export, train
from spikejax.cli.app import app, main

__all__ = ["app", "export", "main", "train"]
