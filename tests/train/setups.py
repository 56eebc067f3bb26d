"""The data and the trainers that the tests of training share, small enough to compile in a second or two."""

import time
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

import spikejax as sx
from spikejax import models
from spikejax.datasets import ImageData
from spikejax.train import Checkpoints, Trainer, fit, make_optimizer, make_schedule

BATCH, TRAIN, TEST, CLASSES = 8, 50, 21, 3
PER_EPOCH = TRAIN // BATCH  # 6 batches; 2 samples are left over
SHAPE = (4, 4, 1)
RATE = {"poisson": 0.05, "direct": 0.02, "conv": 0.02}
KINDS = tuple(RATE)


def images(train: int = TRAIN, test: int = TEST) -> ImageData:
    """Three classes: a bright row each, the first, second or third, in noise; values 0 to 16."""
    rng = np.random.default_rng(0)

    def part(samples: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, CLASSES, samples).astype(np.int32)
        pixels = rng.integers(0, 6, (samples, *SHAPE))
        pixels[np.arange(samples), labels] += 10
        return pixels.astype(np.uint8), labels

    return ImageData("rows", *part(train), *part(test), classes=tuple("012"), scale=16.0)


def network(kind: str, seed: int = 0, **options: Any) -> sx.nn.Sequential:
    """An untrained network of a kind."""
    rngs = nnx.Rngs(seed)
    if kind == "conv":
        return models.convolutional(SHAPE, CLASSES, channels=2, rngs=rngs, **options)
    if kind == "poisson":
        return models.fully_connected(SHAPE, CLASSES, encoder=sx.encoding.Poisson(), rngs=rngs, **options)
    return models.fully_connected(SHAPE, CLASSES, hidden=(8,), rngs=rngs, **options)


def new_trainer(kind: str, seed: int = 0, **options: Any) -> Trainer:
    """A trainer of a kind, compiled anew."""
    how = {"steps": 4, "batch_size": BATCH, "scale": 16.0, "seed": seed} | options
    return Trainer(network(kind, seed), make_optimizer("adam", schedule(kind)), **how)


@cache
def trainer(kind: str) -> Trainer:
    """The trainer of a kind, compiled once; it has no state."""
    return new_trainer(kind)


@cache
def schedule(kind: str):
    return make_schedule("constant", RATE[kind], 1)


def same(one: Any, other: Any) -> bool:
    """Whether two trees are equal bit for bit."""
    leaves, others = jax.tree.leaves(one), jax.tree.leaves(other)
    return jax.tree.structure(one) == jax.tree.structure(other) and all(map(np.array_equal, leaves, others))


def train(directory: Path, kind: str, epochs: int, **options: Any):
    """`fit` of the shared data and trainer."""
    return fit(trainer(kind), images(), directory, epochs=epochs, schedule=schedule(kind), **options)


def saved(directory: Path, kind: str, which: str = "latest") -> tuple[Any, dict[str, Any]]:
    """State and progress of a run."""
    with Checkpoints(directory / "checkpoints") as checkpoints:
        return checkpoints.load(which, trainer(kind).init())


class Watcher:
    """A reporter that keeps what it is told and may act on it."""

    def __init__(self, act=None) -> None:
        self.calls: list[tuple] = []
        self.rows: list[dict[str, Any]] = []
        self.act = act or (lambda epoch, done: None)

    def batches(self, epoch, done, total, loss, accuracy, speed) -> None:
        self.calls.append((epoch, done, total, loss, accuracy, speed))
        self.act(epoch, done)

    def epoch(self, row) -> None:
        self.rows.append(row)


def train_until_killed(directory: Path, kind: str, epochs: int, started) -> None:
    """Trains slowly in a process of its own; `started` is set after two epochs."""

    def act(epoch: int, done: int) -> None:
        if epoch == 3:
            started.set()
        time.sleep(0.02)

    train(directory, kind, epochs, reporter=Watcher(act))


def big_state(step: int) -> dict[str, np.ndarray]:
    """A state that tells its step in every number."""
    return {"a": np.full((200, 50), step, np.float32), "b": np.full(3, step)}


def save_until_killed(directory: Path, started) -> None:
    """Saves one checkpoint after another in a process of its own; `started` is set after the first."""
    with Checkpoints(directory) as checkpoints:
        for step in count((checkpoints.step("latest") or 0) + 1):
            checkpoints.save("latest", step, big_state(step), {"step": step})
            if not started.is_set():
                started.set()
