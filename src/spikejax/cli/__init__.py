"""The `spikejax` command: train, evaluate, plot, info, convert, export."""

from spikejax.cli import convert, export, train
from spikejax.cli.app import app, main

__all__ = ["app", "convert", "export", "main", "train"]
