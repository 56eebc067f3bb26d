"""How fast does a converted network classify over many steps: spikejax against the converter of SpikingJelly.

The network of SpikingJelly's conversion example on images of MNIST's size: three blocks of a convolution of 32
channels, BatchNorm, ReLU and average pooling, a dense layer; scales by the largest activation. Each image is shown for
T = 200 steps, and the class said after every step. Each library is given batches of the size that suits it best.
spikejax has put BatchNorm and the scales into the weights, so that sums round in another way.

    python benchmarks/conversion.py
    python benchmarks/conversion.py --tiny             # shows only that it works
    python benchmarks/conversion.py --table results/conversion.json
"""

from _benchmark import Benchmark, main
from _comparison import Case, Entry

NEEDS = ("spikingjelly",)
ENTRIES = {
    "spikejax": Entry("spikejax", "_conversion_jax.converted"),
    "large": Entry("spikejax, batches of 100", "_conversion_jax.converted", {"batch": 100}),
    "apart": Entry("spikejax, scales kept apart", "_conversion_jax.converted", {"fold": False}),
    "spikingjelly": Entry("SpikingJelly, step by step", "_conversion_torch.converted", {"batch": 20}, needs=NEEDS),
    "documented": Entry(
        "SpikingJelly, batches of 50 (as documented)", "_conversion_torch.converted", {"batch": 50}, needs=NEEDS
    ),
    "multi": Entry(
        "SpikingJelly, multi-step", "_conversion_torch.converted", {"batch": 5, "multi_step": True}, needs=NEEDS
    ),
}
TOLERANCE = 1e-2
"""Of a mean output, relative to the largest: a spike that rounding moves by a step."""
UNEQUAL = 1e-3
"""Share of the classes that may differ, where two have about the same output."""


def cases(tiny: bool, device: str) -> list[Case]:
    """The images that one call works through; the time for others is proportional."""
    images, steps = (8, 6) if tiny else (200, 200)
    problem = {"image": [images, 28, 28, 1], "steps": steps, "channels": 8 if tiny else 32}
    title = f"{images} images, T = {steps}"
    return [Case("converted MNIST CNN", title, problem, tuple(ENTRIES), tolerance=TOLERANCE, unequal=UNEQUAL)]


PACKAGES = ("spikejax", "jax", "jaxlib", "flax", "numpy", "torch", "spikingjelly")

if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", ENTRIES, cases, PACKAGES))
