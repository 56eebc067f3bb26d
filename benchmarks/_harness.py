"""Implementations in processes of their own, timed alternately: their thread pools and their memory stay apart.

A benchmark script is parent and worker at once. The parent starts itself once for every implementation, with
`--worker NAME`; the worker builds its implementation and hands it to `serve`, which calls its methods as the parent
asks over stdin and answers over stdout, one line of JSON each. Linux only: it reads `/proc`.
"""

import ctypes
import gc
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

MALLOC_THRESHOLD = 1 << 32
"""Bytes up to which glibc keeps freed memory. By default it returns large arrays to the kernel and takes page faults
for them again at every step, which costs the frameworks differently and says nothing about them."""


class Answer(NamedTuple):
    """What a call gave.

    Attributes:
        value: what the method returned.
        seconds: how long it took, in the worker.
        peak_mb: largest resident memory during the call, above that after the implementation was built, in MB.
        faults: how often memory had to be fetched from the system.
    """

    value: Any
    seconds: float
    peak_mb: float
    faults: int


class Callee(Protocol):
    """Who can be called: a worker, or one of the implementations in it."""

    def call(self, method: str, **arguments: Any) -> Answer:
        """Calls `method` and waits for the answer."""
        ...


class WorkerError(RuntimeError):
    """A worker failed; the message holds its traceback."""


def environment(threads: int, device: str = "cpu") -> dict[str, str]:
    """The environment variables that every worker gets, the same for all.

    Args:
        threads: threads that each may use.
        device: "cpu" or "gpu".
    """
    malloc = {f"MALLOC_{name}_THRESHOLD_": str(MALLOC_THRESHOLD) for name in ("MMAP", "TRIM")}
    malloc["MALLOC_ARENA_MAX"] = "1"  # the arenas of further threads return memory whatever the thresholds
    uncached = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "PYTHONWARNINGS": "ignore:dynamo_pgo"}  # which warns of it
    common = malloc | uncached | {"OMP_NUM_THREADS": str(threads)}
    if device == "cpu":  # PyTorch warns that Triton is missing, which a CPU does not need
        return common | {"TORCH_LOGS": "-torch._library", "JAX_PLATFORMS": "cpu"}
    # float32 as PyTorch has it, not TF32; and memory as it is needed, since all share the device.
    shared = {"JAX_DEFAULT_MATMUL_PRECISION": "float32", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return common | shared | {"JAX_PLATFORMS": "cuda"}


class Worker:
    """A process with one implementation, bound to as many CPUs as it may have threads.

    Args:
        name: of the implementation, for errors.
        command: the command line that ends in `serve`.
        threads: CPUs it may use, from 1 to those available.
        device: "cpu" or "gpu".
        first: of the CPUs available, the first that it may use.

    Raises:
        ValueError: `threads` out of range.
    """

    def __init__(self, name: str, command: Sequence[str], threads: int, device: str = "cpu", first: int = 0) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        if not 1 <= threads <= len(cpus):
            raise ValueError(f"`threads` must be from 1 to the {len(cpus)} CPUs available, got {threads}")
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment(threads, device),
        )
        first %= len(cpus)
        os.sched_setaffinity(self._process.pid, (cpus[first:] + cpus)[:threads])  # before it has imported anything

    def send(self, method: str, **arguments: Any) -> None:
        """Asks for a call of the implementation's `method`; its answer must be received before the next."""
        self._process.stdin.write(json.dumps([method, arguments]) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Answer:
        """The answer to what was sent.

        Raises:
            WorkerError: the method raised, or the process ended.
        """
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"the worker {self.name!r} ended with status {self._process.wait()} before it answered")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"the worker {self.name!r} failed:\n{answer['error']}")
        return Answer(**answer)

    def call(self, method: str, **arguments: Any) -> Answer:
        """Calls the implementation's `method` and waits for the answer.

        Raises:
            WorkerError: the method raised, or the process ended.
        """
        self.send(method, **arguments)
        return self.receive()

    def cpu_seconds(self) -> float:
        """CPU time that the process has used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@contextmanager
def start_workers(
    commands: Mapping[str, Sequence[str]], threads: int, device: str = "cpu", *, apart: bool = False
) -> Iterator[dict[str, Worker]]:
    """Starts one worker a command, all at once, and yields them when every implementation is built.

    Args:
        commands: the command line of each implementation, by name.
        threads: CPUs that each may use; they share the same ones, and work alternately.
        device: "cpu" or "gpu".
        apart: puts each on another CPU, which shortens the start and makes the timings worthless.

    Raises:
        WorkerError: an implementation could not be built.
    """
    with ExitStack() as stack:
        workers = {}
        for index, (name, command) in enumerate(commands.items()):
            workers[name] = Worker(name, command, threads, device, first=index if apart else 0)
            stack.callback(workers[name].close)
        for worker in workers.values():
            worker.receive()
        yield workers


def interleave(
    workers: Mapping[str, Callee], rounds: int, method: str, *, pause: float = 0.3, **arguments: Any
) -> Iterator[dict[str, Answer]]:
    """Calls `method` of every worker in turn, `rounds` times, and yields the answers of each round.

    What disturbs the machine for a while so meets all of them. Each round begins with another worker.

    Args:
        workers: who takes part.
        rounds: how often each is called.
        method: what is called; it must return only when its work is done.
        pause: seconds before each call, for the threads of the one before to fall asleep.
        arguments: given to `method`.
    """
    names = list(workers)
    for index in range(rounds):
        first = index % len(names)
        answers = {}
        for name in names[first:] + names[:first]:
            time.sleep(pause)
            answers[name] = workers[name].call(method, **arguments)
        yield {name: answers[name] for name in names}


class Disturbance:
    """How much of the machine others than the workers use, from here on.

    Args:
        workers: whose use does not count.
    """

    def __init__(self, workers: Mapping[str, Worker]) -> None:
        self._workers = workers
        self._start = time.perf_counter(), self._others()

    def share(self) -> float:
        """CPU time that others have used since the start, as a share of what all CPUs had to give."""
        started, before = self._start
        return (self._others() - before) / (time.perf_counter() - started) / (os.cpu_count() or 1)

    def _others(self) -> float:
        user, nice, system, _, _, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
        everyone = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
        return everyone - sum(worker.cpu_seconds() for worker in self._workers.values())


def serve(build: Callable[[], Any]) -> None:
    """Runs a worker: builds the implementation, then calls its methods as the parent asks, until stdin ends.

    Args:
        build: makes the implementation. What it imports and loads does not count as memory of the implementation.
    """
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # whatever libraries print must not get between the answers
        implementation, base = None, 0.0

        def answer(call: Callable[[], Any]) -> bool:
            Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
            faults, started = _faults(), time.perf_counter()
            try:
                value = call()
                seconds = time.perf_counter() - started
                message = {"value": value, "seconds": seconds, "faults": _faults() - faults}
                message["peak_mb"] = round(_memory_mb("VmHWM") - base, 1)
            except Exception:
                message = {"error": traceback.format_exc()}
            answers.write(json.dumps(message) + "\n")
            answers.flush()
            return "error" not in message

        def construct() -> None:
            nonlocal implementation
            implementation = build()

        if not answer(construct):
            return
        base = _memory_mb("VmRSS")
        for line in sys.stdin:
            method, arguments = json.loads(line)
            answer(lambda method=method, arguments=arguments: getattr(implementation, method)(**arguments))


def release_memory() -> None:
    """Gives back to the system what this process has freed, which `environment` otherwise keeps."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _faults() -> int:
    """Page faults of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _memory_mb(field: str) -> float:
    """A field of this process's memory: VmRSS now, VmHWM at its peak; in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(f"/proc/self/status has no {field}")
