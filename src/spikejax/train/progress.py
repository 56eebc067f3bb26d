"""Progress on the terminal."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """A bar an epoch with loss, accuracy and speed, and for each finished epoch a line: loss, accuracy, speed.

    If the output is not a terminal, only the lines are written.

    Args:
        epochs: epochs in all.
        console: the console to write to; None takes the standard output.
    """

    def __init__(self, epochs: int, console: Console | None = None) -> None:
        self.epochs = epochs
        self.console = console or Console(highlight=False)
        columns = (
            TextColumn("epoch {task.fields[epoch]:>3}/" + str(epochs)),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  accuracy {task.fields[accuracy]:6.2%}"),
            TextColumn("{task.fields[speed]:,.0f} samples/s"),
            TimeRemainingColumn(),
        )
        hidden = not self.console.is_terminal
        self._progress = Progress(*columns, console=self.console, disable=hidden, transient=True)
        self._task = self._progress.add_task("", total=None, epoch=1, loss=0.0, accuracy=0.0, speed=0.0)

    def batches(self, epoch: int, done: int, total: int, loss: float, accuracy: float, speed: float) -> None:
        """Moves the bar."""
        fields = {"epoch": epoch, "loss": loss, "accuracy": accuracy, "speed": speed}
        self._progress.update(self._task, completed=done, total=total, **fields)

    def epoch(self, row: dict[str, Any]) -> None:
        """Writes the line of a finished epoch."""
        self.console.print(
            f"epoch {row['epoch']:>3}/{self.epochs}  "
            f"train {row['train_loss']:.4f} {row['train_accuracy']:6.2%}  "
            f"test {row['test_loss']:.4f} {row['test_accuracy']:6.2%}  "
            f"{row['samples_per_second']:,.0f} samples/s",
            soft_wrap=True,
        )

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
