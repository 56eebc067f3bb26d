"""How much faster is every cell in charge, fire and reset by the fused kernel than by a plain scan.

Each cell of `sx.cells` that has a fused kernel, with default parameters, which are constants, and again with an array
of one value a neuron for each parameter, which has a gradient. Forward, and backward to the input and to all arrays.

    python benchmarks/any_cell.py
    python benchmarks/any_cell.py --tiny               # shows only that it works
    python benchmarks/any_cell.py --table results/any_cell.json
"""

from _benchmark import Benchmark, main
from _comparison import Case, Entry

SHAPE = [64, 64, 1024]
MEAN = 1.5
"""Of the input currents, at which every cell fires now and then."""
TOLERANCES = {"constants": 1e-4, "arrays, one value a neuron": 2e-5}
"""Of a parameter's gradient, which each method adds in an order of its own, over all neurons or over 64 samples."""

ENTRIES = {
    "fused": Entry("fused", "_cells_jax.run", {"backend": None}),
    "xla": Entry("fused, loops by XLA", "_cells_jax.run", {"backend": "xla"}),
    "scan": Entry("plain scan", "_cells_jax.run"),
}


def cases(tiny: bool, device: str) -> list[Case]:
    """Every cell, with constants and with arrays; in a tiny run some of them."""
    from _cells_jax import fused_cells

    rows = []
    for kind in ("arrays, one value a neuron",) if tiny else ("constants", "arrays, one value a neuron"):
        for name in fused_cells()[::7] if tiny else fused_cells():
            shape = [32, 4, 32] if tiny else SHAPE
            problem = {"cell": name, "per_neuron": kind != "constants", "shape": shape, "mean": MEAN}
            rows.append(Case(kind, name, problem, tuple(ENTRIES), tolerance=TOLERANCES[kind]))
    return rows


if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", ENTRIES, cases, ("spikejax", "jax", "jaxlib", "numpy")))
