"""How fast does the single layer 784-10 train on Poisson-coded digits: spikejax against SpikingJelly and plain PyTorch.

The network and the training are those of SpikingJelly's example `lif_fc_mnist`: linear layer without bias, LIF
with tau = 2, hard reset and ATan(2), T = 100, batches of 64, squared error of the firing rates, Adam at 1e-3. All is
float32.

    python benchmarks/train_mnist.py                                  # random images; writes results/train_mnist.json
    python benchmarks/train_mnist.py --data PATH                      # MNIST from an npz file or its folder
    python benchmarks/train_mnist.py --tiny                           # shows only that it works
    python benchmarks/train_mnist.py --table results/train_mnist.json # the table of a result, in Markdown
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _harness import Disturbance, Worker, WorkerError, environment, interleave, serve, start_workers
from _options import parse, parser
from _report import describe, markdown, publish

STEPS = 100
BATCH_SIZE = 64
NON_ZERO = 0.19
"""Share of the pixels of MNIST that are not 0."""
CHECKED = 4
"""Images in the check. Over a whole batch a gradient sums 6400 products, and with their order alone float32 differs by
2e-6."""
TOLERANCE = 1e-6
"""Largest difference of two gradients, relative to the largest gradient."""
COMMITTED = Path(__file__).parent / "results" / "train_mnist.json"
LABELS = {
    "spikejax": "spikejax",
    "spikingjelly_s": "SpikingJelly, step by step (as documented)",
    "spikingjelly_m": "SpikingJelly, multi-step",
    "torch": "PyTorch by hand",
}
SUBJECT = "spikejax"


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: how often each implementation is timed.
        steps: training steps a round.
        threads: threads that each may use.
        warm_up: training steps before the first round, the very first apart.
        pause: seconds before each timing.
        images: random images, where MNIST is not given.
    """

    rounds: int
    steps: int
    threads: int
    warm_up: int = 5
    pause: float = 0.3
    images: int = 60_000


def build(name: str, data: Path) -> Any:
    """The implementation `name`; imports its framework only."""
    if name == "spikejax":
        from _mnist_spikejax import Spikejax

        return Spikejax(data, STEPS, BATCH_SIZE)
    import _mnist_torch

    kinds = {"spikingjelly_s": "StepByStep", "spikingjelly_m": "MultiStep", "torch": "ByHand"}
    return getattr(_mnist_torch, kinds[name])(data, STEPS, BATCH_SIZE)


def load_images(path: Path | None, count: int, rng: np.random.Generator) -> tuple[str, np.ndarray, np.ndarray]:
    """Training images uint8 [n, 28, 28] and labels [n]: MNIST, or `count` random ones; and in words which."""
    if path is not None:
        from spikejax.datasets import load_mnist

        data = load_mnist(path)
        return f"MNIST, {len(data.x_train)} images", data.x_train[..., 0], data.y_train
    pixels = (255 * np.sqrt(rng.random((count, 28, 28), np.float32))).astype(np.uint8)
    pixels[rng.random(pixels.shape, np.float32) >= NON_ZERO] = 0
    return f"{count} random images, {NON_ZERO:.0%} of the pixels not 0", pixels, rng.integers(0, 10, count)


def check_equality(workers: dict[str, Worker], images: np.ndarray, labels: np.ndarray, folder: Path) -> dict[str, Any]:
    """Gives all of them the same weights and Poisson spikes, and compares their output spikes and gradients.

    The weights are multiples of 2^-12, so that float32 adds them without rounding in whatever order, and no spike
    depends on it.

    Raises:
        SystemExit: they differ, or the neurons hardly fire, or hardly rest, so that it shows nothing.
    """
    rng = np.random.default_rng(1)
    probability = images[:CHECKED].reshape(CHECKED, -1) / np.float32(255)
    inputs = (rng.random((STEPS, *probability.shape), np.float32) < probability).astype(np.float32)
    weights = (rng.integers(-1000, 1050, (784, 10)) / 4096).astype(np.float32)
    np.savez(folder / "inputs.npz", inputs=inputs, weights=weights, labels=labels[:CHECKED].astype(np.int64))
    answers = {}
    for name, worker in workers.items():
        worker.call("check", path=str(folder / "inputs.npz"), out=str(folder / f"{name}.npz"))
        answers[name] = np.load(folder / f"{name}.npz")
    subject = answers[SUBJECT]
    rate, largest = subject["spikes"].mean(), np.abs(subject["gradient"]).max()
    if not 0.05 < rate < 0.95:
        sys.exit(f"The check shows nothing: the neurons fire at {rate:.1%} of the steps.")
    errors = {}
    for name, other in answers.items():
        if not np.array_equal(subject["spikes"], other["spikes"]):
            unequal = np.mean(subject["spikes"] != other["spikes"])
            sys.exit(f"{LABELS[name]} and {LABELS[SUBJECT]} differ in {unequal:.2%} of the spikes: nothing was timed.")
        errors[name] = float(np.abs(subject["gradient"] - other["gradient"]).max() / largest)
        if not errors[name] <= TOLERANCE:
            sys.exit(f"The gradients of {LABELS[name]} differ by {errors[name]:.1e} of the largest: nothing was timed.")
    return {"spikes": int(subject["spikes"].sum()), "firing_rate": round(float(rate), 4), "gradient_errors": errors}


def time_alternately(commands: dict[str, list[str]], size: Size) -> tuple[dict[str, dict[str, Any]], float]:
    """Times all implementations, in fresh processes, so that the check counts for nobody's memory.

    Returns:
        The figures of each, and the share of the CPUs that other processes took meanwhile.
    """
    with start_workers(commands, size.threads) as workers:
        first = {name: worker.call("start") for name, worker in workers.items()}
        for worker in workers.values():
            worker.call("train", steps=size.warm_up)
        answers, disturbance = [], Disturbance(workers)
        for answer in interleave(workers, size.rounds, "train", pause=size.pause, steps=size.steps):
            answers.append(answer)
            each = ", ".join(f"{name} {one.seconds / size.steps * 1e3:.1f}" for name, one in answer.items())
            print(f"Round {len(answers)} of {size.rounds}, ms a step: {each}")
        others = disturbance.share()
    figures = {}
    for name, label in LABELS.items():
        rounds = [answer[name] for answer in answers]
        figures[name] = {
            "label": label,
            "first_s": round(first[name].seconds, 3),
            "first_peak_mb": first[name].peak_mb,
            "peak_mb": max(one.peak_mb for one in (first[name], *rounds)),
            "seconds": [round(one.seconds, 5) for one in rounds],
        }
    return figures, round(others, 3)


def measure(data: Path | None, size: Size) -> dict[str, Any]:
    """Checks, then times all implementations on MNIST in `data`, or on random images; returns the result to write."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        words, images, labels = load_images(data, size.images, np.random.default_rng(0))
        np.savez(folder / "data.npz", images=images, labels=labels.astype(np.int64))
        worker = [sys.executable, str(Path(__file__).resolve()), "--images", str(folder / "data.npz"), "--worker"]
        commands = {name: [*worker, name] for name in LABELS}
        with start_workers(commands, size.threads) as workers:
            equality = check_equality(workers, images, labels, folder)
        print(f"Equal: {equality['spikes']} spikes, gradients to {max(equality['gradient_errors'].values()):.0e}")
        figures, others = time_alternately(commands, size)
    return {
        "benchmark": "train_mnist",
        "subject": SUBJECT,
        "unit": "samples/s",
        "work": size.steps * BATCH_SIZE,
        "settings": {
            "data": words,
            "time_steps": STEPS,
            "batch_size": BATCH_SIZE,
            "threads": size.threads,
            "rounds": size.rounds,
            "training_steps_a_round": size.steps,
            "training_steps_before": size.warm_up + 1,
            "environment": environment(size.threads),
        },
        **describe(("spikejax", "jax", "jaxlib", "flax", "optax", "numpy", "torch", "spikingjelly")),
        "others": others,
        "equality": equality,
        "implementations": figures,
    }


def read_options() -> argparse.Namespace:
    """The command line."""
    arguments = parser(__doc__ or "", "train_mnist", rounds=7, threads=2)
    arguments.add_argument("--data", type=Path, help="MNIST, an npz file or its folder (default: random images)")
    arguments.add_argument("--steps", type=int, default=50, help="training steps a round")
    arguments.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    options = parse(arguments, COMMITTED)
    if options.steps < 1:
        arguments.error(f"--steps must be at least 1, got {options.steps}")
    return options


def main() -> None:
    """Runs as parent, as worker, or prints a table."""
    options = read_options()
    if options.worker:
        serve(lambda: build(options.worker, options.images))
        return
    if options.table:
        print(markdown(json.loads(options.table.read_text())))
        return
    size = Size(options.rounds, options.steps, options.threads)
    if options.tiny:
        size = Size(rounds=2, steps=2, threads=1, warm_up=1, pause=0.0, images=6400)
    try:
        result = measure(options.data, size)
    except (FileNotFoundError, ValueError, WorkerError) as error:
        sys.exit(str(error))
    publish(result, options.out)


if __name__ == "__main__":
    main()
