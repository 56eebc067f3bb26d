"""The runs by which each cell of the cells' table shows the fused kernel."""

from typing import Any, NamedTuple

from tests.cells.variants import HARD, HARD_DETACHED, SOFT, SOFT_DETACHED, Variant

Options = dict[str, Any]
ASSOCIATIVE: Options = {"backend": "xla", "backward": "associative"}
RECOMPUTED: Options = {"backend": "llvm", "residuals": "x"}
ASSOCIATIVE_RECOMPUTED: Options = {"backend": "llvm", "backward": "associative", "residuals": "x"}


class KernelCase(NamedTuple):
    """The runs of one cell.

    Attributes:
        variant: how the cell resets.
        other: options of a run beside those by "interpret" and "xla", or None; the laws of the cells run "llvm".
        packed: the back end of a run with packed residuals, or None.
    """

    variant: Variant
    other: Options | None = None
    packed: str | None = None


CASES = {
    "IF": KernelCase(HARD, packed="llvm"),
    "LIF": KernelCase(HARD_DETACHED, ASSOCIATIVE),
    "LIF-undecayed-input": KernelCase(SOFT),
    "ParametricLIF": KernelCase(SOFT_DETACHED, RECOMPUTED, packed="xla"),
    "ParametricLIF-undecayed-input": KernelCase(HARD),
    "LeakyIntegrator": KernelCase(HARD, ASSOCIATIVE_RECOMPUTED),
    "LeakyIntegrator-undecayed-input": KernelCase(HARD),
    "QIF": KernelCase(SOFT_DETACHED, ASSOCIATIVE),
    "EIF": KernelCase(HARD),
    "Izhikevich": KernelCase(HARD_DETACHED, RECOMPUTED, packed="llvm"),
    "AdEx": KernelCase(SOFT),
    "ALIF": KernelCase(SOFT_DETACHED, ASSOCIATIVE_RECOMPUTED),
    "CubaLIF": KernelCase(HARD, packed="xla"),
    "CubaLIF-undecayed-input": KernelCase(HARD_DETACHED, ASSOCIATIVE),
    "KLIF": KernelCase(SOFT),
    "KLIF-scaled": KernelCase(SOFT_DETACHED, RECOMPUTED, packed="interpret"),
    "LIAF": KernelCase(HARD),
    "LIAF-unrelated": KernelCase(HARD_DETACHED, ASSOCIATIVE_RECOMPUTED),
    "CLIF": KernelCase(SOFT, packed="llvm"),
    "ILIF": KernelCase(SOFT_DETACHED, ASSOCIATIVE),
    "TernaryIF": KernelCase(HARD),
    "TernaryLIF": KernelCase(HARD_DETACHED, RECOMPUTED),
    "ResonateAndFire": KernelCase(SOFT),
    "GatedLIF": KernelCase(SOFT_DETACHED, ASSOCIATIVE_RECOMPUTED),
    "NoisyLIF": KernelCase(HARD, packed="interpret"),
    "SquareIF": KernelCase(HARD_DETACHED, ASSOCIATIVE),
}
"""By the name of the row."""
