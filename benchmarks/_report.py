"""What a benchmark says: statistics, the table, and the JSON file with the circumstances of the measurement."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Median and quartiles of one value or more.

    Raises:
        ValueError: there is no value.
    """
    values = sorted(values)
    if not values:
        raise ValueError("`values` must hold at least one value, got none")
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def summarise(result: dict[str, Any]) -> dict[str, dict[str, Spread]]:
    """Speed of every implementation, and how many times faster the subject is.

    Args:
        result: `work` (units a round), `subject` (a name), and under `implementations` for each name the `seconds`
            of every round.

    Returns:
        For each name the `speed`, in units per second, and the `ratio`: the speed of the subject over its own, taken
        within each round, so that what slows a whole round down cancels.
    """
    everyone = result["implementations"]
    subject = everyone[result["subject"]]["seconds"]
    return {
        name: {
            "speed": spread(result["work"] / s for s in one["seconds"]),
            "ratio": spread(own / s for own, s in zip(one["seconds"], subject, strict=True)),
        }
        for name, one in everyone.items()
    }


def table(result: dict[str, Any]) -> list[list[str]]:
    """The figures as rows of text, the head first; see `summarise` for what `result` holds.

    Each implementation also has a `label`, its `first_s` (seconds until the first call was done: building,
    compiling) and its `peak_mb`.
    """
    subject = result["implementations"][result["subject"]]["label"]
    rows = [["", result["unit"], "quartiles", f"{subject} is faster", "quartiles", "first step, s", "memory, MB"]]
    for name, figures in summarise(result).items():
        one, speed, ratio = result["implementations"][name], figures["speed"], figures["ratio"]
        ratios = [f"{ratio.median:.2f}x", f"{ratio.low:.2f} to {ratio.high:.2f}"]
        rows.append(
            [
                one["label"],
                f"{speed.median:.0f}",
                f"{speed.low:.0f} to {speed.high:.0f}",
                *(["", ""] if name == result["subject"] else ratios),
                f"{one['first_s']:.2f}",
                f"{one['peak_mb']:.0f}",
            ]
        )
    return rows


def markdown(result: dict[str, Any]) -> str:
    """The table in Markdown, with a line on where it was measured."""
    head, *rows = table(result)
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
    return "\n".join([*lines, "", _circumstances(result)])


def _circumstances(result: dict[str, Any]) -> str:
    """One line on what was measured where."""
    settings, machine = result["settings"], result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return (
        f"{machine['cpu']}, threads: {settings['threads']}; {settings['rounds']} rounds; {settings['data']}; "
        f"{versions}; commit {result['commit']}; other processes took {result['others']:.0%} of the CPUs."
    )


def show(result: dict[str, Any]) -> None:
    """Prints the table to the terminal."""
    from rich.console import Console
    from rich.table import Table

    head, *rows = table(result)
    grid = Table(title=result["benchmark"], caption=_circumstances(result), caption_justify="left")
    for index, column in enumerate(head):
        grid.add_column(column, justify="right" if index else "left")
    for row in rows:
        grid.add_row(*row)
    Console(width=None if os.isatty(1) else 120).print(grid)


def describe(packages: Sequence[str]) -> dict[str, Any]:
    """The circumstances of a measurement: machine, versions of Python and of `packages`, commit."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = "-modified" if git("status", "--porcelain", "--", "../src", ".", ":!results") else ""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return {
        "machine": {
            "cpu": models[0] if models else platform.machine(),
            "cpus": os.cpu_count(),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "commit": (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed,
    }


def choose_file(out: Path | None, committed: Path, *, tiny: bool) -> Path | None:
    """Where the result goes: `out`, or else the committed file; None (nowhere) for a tiny run without `out`.

    Raises:
        ValueError: a tiny run would overwrite the committed result.
    """
    if not tiny:
        return out or committed
    if out is not None and out.resolve() == committed.resolve():
        raise ValueError(f"`--out` {out} holds the committed result, which a tiny run must not replace: name another")
    return out


def write(result: dict[str, Any], path: Path) -> None:
    """Writes a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
