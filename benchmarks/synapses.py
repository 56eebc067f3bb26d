"""How fast is a linear layer whose input is spikes: forward, and backward to the weights, by the share of spikes.

`SpikeLinear` against `nnx.Linear`, which takes every zero in, and against PyTorch: its linear layer, which is that of
SpikingJelly on a CPU, and a sparse matrix, which is made from the spikes at hand. No bias; all is float32.

    python benchmarks/synapses.py
    python benchmarks/synapses.py --tiny               # shows only that it works
    python benchmarks/synapses.py --table results/synapses.json
"""

from _benchmark import Benchmark, main
from _comparison import Case, Entry

ENTRIES = {
    "spikes": Entry("spikejax, SpikeLinear", "_synapses_jax.layer", {"layer": "SpikeLinear"}),
    "linear": Entry("Flax, Linear", "_synapses_jax.layer", {"layer": "Linear"}),
    "torch": Entry("PyTorch, Linear", "_synapses_torch.layer", {"layer": "Linear"}),
    "sparse": Entry("PyTorch, sparse matrix", "_synapses_torch.layer", {"layer": "sparse"}),
}
SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
TOLERANCE = 1e-5
"""Of a weight's gradient: a sum over all steps and samples, which each adds in an order of its own."""


def cases(tiny: bool, device: str) -> list[Case]:
    """A large layer, that of MNIST and one of the network of SHD, for each share of spikes."""
    layers = {"512 x 512": [64, 16, 512, 512], "784 x 10": [100, 64, 784, 10], "128 x 128": [256, 64, 128, 128]}
    if tiny:
        layers = {"40 x 12": [6, 8, 40, 12]}
    rows = []
    for title, (*shape, columns) in layers.items():
        for share in (0.1,) if tiny else SHARES:
            problem = {"shape": shape, "layers": [[shape[-1], columns]], "share": share}
            rows.append(Case(title, f"{share:.0%}", problem, tuple(ENTRIES), tolerance=TOLERANCE))
    return rows


PACKAGES = ("spikejax", "jax", "jaxlib", "flax", "numpy", "torch")

if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", ENTRIES, cases, PACKAGES))
