"""How fast do networks train: spikejax against SpikingJelly in multi-step mode and a loop over PyTorch by hand.

Linear-LIF-Linear-LIF and a small convolutional network on images, forward and backward to all weights; and a training
step of the network 128-128-128-20 with T = 256 and batches of 256, as is customary for Spiking Heidelberg Digits, on
synthetic events. LIF with tau = 2, hard reset to 0 and ATan(2), no bias; all is float32.

    python benchmarks/network.py
    python benchmarks/network.py --tiny                # shows only that it works
    python benchmarks/network.py --table results/network.json
"""

import os

from _benchmark import Benchmark, main
from _comparison import Case, Entry

ENTRIES = {
    "spikejax": Entry("spikejax", "_networks_jax.spikejax", {"run": {}}),
    "spikes": Entry("spikejax, SpikeLinear", "_networks_jax.spikejax", {"run": {}, "linear": "SpikeLinear"}),
    "scan": Entry("plain lax.scan", "_networks_jax.spikejax", {"run": {"method": "scan"}, "whole": True}, tiny=False),
    "spikingjelly_m": Entry(
        "SpikingJelly, multi-step",
        "_networks_torch.by_problem",
        {"neurons": "spikingjelly"},
        needs=("spikingjelly",),
    ),
    "torch": Entry("PyTorch by hand", "_networks_torch.by_problem", {"neurons": "by hand"}),
}
LINEAR = {"shape": [64, 16, 512], "layers": [[512, 512], [512, 512]]}
CONVOLUTIONAL = {"image": [16, 28, 28, 1], "steps": 8, "layers": [[3, 3, 1, 16], [3, 3, 16, 16], [784, 10]]}
SPEECH = {"shape": [256, 256, 128], "layers": [[128, 128], [128, 128], [128, 20]], "rate": 0.1}
TOLERANCE = 1e-5
"""Of a weight's gradient: a sum over all steps and samples, which each adds in an order of its own."""


def cases(tiny: bool, device: str) -> list[Case]:
    """Each network with one thread, the linear one with two as well, where there are as many CPUs."""
    linear, convolutional, speech = LINEAR, CONVOLUTIONAL, SPEECH
    if tiny:
        linear = {"shape": [6, 4, 32], "layers": [[32, 32], [32, 16]]}
        convolutional = {"image": [2, 8, 8, 1], "steps": 3, "layers": [[3, 3, 1, 4], [3, 3, 4, 4], [16, 10]]}
        speech = {"shape": [12, 8, 16], "layers": [[16, 16], [16, 16], [16, 20]], "rate": 0.1}
    rows = [
        Case("networks", title, problem, tuple(ENTRIES), threads=threads, tolerance=TOLERANCE)
        for threads, title, problem in (
            (1, "Linear-LIF-Linear-LIF, 1 thread", linear),
            (1, "convolutional, 1 thread", convolutional),
            (1, "128-128-128-20, a training step, 1 thread", speech),
            (2, "Linear-LIF-Linear-LIF, 2 threads", linear),
            (2, "128-128-128-20, a training step, 2 threads", speech),
        )
    ]
    cpus = 1 if tiny else len(os.sched_getaffinity(0))
    return [case for case in rows if (case.threads or 1) <= cpus]


PACKAGES = ("spikejax", "jax", "jaxlib", "flax", "numpy", "torch", "spikingjelly")

if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", ENTRIES, cases, PACKAGES))
