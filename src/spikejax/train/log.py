"""The log of a run: one JSON object an epoch in `log.jsonl`, and the same numbers for TensorBoard."""

import json
import os
from pathlib import Path
from typing import Any


class RunLog:
    """Writes the rows of a run.

    Args:
        directory: folder of the run.
        epochs: number of epochs whose rows stay in an earlier log; later rows, of a training that was cut off after
            its last checkpoint, are removed.
    """

    def __init__(self, directory: Path, epochs: int = 0) -> None:
        from tensorboardX import SummaryWriter  # only where something is trained

        self.path = directory / "log.jsonl"
        self.rows = [row for row in read_log(directory) if row["epoch"] <= epochs] if epochs else []
        self._rewrite()
        purge = self.rows[-1]["step"] + 1 if self.rows else 0
        self._board = SummaryWriter(str(directory / "tensorboard"), purge_step=purge)

    def append(self, row: dict[str, Any]) -> None:
        """Adds the row of one epoch."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self._board.add_scalar(name.replace("_", "/", 1), value, row["step"])
        self._board.flush()

    def _rewrite(self) -> None:
        partial_file = self.path.with_suffix(".tmp")
        partial_file.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        os.replace(partial_file, self.path)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()


def read_log(directory: Path) -> list[dict[str, Any]]:
    """The rows of a run, oldest first; a last line that was cut off is left out.

    Raises:
        FileNotFoundError: the folder holds no log.
    """
    path = directory / "log.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{directory} holds no run: it has no log.jsonl")
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
