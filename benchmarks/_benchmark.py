"""A benchmark made of comparisons: names the implementations of each, `main` does the rest."""

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from _comparison import Case, Entry, Remote, Server, Size, compare
from _harness import Disturbance, Worker, WorkerError, environment, serve, start_workers
from _options import parse, parser
from _report import describe, markdown, publish, spread

TINY = Size(rounds=2, seconds=0.0, pause=0.0)


class Benchmark(NamedTuple):
    """One question.

    Attributes:
        file: of the script.
        doc: its docstring.
        entries: who can take part, by name.
        cases: what is to be solved, `(tiny, device)` to cases; ascending in size where they share their threads.
        packages: whose versions are written down.
        conclude: adds to the result what follows from its figures.
    """

    file: str
    doc: str
    entries: Mapping[str, Entry]
    cases: Callable[[bool, str], Sequence[Case]]
    packages: Sequence[str]
    conclude: Callable[[dict[str, Any]], None] = lambda result: None


def main(benchmark: Benchmark) -> None:
    """Runs a benchmark as parent, as worker, or prints the tables of a result."""
    name = Path(benchmark.file).stem
    arguments = parser(benchmark.doc, name, rounds=7, threads=1)
    arguments.add_argument(
        "--device", choices=("cpu", "gpu"), default=_device(), help="default: a GPU where there is one"
    )
    arguments.add_argument("--only", help="only cases whose table or row matches this expression; writes only to --out")
    options = parse(arguments, Path(benchmark.file).parent / "results" / f"{name}.json")
    if options.worker:
        serve(lambda: Server({name: benchmark.entries[name] for name in options.worker.split(",")}))
        return
    if options.table:
        print(markdown(json.loads(options.table.read_text())))
        return
    os.environ["JAX_PLATFORMS"] = "cpu"  # should the parent ask spikejax for something: a GPU is for the workers
    size = TINY if options.tiny else Size(options.rounds)
    try:
        cases = benchmark.cases(options.tiny, options.device)
        selected = [case for case in cases if re.search(options.only or "", f"{case.group}, {case.title}")]
        result = measure(benchmark, selected, size, tiny=options.tiny, threads=options.threads, device=options.device)
    except (ValueError, WorkerError) as error:
        sys.exit(str(error))
    if not options.only:
        benchmark.conclude(result)
    publish(result, options.out)


@contextmanager
def open_remotes(
    file: str, groups: Sequence[Sequence[str]], threads: int, device: str, *, apart: bool
) -> Iterator[tuple[dict[str, Worker], dict[str, Remote]]]:
    """Starts a worker for each group of names, and yields the workers and a remote implementation for each name."""
    commands = {}
    for names in groups:
        commands[",".join(names)] = [sys.executable, str(Path(file).resolve()), "--worker", ",".join(names)]
    with start_workers(commands, threads, device, apart=apart) as workers:
        yield workers, {name: Remote(workers[",".join(names)], name) for names in groups for name in names}


def missing(entry: Entry, *, tiny: bool, device: str) -> str:
    """Why an entry takes no part, or nothing."""
    absent = [package for package in entry.needs if importlib.util.find_spec(package) is None]
    if absent:
        return f"{', '.join(absent)} not installed"
    if entry.device not in ("", device):
        return f"runs on a {entry.device} only"
    return "left out of tiny runs" if tiny and not entry.tiny else ""


def measure(
    benchmark: Benchmark, cases: Sequence[Case], size: Size, *, tiny: bool, threads: int, device: str
) -> dict[str, Any]:
    """Checks and times the cases; returns the result to write."""
    entries = benchmark.entries
    reasons = {name: missing(entry, tiny=tiny, device=device) for name, entry in entries.items()}
    present = {name for name, reason in reasons.items() if not reason}
    measurements, others = [], []
    for count, group in groupby(cases, key=lambda case: case.threads or threads):
        sharing = list(group)
        names = [name for name in entries if name in present and any(name in case.entries for case in sharing)]
        # Processes of their own, for thread pools and memory; a tiny run, which shows no figures, saves their start.
        groups = _by_module(names, entries) if tiny else [[name] for name in names]
        with open_remotes(benchmark.file, groups, count, device, apart=tiny) as (workers, remotes):
            disturbance = Disturbance(workers)
            for case in sharing:
                taking_part = {name: remotes[name] for name in case.entries if name in present}
                measurements.append(compare(case, entries, taking_part, size) | {"threads": count})
                print(_line(measurements[-1]), flush=True)
            others.append(disturbance.share())
    return {
        "benchmark": Path(benchmark.file).stem,
        "settings": {"threads": threads, "rounds": size.rounds, "environment": environment(threads, device)},
        **describe(benchmark.packages, device),
        "others": round(max(others), 3),
        "absent": {entries[name].label: reason for name, reason in reasons.items() if reason},
        "measurements": measurements,
    }


def _by_module(names: Sequence[str], entries: Mapping[str, Entry]) -> list[list[str]]:
    """The names, those whose builders share a module together."""

    def module(name: str) -> str:
        return entries[name].builder.partition(".")[0]

    return [list(group) for _, group in groupby(sorted(names, key=module), module)]


def _device() -> str:
    """The kind of device that this machine has."""
    return "gpu" if Path("/dev/nvidia0").exists() else "cpu"


def _line(measurement: dict[str, Any]) -> str:
    """A measurement in one line."""
    each = measurement["implementations"].items()
    times = ", ".join(f"{name} {spread(one['seconds']).median * 1e3:.3g}" for name, one in each)
    return f"{measurement['group']}, {measurement['title']}, ms: {times}"
