"""Replays deliberate faults: each is patched into a copy of the source, and the test named for it must fail.

    python scripts/replay_faults.py                    # all faults, one after another
    python scripts/replay_faults.py kernels scan       # of some packages
    python scripts/replay_faults.py heaviside-strict   # one by name
    python scripts/replay_faults.py --jobs 4

The faults stand in `tests/faults/`, a file a package. First every named test must pass without a fault. The exit status
is 0 if all faults are caught, else 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
FAULTS = ROOT / "tests" / "faults"
PASSED, FAILED = 0, 1
"""Exit statuses of pytest; others say that it ran no test."""


@dataclass(frozen=True)
class Fault:
    """A line of the source as it stands, a wrong one in its place, and the test that must fail with it."""

    package: str
    name: str
    file: str
    before: str
    after: str
    test: str
    why: str

    @property
    def path(self) -> Path:
        """Place of the file below `src`."""
        return Path("spikejax", self.file)

    def patched(self) -> str:
        """The source with the fault.

        Raises:
            ValueError: `before` does not stand there exactly once.
        """
        source = (SOURCE / self.path).read_text("utf-8")
        count = source.count(self.before)
        if count != 1:
            raise ValueError(
                f"fault {self.name}: `before` stands {count} times in {self.path}, not once: {self.before}"
            )
        return source.replace(self.before, self.after)


def read_faults() -> list[Fault]:
    """All faults, package by package."""
    files = sorted(FAULTS.glob("*.toml"))
    return [
        Fault(package=file.stem, **row) for file in files for row in tomllib.loads(file.read_text("utf-8"))["fault"]
    ]


def select(faults: Iterable[Fault], names: list[str]) -> list[Fault]:
    """The faults of these names or packages; all without a name.

    Raises:
        ValueError: a name is neither a fault's nor a package's.
    """
    faults = list(faults)
    unknown = sorted(set(names) - {label for fault in faults for label in (fault.name, fault.package)})
    if unknown:
        raise ValueError(f"no fault and no package is named {', '.join(unknown)}")
    return [fault for fault in faults if not names or {fault.name, fault.package} & set(names)]


def run_tests(tests: Iterable[str], source: Path, timeout: float | None = None) -> tuple[int | None, str]:
    """Exit status of pytest, None after a timeout, and what it printed, with spikejax imported from `source`."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "--tb=short", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout + done.stderr


def replay(fault: Fault, timeout: float) -> bool:
    """Runs the fault's test on a faulty copy of the source, prints what came of it; True if the test failed."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="spikejax-fault-") as folder:
        copy = Path(folder, "src")
        shutil.copytree(SOURCE, copy)
        (copy / fault.path).write_text(fault.patched(), "utf-8")
        status, output = run_tests([fault.test], copy, timeout)
    verdicts = {PASSED: "SURVIVED", FAILED: "caught", None: "TIMED OUT"}
    verdict = verdicts.get(status, f"NO TEST RAN (exit status {status})")
    error = " ".join(line[1:].strip() for line in output.splitlines() if line.startswith("E "))
    seconds = time.perf_counter() - started
    print(f"{verdict:9} {fault.package:10} {fault.name:24} {seconds:4.0f} s  {error[:90]}", flush=True)
    if status not in (PASSED, FAILED):
        print(output, flush=True)
    return status == FAILED


def main() -> int:
    """Replays the faults chosen on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="faults or packages; default all")
    parser.add_argument("--jobs", type=int, default=1, help="faults at a time")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a fault")
    options = parser.parse_args()
    faults = select(read_faults(), options.names)
    for fault in faults:
        fault.patched()
    tests = dict.fromkeys(fault.test for fault in faults)
    print(f"{len(faults)} faults; their {len(tests)} tests without a fault ...", flush=True)
    status, output = run_tests(tests, SOURCE)
    if status != PASSED:
        print(output)
        print("a test does not pass without a fault: nothing was replayed")
        return 1
    with ThreadPoolExecutor(options.jobs) as pool:
        caught = sum(pool.map(lambda fault: replay(fault, options.timeout), faults))
    print(f"{caught} of {len(faults)} faults caught")
    return 0 if caught == len(faults) else 1


if __name__ == "__main__":
    sys.exit(main())
