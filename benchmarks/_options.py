"""The command line that all benchmarks share."""

import argparse
import os
from pathlib import Path

from _report import choose_file


def parser(doc: str, name: str, *, rounds: int, threads: int) -> argparse.ArgumentParser:
    """The options that every benchmark has.

    Args:
        doc: docstring of the script; its first line is the question.
        name: of the benchmark.
        rounds: default of `--rounds`.
        threads: default of `--threads`, where there are as many CPUs.
    """
    arguments = argparse.ArgumentParser(description=doc.splitlines()[0])
    cpus = len(os.sched_getaffinity(0))
    arguments.add_argument("--rounds", type=int, default=rounds, help="how often each is timed")
    arguments.add_argument("--threads", type=int, default=min(threads, cpus), help="threads that each may use")
    arguments.add_argument("--out", type=Path, help=f"where to write the result (default: results/{name}.json)")
    arguments.add_argument("--tiny", action="store_true", help="shows only that it works; writes only to --out")
    arguments.add_argument("--table", type=Path, help="print the tables of a result in Markdown, and measure nothing")
    arguments.add_argument("--worker", help=argparse.SUPPRESS)
    return arguments


def parse(arguments: argparse.ArgumentParser, committed: Path) -> argparse.Namespace:
    """Reads the command line, and settles where the result goes.

    Args:
        arguments: what `parser` gave, with whatever the benchmark has added.
        committed: the file with the committed result.
    """
    options = arguments.parse_args()
    try:
        options.out = choose_file(options.out, committed, tiny=options.tiny or bool(getattr(options, "only", "")))
    except ValueError as error:
        arguments.error(str(error))
    if options.rounds < 1:
        arguments.error(f"--rounds must be at least 1, got {options.rounds}")
    return options
