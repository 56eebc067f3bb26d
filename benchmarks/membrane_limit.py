"""How far from the limit of the memory is each way of spikejax to take LIF neurons through time.

A neuron computes little: what takes time is to move its arrays. Each step of each neuron moves at least 8 bytes forward
(reads the current, writes the spike) and 24 forward and backward (reads the current, writes h; reads h again and the
gradient at the spike, writes spike and gradient), in float32; in bfloat16 half as much. The bandwidth of a copy,
measured in the same run, makes milliseconds of that. What a way has to move by its own design are arguments and
results, 8 or 16 bytes, and twice its scratch memory, which is written and read again.

    python benchmarks/membrane_limit.py                # one core
    python benchmarks/membrane_limit.py --tiny         # shows only that it works
    python benchmarks/membrane_limit.py --table results/membrane_limit.json
"""

from math import prod
from typing import Any

from _benchmark import Benchmark, main
from _comparison import Case, Entry
from _spread import spread
from neuron_loop import ENTRIES as LOOPS
from neuron_loop import GPU_SHAPES, SHAPES

LEAST = {"forward": 8, "forward and backward": 24}
"""Bytes that an element-step moves, whatever the way, in float32."""
GIVEN = {"forward": 8, "forward and backward": 16}
"""Those of them that are arguments and results."""
COPIED = [64, 1024, 1024]
"""Shape of the array that is copied: 256 MB, more than any cache holds."""
COPIES = {
    "numpy_copy": Entry("numpy.copyto", "_copies.NumPy", device="cpu"),
    "xla_copy": Entry("XLA copy", "_lif_jax.copy"),
    "torch_copy": Entry("torch.Tensor.copy_", "_lif_torch.copy"),
}
WAYS = {name: LOOPS[name] for name in ("spikejax", "xla", "scan", "checkpoint")}


def cases(tiny: bool, device: str) -> list[Case]:
    """The copies, then each shape forward, then forward and backward."""
    shape = [4, 64, 64] if tiny else COPIED
    names = [name for name, entry in COPIES.items() if entry.device in ("", device)]
    rows = [Case("copy", f"{4e-6 * prod(shape):.0f} MB", {"shape": shape}, names)]
    for shape in ([8, 4, 32],) if tiny else GPU_SHAPES if device == "gpu" else SHAPES[1:]:
        for direction in LEAST:
            for dtype in ("float32", "bfloat16") if device == "gpu" else ("float32",):
                problem = {"shape": shape, "backward": direction != "forward", "dtype": dtype}
                title = f"{shape}" if dtype == "float32" else f"{shape}, {dtype}"
                rows.append(Case(direction, title, problem, tuple(WAYS)))
    return rows


def conclude(result: dict[str, Any]) -> None:
    """Adds bandwidths and bytes, and what they make of the times."""
    copies, *loops = result["measurements"]
    for one in copies["implementations"].values():
        one["gb_per_s"] = 8e-9 * prod(copies["problem"]["shape"]) / spread(one["seconds"]).median
    bandwidth = max(one["gb_per_s"] for one in copies["implementations"].values())
    for loop in loops:
        elements = prod(loop["problem"]["shape"])
        part = 1.0 if loop["problem"]["dtype"] == "float32" else 0.5
        limit_ms = 1e-6 * part * LEAST[loop["group"]] * elements / bandwidth
        for one in loop["implementations"].values():
            one["bytes"] = part * GIVEN[loop["group"]] + 2e6 * one["scratch_mb"] / elements
            one["limit_ms"] = limit_ms
            one["share"] = limit_ms / (1e3 * spread(one["seconds"]).median)


PACKAGES = ("spikejax", "jax", "jaxlib", "numpy", "torch")

if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", COPIES | WAYS, cases, PACKAGES, conclude))
