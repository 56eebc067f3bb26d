"""The back ends by name, and the choice of one for a cell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.kernels import pallas, xla
from spikejax.kernels.blocks import block_equations
from spikejax.kernels.cpu import CPU
from spikejax.kernels.elementwise import NotElementwiseError
from spikejax.kernels.template import why_not_fused
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Cell, Shape, State

BACKENDS = {
    "llvm": CPU,
    "xla": xla,
    "triton": pallas.TRITON,
    "mosaic": pallas.MOSAIC,
    "interpret": pallas.INTERPRET,
}
"""By name. "interpret" runs the GPU kernel on a CPU, slowly: for tests."""


class BackendReason(NamedTuple):
    """A back end, and the reason for it.

    Attributes:
        backend: a name of `BACKENDS`, or None if the cell has no fused kernel.
        reason: a sentence.
    """

    backend: str | None
    reason: str


def explain_backend(cell: Cell, shape: Shape, *, platform: str | None = None) -> BackendReason:
    """Names the back end that the fused kernel of `cell` uses for inputs of `shape`, and the reason for it.

    Args:
        cell: the cell.
        shape: of the input of one step, `[N, *]`, in float32.
        platform: "cpu", "gpu" or "tpu"; by default the one on which JAX computes.

    Raises:
        ValueError: the cell's parameters do not broadcast to `shape`.
    """
    reason = why_not_fused(cell)
    if reason or not isinstance(cell, ChargeFireReset):
        return BackendReason(None, f"{reason}, so it runs step by step")
    state = jax.eval_shape(lambda key: cell.init_state(shape, key=key), jax.random.key(0))
    xs = jax.eval_shape(lambda: Steps(jnp.zeros((1, *shape), jnp.float32)))
    return select_backend(cell, state, xs, platform)


def select_backend(cell: ChargeFireReset, state: State, xs: Sequence, platform: str | None = None) -> BackendReason:
    """As `explain_backend`, for this state and input, of which only shapes and dtypes matter."""
    platform = platform or jax.default_backend()
    if platform not in ("cpu", "gpu"):
        return BackendReason("xla", f"on {platform} XLA compiles the loops")
    try:
        blocks = block_equations(cell, state, xs)
    except NotElementwiseError as error:
        return BackendReason("xla", f"there is no {platform.upper()} kernel, because {error}")
    if platform == "gpu":
        return BackendReason("triton", "its equations are elementwise, so one GPU kernel runs the whole loop")
    missing = CPU.missing(blocks)
    if missing:
        return BackendReason("xla", f"there is no CPU kernel, because {missing}")
    if blocks.has_tables:
        return BackendReason("xla", "its parameters vary over time, for which the XLA loops are faster")
    return BackendReason("llvm", "its equations are elementwise, so LLVM compiles one CPU kernel for the whole loop")
