"""A comparison: implementations that solve the same problem, checked against each other and then timed alternately.

The builder of an implementation is a function in a module of its own, `problem -> OnJax | OnTorch`; it runs in a
worker, within a `Server`. All else here runs in the parent.
"""

import importlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _harness import Answer, Worker, interleave, release_memory

TOLERANCE = 1e-6
"""Largest difference of two gradients, relative to the largest gradient."""

CHECKED = 1 << 24
"""Elements of an array that are compared, at most."""


class Entry(NamedTuple):
    """Who takes part.

    Attributes:
        label: its name in tables.
        builder: "module.function".
        options: added to the problem.
        differs: how its neuron differs from the subject's; if at all, its results are not compared.
        needs: packages that must be there, first the library itself; it is left out where one is missing.
        device: "gpu" for who runs there only.
        tiny: whether it takes part in tiny runs.
    """

    label: str
    builder: str
    options: Mapping[str, Any] = {}
    differs: str = ""
    needs: Sequence[str] = ()
    device: str = ""
    tiny: bool = True


class Case(NamedTuple):
    """What is to be solved.

    Attributes:
        group: the table it belongs to.
        title: its row there.
        problem: what the builders are given.
        entries: names of those who take part; the first is the subject, which the others are compared with.
        threads: threads that each may use, where it is not for the user to say.
        tolerance: largest difference of two gradients, relative to the largest.
        compared: whether results are compared at all.
        unequal: largest share of the outputs that may differ.
    """

    group: str
    title: str
    problem: Mapping[str, Any]
    entries: Sequence[str]
    threads: int | None = None
    tolerance: float = TOLERANCE
    compared: bool = True
    unequal: float = 0.0


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: how often each implementation is timed.
        seconds: that one measurement takes, at least; it is one call at least.
        pause: seconds before each measurement.
    """

    rounds: int
    seconds: float = 0.1
    pause: float = 0.05


class Server:
    """What a worker serves: implementations, one at a time for each name.

    Args:
        entries: who they are.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.builders = {}
        for name, entry in entries.items():
            module, _, function = entry.builder.rpartition(".")
            for library in entry.needs[:1]:  # which builders import when they need it; it counts for nobody's memory
                importlib.import_module(library)
            self.builders[name] = getattr(importlib.import_module(module), function)
        self.ready, self.calls = {}, {}

    def prepare(self, name: str, problem: dict[str, Any]) -> dict[str, float]:
        """Builds, compiles and calls once; returns what is known then."""
        self.drop(name)
        self.ready[name], self.calls[name] = self.builders[name](problem), 1
        return self.ready[name].first()

    def check(self, name: str, out: str) -> None:
        """Writes the results to the npz file `out`, of large arrays every so many-th element."""
        results = self.ready[name].results().items()
        np.savez(out, **{key: value.reshape(-1)[:: value.size // CHECKED + 1] for key, value in results})

    def calibrate(self, name: str, calls: int) -> None:
        """Sets the calls of one measurement."""
        self.calls[name] = calls

    def run(self, name: str) -> int:
        """One measurement; returns its calls."""
        self.ready[name].run(self.calls[name])
        return self.calls[name]

    def drop(self, name: str) -> None:
        """Forgets an implementation, and its memory."""
        self.ready.pop(name, None)
        release_memory()


class Remote(NamedTuple):
    """An implementation, and the worker that it lives in."""

    worker: Worker
    name: str

    def call(self, method: str, **arguments: Any) -> Answer:
        """Calls `method` of its server and waits for the answer."""
        return self.worker.call(method, name=self.name, **arguments)


def compare(case: Case, entries: Mapping[str, Entry], remotes: Mapping[str, Remote], size: Size) -> dict[str, Any]:
    """Has every implementation solve one case: all are prepared, checked, then timed."""
    figures: dict[str, dict[str, Any]] = {}
    for name, remote in remotes.items():
        facts = remote.call("prepare", problem=dict(case.problem) | dict(entries[name].options)).value
        figures[name] = {"label": entries[name].label} | {key: round(value, 4) for key, value in facts.items()}
        if entries[name].differs:
            figures[name]["differs"] = entries[name].differs
    errors = {}
    if case.compared:
        with tempfile.TemporaryDirectory() as folder:
            errors = check_equality(case, entries, remotes, Path(folder))
    for remote in remotes.values():
        seconds = min(remote.call("run").seconds for _ in range(2))
        remote.call("calibrate", calls=max(1, min(500, round(size.seconds / seconds))))
    answers = list(interleave(remotes, size.rounds, "run", pause=size.pause))
    for name, remote in remotes.items():
        measured = [answer[name] for answer in answers]
        figures[name] |= errors.get(name, {})
        figures[name] |= {"peak_mb": max(one.peak_mb for one in measured), "calls": measured[0].value}
        figures[name]["faults"] = sorted(one.faults // one.value for one in measured)[len(measured) // 2]
        figures[name]["seconds"] = [float(f"{one.seconds / one.value:.4g}") for one in measured]
        remote.call("drop")
    return {
        "group": case.group,
        "title": case.title,
        "subject": case.entries[0],
        "problem": dict(case.problem),
        "implementations": figures,
    }


def check_equality(
    case: Case, entries: Mapping[str, Entry], remotes: Mapping[str, Remote], folder: Path
) -> dict[str, dict[str, float]]:
    """How far the results of those who solve the very same problem are from the subject's.

    Raises:
        SystemExit: further than the case allows, or the neurons hardly fire, or hardly rest, so that it shows nothing.
    """
    names = [name for name in remotes if not entries[name].differs]
    for name in names:
        remotes[name].call("check", out=str(folder / f"{name}.npz"))
    subject = dict(np.load(folder / f"{names[0]}.npz"))
    rate = np.mean(subject["outputs"] != 0)
    if rate < 0.02:
        sys.exit(f"{case.group}, {case.title}: the check shows nothing, {rate:.1%} of the outputs are not 0.")
    errors = {}
    for name in names[1:]:
        results = np.load(folder / f"{name}.npz")
        unequal = np.mean(results["outputs"] != subject["outputs"])
        error = max((_error(results[key], subject[key]) for key in subject if key != "outputs"), default=0.0)
        if unequal > case.unequal or not error <= case.tolerance:
            sys.exit(
                f"{case.group}, {case.title}: {entries[name].label} and {entries[names[0]].label} differ in "
                f"{unequal:.1e} of the outputs, and by {error:.1e} of the largest gradient: nothing was timed."
            )
        errors[name] = {"gradient_error": float(f"{error:.2g}")} if len(subject) > 1 else {}
    return errors


def _error(values: np.ndarray, subject: np.ndarray) -> float:
    """Largest difference, relative to the largest value, where that is not 0."""
    return float(np.abs(values - subject).max() / (np.abs(subject).max() or 1.0))
