"""How fast does a layer of LIF neurons go through time: spikejax by each of its ways against the others.

LIF with tau = 2, decaying input, hard reset to 0 and ATan(2), without weights, forward alone and forward with backward
to the input. All is float32, on a GPU bfloat16 too. Where the equations are the same, spikes and gradients are compared
before anything is timed.

    python benchmarks/neuron_loop.py                   # one core; on a machine with a GPU: --device gpu, the default
    python benchmarks/neuron_loop.py --threads 2
    python benchmarks/neuron_loop.py --tiny            # shows only that it works
    python benchmarks/neuron_loop.py --table results/neuron_loop.json
"""

from _benchmark import Benchmark, main
from _comparison import Case, Entry

SHAPES = ([32, 16, 128], [16, 64, 1024], [64, 64, 1024], [128, 64, 1024])
GPU_SHAPES = tuple([steps, 64, 65536] for steps in (4, 8, 16, 32))
COMPILED_STEPS = 64
"""Most steps for which torch.compile takes part: it unrolls the loop, and takes a minute for twice as many."""

SPYX = ("spyx", "grain", "array_record", "portpicker", "cloudpickle")
ENTRIES = {
    "spikejax": Entry("spikejax", "_lif_jax.spikejax", {"method": "auto"}),
    "xla": Entry("spikejax, loops by XLA", "_lif_jax.by_xla"),
    "scan": Entry("plain lax.scan", "_lif_jax.spikejax", {"method": "scan"}),
    "checkpoint": Entry("lax.scan, checkpointed step", "_lif_jax.checkpointed"),
    "spyx": Entry(
        "Spyx",
        "_lif_jax.spyx",
        differs="fires from the membrane before the input, no decay of the input, soft reset",
        needs=SPYX,
    ),
    "spikingjelly_m": Entry(
        "SpikingJelly, multi-step", "_lif_torch.spikingjelly", {"step_mode": "m"}, needs=("spikingjelly",)
    ),
    "spikingjelly_triton": Entry(
        "SpikingJelly, Triton",
        "_lif_torch.spikingjelly",
        {"step_mode": "m", "implementation": "triton"},
        needs=("spikingjelly", "triton"),
        device="gpu",
        tiny=False,
    ),
    "spikingjelly_s": Entry(
        "SpikingJelly, step by step", "_lif_torch.spikingjelly", {"step_mode": "s"}, needs=("spikingjelly",)
    ),
    "snntorch": Entry(
        "snnTorch",
        "_lif_torch.snntorch",
        differs="no decay of the input, no gradient through the reset",
        needs=("snntorch",),
    ),
    "norse": Entry("Norse", "_lif_torch.norse", differs="SuperSpike(100) in place of ATan(2)", needs=("norse",)),
    "torch": Entry("PyTorch by hand", "_lif_torch.by_hand"),
    "torch_compile": Entry("PyTorch by hand, torch.compile", "_lif_torch.compiled", tiny=False),
}


def cases(tiny: bool, device: str) -> list[Case]:
    """Each shape forward, then forward and backward; on a GPU in bfloat16 too, where states differ in precision."""
    shapes = ([8, 4, 32],) if tiny else GPU_SHAPES if device == "gpu" else SHAPES
    rows = []
    for dtype in ("float32", "bfloat16") if device == "gpu" else ("float32",):
        for shape in shapes:
            for backward in (False, True):
                group = "forward and backward" if backward else "forward"
                group += "" if dtype == "float32" else f", {dtype}"
                names = [name for name in ENTRIES if name != "torch_compile" or shape[0] <= COMPILED_STEPS]
                problem = {"shape": shape, "dtype": dtype, "backward": backward}
                title = f"[{', '.join(map(str, shape))}]"
                rows.append(Case(group, title, problem, names, compared=dtype == "float32"))
    return rows


PACKAGES = ("spikejax", "jax", "jaxlib", "numpy", "torch", "spikingjelly", "snntorch", "norse", "spyx")

if __name__ == "__main__":
    main(Benchmark(__file__, __doc__ or "", ENTRIES, cases, PACKAGES))
