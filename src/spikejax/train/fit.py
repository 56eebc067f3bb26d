"""The outer loop: epochs, checkpoints, logs, early stop and interruption."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from spikejax.datasets import ImageData
from spikejax.train.checkpoint import Checkpoints
from spikejax.train.log import RunLog
from spikejax.train.trainer import Totals, Trainer, TrainState

SECONDS_PER_CALL = 0.3
"""Aim for the duration of one jitted call: between calls progress is shown and an interruption noticed."""


class Reporter(Protocol):
    """Receives progress callbacks."""

    def batches(self, epoch: int, done: int, total: int, loss: float, accuracy: float, speed: float) -> None:
        """After each call: batches done of an epoch's total, means so far, samples per second."""

    def epoch(self, row: dict[str, Any]) -> None:
        """After each epoch: the row of the log."""


@dataclass(frozen=True)
class Outcome:
    """The end of a training by `fit`.

    Attributes:
        reason: "finished", "stopped early" or "interrupted".
        epochs: whole epochs trained.
        test_accuracy: accuracy after the last whole epoch, in [0, 1]; nan before the first.
        best_accuracy: best accuracy after an epoch; chosen on the test samples, so an optimistic figure.
    """

    reason: str
    epochs: int
    test_accuracy: float
    best_accuracy: float


def fit(
    trainer: Trainer,
    data: ImageData,
    directory: Path,
    *,
    epochs: int,
    schedule: optax.Schedule,
    resume: bool = False,
    patience: int | None = None,
    reporter: Reporter | None = None,
) -> Outcome:
    """Trains up to `epochs` epochs; checkpoints and logs go to `directory`.

    After each epoch the test samples are classified, a row goes to the log, and the latest checkpoint is saved, as the
    best too if it is the best so far. SIGINT (Ctrl-C) and SIGTERM save and return; a second one ends at once.

    Args:
        trainer: the network with its optimizer and loss.
        data: training and test samples.
        directory: folder for `checkpoints/`, `log.jsonl` and `tensorboard/`; made where it is missing.
        epochs: epochs in all, those before a resumption included.
        schedule: the learning rate over training steps, for the log.
        resume: True continues from the latest checkpoint, bit for bit as if it had not been interrupted.
        patience: epochs without a better test accuracy after which training stops; None never.
        reporter: receives the progress; None reports none.

    Raises:
        FileNotFoundError: `resume` without a checkpoint.
        FileExistsError: `directory` holds a checkpoint, and not `resume`.
        ValueError: the checkpoint is damaged, or belongs to another network.
    """
    directory.mkdir(parents=True, exist_ok=True)
    x, y = jnp.asarray(data.x_train), jnp.asarray(data.y_train)
    test = jnp.asarray(data.x_test), jnp.asarray(data.y_test)
    per_epoch = trainer.batches_per_epoch(len(data.x_train))
    state, progress = trainer.init(), {"epoch": 0, "best": -1.0, "best_epoch": 0, "last": float("nan")}
    pace = _Pace()
    with Checkpoints(directory / "checkpoints") as checkpoints, _interruption() as interrupted:
        if resume:
            state, progress = checkpoints.load("latest", state)
        elif checkpoints.step("latest") is not None:
            raise FileExistsError(f"{directory} holds a run already: give resume=True, or another directory")
        with RunLog(directory, epochs=progress["epoch"]) as log:
            while progress["epoch"] < epochs and not _exhausted(progress, patience):
                epoch, started, first = progress["epoch"] + 1, time.perf_counter(), int(state.step) % per_epoch
                done = first
                while done < per_epoch and not interrupted():
                    state, done = pace.advance(trainer, state, x, y, done, per_epoch)
                    if reporter:
                        speed = (done - first) * trainer.batch_size / (time.perf_counter() - started)
                        reporter.batches(epoch, done, per_epoch, *state.totals.means(), speed)
                if done < per_epoch:
                    checkpoints.save("latest", int(state.step), state, progress)
                    return _outcome("interrupted", progress)
                speed = (done - first) * trainer.batch_size / (time.perf_counter() - started)
                row = _row(epoch, state, trainer.evaluate(state, *test), schedule, speed)
                better = row["test_accuracy"] > progress["best"]
                progress = progress | {"epoch": epoch, "last": row["test_accuracy"]}
                progress |= {"best": row["test_accuracy"], "best_epoch": epoch} if better else {}
                state = state._replace(totals=Totals.zero())
                log.append(row)
                if better:
                    checkpoints.save("best", int(state.step), state, progress)
                checkpoints.save("latest", int(state.step), state, progress)
                if reporter:
                    reporter.epoch(row)
    return _outcome("stopped early" if progress["epoch"] < epochs else "finished", progress)


class _Pace:
    """Chooses how many batches go into one jitted call, so that a call takes about `SECONDS_PER_CALL`."""

    def __init__(self) -> None:
        self.batches = 1

    def advance(
        self, trainer: Trainer, state: TrainState, x: jax.Array, y: jax.Array, done: int, total: int
    ) -> tuple[TrainState, int]:
        """Trains some batches, not beyond `total`; returns the new state and the batches done."""
        batches = min(self.batches, total - done)
        started = time.perf_counter()
        state = jax.block_until_ready(trainer.train(state, x, y, batches))
        seconds = time.perf_counter() - started
        self.batches = max(1, min(2 * batches, int(batches * SECONDS_PER_CALL / seconds)))
        return state, done + batches


def _row(epoch: int, state: TrainState, test: Totals, schedule: optax.Schedule, speed: float) -> dict[str, Any]:
    train_loss, train_accuracy = state.totals.means()
    test_loss, test_accuracy = test.means()
    return {
        "epoch": epoch,
        "step": int(state.step),
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "learning_rate": float(np.asarray(schedule(int(state.step) - 1))),
        "samples_per_second": round(speed, 1),
    }


def _exhausted(progress: dict[str, Any], patience: int | None) -> bool:
    return patience is not None and progress["epoch"] - progress["best_epoch"] >= patience


def _outcome(reason: str, progress: dict[str, Any]) -> Outcome:
    return Outcome(reason, progress["epoch"], progress["last"], progress["best"])


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Turns the first SIGINT or SIGTERM into a flag; in the main thread only, where signals arrive."""
    heard: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def hear(number: int, _: object) -> None:
        heard.append(number)
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, hear)
    try:
        yield lambda: bool(heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
