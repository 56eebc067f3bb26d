"""Which back end takes a cell through time, and why."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.kernels import pallas, xla
from spikejax.kernels.blocks import blocks_of
from spikejax.kernels.elementwise import NotElementwiseError
from spikejax.kernels.llvm import CPU
from spikejax.kernels.template import why_not_fused
from spikejax.typing import Cell, Sequence, Shape, State

BACKENDS = {
    "llvm": CPU,
    "xla": xla,
    "triton": pallas.TRITON,
    "mosaic": pallas.MOSAIC,
    "interpret": pallas.INTERPRET,
}
"""By name. "interpret" runs the GPU kernel on a CPU, slowly: for tests."""


class Choice(NamedTuple):
    """A back end of `BACKENDS`, or None where there is no fused kernel, and the reason in a sentence."""

    backend: str | None
    reason: str


def which(cell: Cell, shape: Shape, *, platform: str | None = None) -> Choice:
    """Which back end the fused kernel of `cell` uses for inputs of `shape`, and why.

    Args:
        cell: the cell.
        shape: of the input of one step, `[N, *]`, in float32.
        platform: "cpu", "gpu" or "tpu"; None takes where JAX computes by default.

    Raises:
        ValueError: the cell's parameters do not broadcast to `shape`.
    """
    reason = why_not_fused(cell)
    if reason or not isinstance(cell, ChargeFireReset):
        return Choice(None, f"{reason}, so it runs step by step")
    state = jax.eval_shape(lambda key: cell.init_state(shape, key=key), jax.random.key(0))
    xs: Any = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return choose(cell, state, xs, platform)


def choose(cell: ChargeFireReset, state: State, xs: Sequence, platform: str | None = None) -> Choice:
    """`which` for this state and input, of which only shapes and dtypes count."""
    platform = platform or jax.default_backend()
    if platform not in ("cpu", "gpu"):
        return Choice("xla", f"on {platform} XLA compiles the loop")
    try:
        blocks = blocks_of(cell, state, xs)
    except NotElementwiseError as error:
        return Choice("xla", f"no {platform.upper()} kernel, because {error}")
    if platform == "gpu":
        return Choice("triton", "its equations are elementwise, so one GPU kernel holds the whole loop")
    lacking = CPU.lacks(blocks)
    if lacking:
        return Choice("xla", f"no CPU kernel, because its equations use {lacking}, which the kernel lacks")
    if blocks.has_tables:
        return Choice("xla", "its parameters change from step to step, over which XLA's loops are the faster way")
    return Choice("llvm", "its equations are elementwise, so LLVM compiles one CPU kernel of the whole loop")
