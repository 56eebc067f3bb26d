"""The log of a run, line by line and for TensorBoard."""

import struct

import pytest
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]  # made at run time

from spikejax.train import RunLog, read_log


def rows(count: int) -> list[dict[str, float]]:
    return [{"epoch": n, "step": 10 * n, "train_loss": 0.5 / n, "test_accuracy": n / 8} for n in range(1, count + 1)]


def write(directory, count, keep=0):
    with RunLog(directory, epochs=keep) as log:
        for row in rows(count)[keep:]:
            log.append(row)


def scalars(directory) -> list[tuple[int, str, float]]:
    """Step, name and value of all that TensorBoard would show, in order."""
    found = []
    for path in (directory / "tensorboard").iterdir():
        content, place = path.read_bytes(), 0
        while place < len(content):  # records: length, its checksum, an event, its checksum
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            place += length + 16
    return sorted(found)


def test_rows_come_back(tmp_path):
    write(tmp_path, 3)
    assert read_log(tmp_path) == rows(3)


def test_tensorboard_has_the_same_numbers(tmp_path):
    write(tmp_path, 3)
    want = [(row["step"], "train/loss", row["train_loss"]) for row in rows(3)]
    want += [(row["step"], "test/accuracy", row["test_accuracy"]) for row in rows(3)]
    assert scalars(tmp_path) == [(step, name, pytest.approx(value)) for step, name, value in sorted(want)]


def test_rows_after_the_last_checkpoint_are_removed(tmp_path):
    write(tmp_path, 4)
    with RunLog(tmp_path, epochs=2) as log:
        assert read_log(tmp_path) == log.rows == rows(2)
        log.append(rows(3)[2])
    assert read_log(tmp_path) == rows(3)


def test_a_new_run_starts_an_empty_log(tmp_path):
    write(tmp_path, 4)
    write(tmp_path, 1)
    assert read_log(tmp_path) == rows(1)


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    write(tmp_path, 3)
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text()[:-20])
    assert read_log(tmp_path) == rows(2)
    write(tmp_path, 3, keep=2)
    assert read_log(tmp_path) == rows(3)


def test_no_log(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run: it has no log.jsonl"):
        read_log(tmp_path)
