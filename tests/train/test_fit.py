"""The outer loop: what it writes, and that an interruption changes nothing."""

import copy
import os
import signal
import sys
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from tests.train.setups import (
    BATCH,
    PER_EPOCH,
    Watcher,
    images,
    same,
    saved,
    schedule,
    train,
    train_until_killed,
    trainer,
)
from tests.train.test_log import scalars

from spikejax.train import Checkpoints, Totals, fit, read_log

KEYS = ["epoch", "step", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate"]
KEYS += ["samples_per_second"]
FIT = sys.modules["spikejax.train.fit"]  # the name in the package is the function

each_net = pytest.mark.parametrize("kind", ["poisson", "conv"])


@pytest.fixture
def one_batch_a_call(monkeypatch):
    """Makes every jitted call train one batch, so that there is a pause after each."""
    monkeypatch.setattr(FIT, "SECONDS_PER_CALL", 0.0)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Folders of runs of 4 epochs that were not interrupted, by kind of network."""
    folders = {}

    def run(kind):
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            train(folders[kind], kind, 4)
        return folders[kind]

    return run


def numbers(directory):
    """The log without the speed, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "samples_per_second"} for row in read_log(directory)]


def assert_same_run(directory, other, kind):
    """Both runs have the same log, and the same latest and best state and progress, bit for bit."""
    assert numbers(directory) == numbers(other)
    for which in ("latest", "best"):
        (state, progress), (its_state, its_progress) = (saved(folder, kind, which) for folder in (directory, other))
        assert same(state, its_state), which
        assert progress == its_progress


def interrupt(epoch, done, number=signal.SIGINT):
    """A reporter that sends the signal to this process after a batch of an epoch."""
    return Watcher(lambda *now: now == (epoch, done) and os.kill(os.getpid(), number))


def test_what_a_run_leaves(tmp_path):
    watcher = Watcher()
    outcome = train(tmp_path / "new" / "run", "poisson", 3, reporter=watcher)
    folder = tmp_path / "new" / "run"
    rows = read_log(folder)
    assert rows == watcher.rows
    assert [list(row) for row in rows] == [KEYS] * 3
    assert [(row["epoch"], row["step"]) for row in rows] == [(n, n * PER_EPOCH) for n in (1, 2, 3)]
    assert all(row["samples_per_second"] > 0 and 0 <= row["test_accuracy"] <= 1 for row in rows)
    assert {row["learning_rate"] for row in rows} == {float(schedule("poisson")(0))}

    accuracies = [row["test_accuracy"] for row in rows]
    assert (outcome.reason, outcome.epochs) == ("finished", 3)
    assert (outcome.test_accuracy, outcome.best_accuracy) == (accuracies[-1], max(accuracies))
    state, progress = saved(folder, "poisson")
    assert int(state.step) == 3 * PER_EPOCH and progress["epoch"] == 3
    best, _ = saved(folder, "poisson", "best")
    assert int(best.step) == PER_EPOCH * (1 + accuracies.index(max(accuracies)))

    shown = {(step, name): value for step, name, value in scalars(folder)}
    assert shown[2 * PER_EPOCH, "test/accuracy"] == pytest.approx(rows[1]["test_accuracy"])
    assert len(shown) == 3 * (len(KEYS) - 2)


def test_the_reporter_hears_every_call(tmp_path, one_batch_a_call):
    watcher = Watcher()
    train(tmp_path, "poisson", 2, reporter=watcher)
    assert [call[:3] for call in watcher.calls] == [
        (epoch, done, PER_EPOCH) for epoch in (1, 2) for done in range(1, PER_EPOCH + 1)
    ]
    for row, (*_, loss, accuracy, speed) in zip(watcher.rows, watcher.calls[PER_EPOCH - 1 :: PER_EPOCH], strict=True):
        assert (row["train_loss"], row["train_accuracy"]) == (loss, accuracy)
        assert speed > 0


def test_the_logged_rate_is_that_of_the_last_batch(tmp_path):
    fit(trainer("direct"), images(), tmp_path, epochs=2, schedule=lambda step: step / 10)
    assert [row["learning_rate"] for row in read_log(tmp_path)] == [(PER_EPOCH - 1) / 10, (2 * PER_EPOCH - 1) / 10]


@each_net
@pytest.mark.parametrize("moment", [(1, 1), (2, 3), (3, PER_EPOCH)], ids=["first batch", "middle", "end of an epoch"])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, straight, one_batch_a_call, kind, moment):
    outcome = train(tmp_path, kind, 4, reporter=interrupt(*moment))
    epoch, done = moment
    assert (outcome.reason, outcome.epochs) == ("interrupted", epoch - 1 + done // PER_EPOCH)
    state, _ = saved(tmp_path, kind)
    assert int(state.step) == (epoch - 1) * PER_EPOCH + done
    assert int(state.totals.samples) == done % PER_EPOCH * BATCH  # sums are of one epoch
    assert train(tmp_path, kind, 4, resume=True).reason == "finished"
    assert_same_run(tmp_path, straight(kind), kind)


def test_interrupted_again_and_again(tmp_path, straight, one_batch_a_call):
    assert train(tmp_path, "poisson", 4, reporter=interrupt(1, 2)).reason == "interrupted"
    for moment in ((1, 3), (1, PER_EPOCH), (2, 1), (4, PER_EPOCH - 1)):
        assert train(tmp_path, "poisson", 4, resume=True, reporter=interrupt(*moment)).reason == "interrupted"
    train(tmp_path, "poisson", 4, resume=True)
    assert_same_run(tmp_path, straight("poisson"), "poisson")


def test_interrupted_by_sigterm(tmp_path, straight):
    assert train(tmp_path, "poisson", 4, reporter=interrupt(1, 1, signal.SIGTERM)).reason == "interrupted"
    train(tmp_path, "poisson", 4, resume=True)
    assert_same_run(tmp_path, straight("poisson"), "poisson")


def test_a_second_interruption_ends_at_once(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore the signal

    def twice(epoch, done):
        signal.raise_signal(signal.SIGINT)  # in this thread, so that one is heard before the other is sent
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, "poisson", 4, reporter=Watcher(twice))
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_signals_are_heard_by_others_afterwards(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path, "poisson", 1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@each_net
def test_killed_and_resumed_equals_uninterrupted(tmp_path, straight, killed, kind):
    killed(train_until_killed, tmp_path, kind, 4)
    assert saved(tmp_path, kind)[1]["epoch"] >= 2
    train(tmp_path, kind, 4, resume=True)
    assert_same_run(tmp_path, straight(kind), kind)


@pytest.mark.parametrize("which", ["best", "latest"])
def test_killed_between_log_and_checkpoints(tmp_path, straight, monkeypatch, which):
    """The row of an epoch is written, perhaps its best checkpoint too, but not the latest: the epoch comes again."""
    save = Checkpoints.save

    def until_second(self, kind, step, *args):
        if (kind, step) == (which, 2 * PER_EPOCH):
            raise SystemExit
        save(self, kind, step, *args)

    monkeypatch.setattr(Checkpoints, "save", until_second)
    with pytest.raises(SystemExit):
        train(tmp_path, "poisson", 4)
    assert len(read_log(tmp_path)) == 2
    monkeypatch.undo()
    train(tmp_path, "poisson", 4, resume=True)
    assert_same_run(tmp_path, straight("poisson"), "poisson")


def test_more_epochs_on_resume(tmp_path, straight):
    assert train(tmp_path, "poisson", 2).epochs == 2
    assert train(tmp_path, "poisson", 2, resume=True).reason == "finished"
    assert train(tmp_path, "poisson", 4, resume=True).epochs == 4
    assert_same_run(tmp_path, straight("poisson"), "poisson")


def test_resume_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="no latest checkpoint in"):
        train(tmp_path, "poisson", 1, resume=True)


def test_a_run_is_not_lost_unasked(tmp_path):
    train(tmp_path, "poisson", 1)
    before = read_log(tmp_path)
    with pytest.raises(FileExistsError, match="holds a run already: give resume=True"):
        train(tmp_path, "poisson", 1)
    assert read_log(tmp_path) == before


def test_resume_with_another_network(tmp_path):
    train(tmp_path, "poisson", 1)
    with pytest.raises(ValueError, match="belongs to another network"):
        train(tmp_path, "direct", 2, resume=True)


def test_batch_larger_than_the_samples(tmp_path):
    with pytest.raises(ValueError, match=f"`batch_size` must be <= the 5 training samples, got {BATCH}"):
        fit(trainer("direct"), images(train=5), tmp_path, epochs=1, schedule=schedule("direct"))


@pytest.fixture
def scripted():
    """A trainer whose test accuracies, in 21 samples, are given."""

    def make(*correct, loss=0.0):
        one: Any = copy.copy(trainer("direct"))
        script = iter(correct)
        one.evaluate = lambda *_: Totals(jnp.float32(loss), jnp.int32(next(script)), jnp.int32(21))
        return one

    return make


def test_early_stop(tmp_path, scripted):
    """Two epochs without a better accuracy, equal ones not counted as better; then it goes on with more patience."""
    how = {"epochs": 9, "schedule": schedule("direct")}
    outcome = fit(scripted(5, 7, 7, 6), images(), tmp_path, patience=2, **how)
    assert (outcome.reason, outcome.epochs) == ("stopped early", 4)
    assert (outcome.test_accuracy, outcome.best_accuracy) == (6 / 21, 7 / 21)
    assert int(saved(tmp_path, "direct", "best")[0].step) == 2 * PER_EPOCH

    assert fit(scripted(), images(), tmp_path, patience=2, resume=True, **how).reason == "stopped early"
    outcome = fit(scripted(8, 1, 1, 1, 1), images(), tmp_path, patience=3, resume=True, **how)
    assert (outcome.reason, outcome.epochs, outcome.best_accuracy) == ("stopped early", 8, 8 / 21)


def test_no_early_stop_without_patience(tmp_path, scripted):
    assert fit(scripted(5, 4, 3), images(), tmp_path, epochs=3, schedule=schedule("direct")).reason == "finished"


def test_interrupted_before_the_first_epoch_ends(tmp_path, one_batch_a_call):
    outcome = train(tmp_path, "poisson", 1, reporter=interrupt(1, 2))
    assert (outcome.reason, outcome.epochs) == ("interrupted", 0)
    assert np.isnan(outcome.test_accuracy)
    assert read_log(tmp_path) == []


def test_a_loss_that_is_not_finite_is_logged(tmp_path, scripted):
    fit(scripted(5, loss=np.nan), images(), tmp_path, epochs=1, schedule=schedule("direct"))
    assert np.isnan(read_log(tmp_path)[0]["test_loss"])
