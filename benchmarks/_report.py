"""What a benchmark says: statistics, the table, and the JSON file with the circumstances of the measurement."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _pivot import BRIEF, notes, pivot
from _spread import Spread, spread

QUIET = 0.05
"""Share of the CPUs that others may take while it is measured."""


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
            "ratio": spread(time / s for time, s in zip(one["seconds"], subject, strict=True)),
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


def tables(result: dict[str, Any], *, brief: bool = False) -> dict[str, list[list[str]]]:
    """The tables of a result, by title: the one of `table`, or where there are `measurements` those of `pivot`."""
    if "measurements" not in result:
        return {result["benchmark"]: table(result)}
    groups = dict.fromkeys(measurement["group"] for measurement in result["measurements"])
    return {
        f"{group}: {figure}": rows
        for group in groups
        for figure, rows in pivot(result, group).items()
        if rows and (figure in BRIEF or not brief)
    }


def markdown(result: dict[str, Any]) -> str:
    """The tables in Markdown, with a line on where they were measured."""
    every_table, lines = tables(result), []
    for title, (head, *rows) in every_table.items():
        rule = ["---", *["---:"] * (len(head) - 1)]
        lines += [f"{title}", ""] if len(every_table) > 1 else []
        lines += [*(f"| {' | '.join(row)} |" for row in (head, rule, *rows)), ""]
    return "\n".join([*lines, *notes(result), _circumstances(result)])


def _circumstances(result: dict[str, Any]) -> str:
    """One line on what was measured where."""
    settings, machine = result["settings"], result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    where = f"{machine['gpu']}, {machine['cpu']}" if "gpu" in machine else machine["cpu"]
    data = f" {settings['data']};" if "data" in settings else ""
    return (
        f"{where}, threads: {settings['threads']}; {settings['rounds']} rounds;{data} "
        f"{versions}; commit {result['commit']}; other processes took {result['others']:.0%} of the CPUs."
    )


def show(result: dict[str, Any]) -> None:
    """Prints the tables to the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if os.isatty(1) else 160)
    for title, (head, *rows) in tables(result, brief=True).items():
        grid = Table(title=title)
        for index, column in enumerate(head):
            grid.add_column(column, justify="right" if index else "left")
        for row in rows:
            grid.add_row(*row)
        console.print(grid)
    console.print("\n".join([*notes(result), _circumstances(result)]), highlight=False, markup=False)


def publish(result: dict[str, Any], out: Path | None) -> None:
    """Prints a result, says whether it may be believed, and writes it to `out`."""
    show(result)
    if result["others"] > QUIET:
        print(f"Other processes took {result['others']:.0%} of the CPUs: publish no figure of this run.")
    if out:
        write(result, out)
        print(f"Written to {out}")


def describe(packages: Sequence[str], device: str = "cpu") -> dict[str, Any]:
    """The circumstances of a measurement: machine, versions of Python and of the `packages` there are, commit."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = "-modified" if git("status", "--porcelain", "--", "../src", ".", ":!results") else ""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    machine = {"cpu": models[0] if models else platform.machine(), "cpus": os.cpu_count()}
    if device == "gpu":
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        machine["gpu"] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    installed = {name: version(name) for name in packages if find_spec(name)}
    return {
        "machine": machine | {"system": platform.platform()},
        "versions": {"python": platform.python_version(), **installed},
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
