"""Which back end takes a cell through time, and why."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from spikejax.cells import ChargeFireReset
from spikejax.kernels import pallas, xla
from spikejax.kernels.blocks import blocks_of
from spikejax.kernels.llvm.backend import LLVM
from spikejax.kernels.elementwise import NotElementwiseError
from spikejax.kernels.template import why_not_fused
from spikejax.typing import Cell, Shape

BACKENDS = {"xla": xla, "triton": pallas.TRITON, "mosaic": pallas.MOSAIC, "interpret": pallas.INTERPRET, "llvm": LLVM()}
"""By name. "interpret" runs the GPU kernel on a CPU, slowly: for tests."""


class Choice(NamedTuple):
    """A back end of `BACKENDS`, or None where there is no fused kernel, and the reason in a sentence."""

    backend: str | None
    reason: str


def which(cell: Cell, shape: Shape, *, platform: str | None = None) -> Choice:
    """Which back end the fused kernel of `cell` uses for inputs of `shape`, and why.

    Args:
        cell: the cell.
        shape: of the input of one step, `[N, *]`.
        platform: "cpu", "gpu" or "tpu"; None takes where JAX computes by default.

    Raises:
        ValueError: the cell's parameters do not broadcast to `shape`.
    """
    reason = why_not_fused(cell)
    if reason or not isinstance(cell, ChargeFireReset):
        return Choice(None, f"{reason}, so it runs step by step")
    platform = platform or jax.default_backend()
    if platform == "cpu": return Choice("llvm","")
    if platform != "gpu":
        return Choice("xla", f"on {platform} XLA compiles the loop")
    try:
        jax.eval_shape(lambda cell, key: _take_apart(cell, shape, key), cell, jax.random.key(0))
    except NotElementwiseError as error:
        return Choice("xla", f"no GPU kernel, because {error}")
    return Choice("triton", "its equations are elementwise, so one GPU kernel holds the whole loop")


def _take_apart(cell: ChargeFireReset, shape: Shape, key: jax.Array) -> None:
    blocks_of(cell, cell.init_state(shape, key=key), jnp.zeros((1, *shape)))
