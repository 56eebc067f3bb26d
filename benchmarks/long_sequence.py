"""What do long sequences cost: time and scratch memory of each way to train through thousands of steps.

Linear-LIF-Linear-LIF, forward and backward to the weights, T = 500, 1000 and 5000: all steps at once, in chunks, with
each chunk computed again in the backward pass (`remat=True`, also with chunks that divide T evenly), and by plain
scans. And a convolutional network whose image is shown at every step: given with `steps=T`, or repeated T times.

    python benchmarks/long_sequence.py
    python benchmarks/long_sequence.py --tiny          # shows only that it works
    python benchmarks/long_sequence.py --table results/long_sequence.json
"""

from _benchmark import Benchmark, main
from _comparison import Case, Entry

STEPS = (500, 1000, 5000)
IMAGE_STEPS = (10, 50)
WAYS = {
    "whole": Entry("all steps at once (default)", "_networks_jax.spikejax", {"run": {}}),
    "chunks": Entry("chunk=10", "_networks_jax.spikejax", {"run": {"chunk": 10}}),
    "remat": Entry("remat=True", "_networks_jax.spikejax", {"run": {"remat": True}}),
    "remat_50": Entry("remat=True, chunk=50", "_networks_jax.spikejax", {"run": {"remat": True, "chunk": 50}}),
    "scan": Entry(
        "all steps at once, plain lax.scan", "_networks_jax.spikejax", {"run": {"method": "scan"}, "whole": True}
    ),
}
SHOWN = {
    "steps": Entry("steps=T", "_networks_jax.spikejax", {"run": {}}),
    "repeated": Entry("repeated T times", "_networks_jax.spikejax", {"run": {}, "repeated": True}),
}
TOLERANCE = 1e-5
"""Of a weight's gradient: a sum over all steps and samples, which each way adds in an order of its own."""


def cases(tiny: bool, device: str) -> list[Case]:
    """Both networks, for each T."""
    rows = []
    for steps in (13,) if tiny else STEPS:
        width = 16 if tiny else 128
        problem = {"shape": [steps, 2 if tiny else 16, width], "layers": [[width, width], [width, width]]}
        rows.append(Case("Linear-LIF-Linear-LIF", f"T = {steps}", problem, tuple(WAYS), tolerance=TOLERANCE))
    for steps in (3,) if tiny else IMAGE_STEPS:
        problem = {"image": [16, 28, 28, 1], "layers": [[3, 3, 1, 16], [3, 3, 16, 16], [784, 10]], "steps": steps}
        if tiny:
            problem |= {"image": [2, 8, 8, 1], "layers": [[3, 3, 1, 4], [3, 3, 4, 4], [16, 10]]}
        rows.append(Case("image shown at every step", f"T = {steps}", problem, tuple(SHOWN), tolerance=TOLERANCE))
    return rows


if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", WAYS | SHOWN, cases, ("spikejax", "jax", "jaxlib", "flax", "numpy")))
