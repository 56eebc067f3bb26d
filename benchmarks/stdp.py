"""How fast is STDP over a sequence: spikejax against the learner of SpikingJelly, dense and convolutional.

Given spikes before and after a synapse, the sum of the changes of its weights; additive, all pairs, tau = 2 on either
side. What the synapse and the neurons themselves compute is left out.

    python benchmarks/stdp.py
    python benchmarks/stdp.py --tiny                   # shows only that it works
    python benchmarks/stdp.py --table results/stdp.json
"""

from _benchmark import Benchmark, main
from _comparison import Case, Entry

ENTRIES = {
    "spikejax": Entry("spikejax", "_stdp_jax.learner"),
    "functions": Entry("spikejax, strengths as functions", "_stdp_jax.learner", {"functions": True}),
    "spikingjelly": Entry("SpikingJelly", "_stdp_torch.learner", needs=("spikingjelly",)),
}
DENSE = {"shape": [64, 64, 784], "after": [64, 64, 400]}
CONVOLUTIONAL = {"shape": [64, 16, 16, 16, 16], "after": [64, 16, 16, 16, 32]}
TOLERANCE = 5e-4
"""Of a change: the small difference of two large sums, which each adds in an order of its own."""


def cases(tiny: bool, device: str) -> list[Case]:
    """A dense layer, and a convolution with windows of 3 x 3."""
    dense, convolutional = DENSE, CONVOLUTIONAL
    if tiny:
        dense = {"shape": [6, 4, 16], "after": [6, 4, 8]}
        convolutional = {"shape": [4, 2, 6, 6, 4], "after": [4, 2, 6, 6, 8]}
    return [
        Case("synapses", title, problem, tuple(ENTRIES), tolerance=TOLERANCE)
        for title, problem in (("dense, 784 x 400", dense), ("3 x 3, 16 to 32 channels", convolutional))
    ]


PACKAGES = ("spikejax", "jax", "jaxlib", "flax", "numpy", "torch", "spikingjelly")

if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", ENTRIES, cases, PACKAGES))
