"""The GPU back ends: the kernels in the languages of Pallas.

A program instance owns a block of neurons and takes them through all of time, their state in registers; the tail of a
last block that is not full is masked, or padded.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu, triton

from spikejax.kernels.blockwise import Blockwise
from spikejax.kernels.elementwise import ROUNDING
from spikejax.kernels.kernel import Access
from spikejax.kernels.template import Floats
from spikejax.typing import Array

BLOCK = 512
"""Neurons a program instance: 4 for each of 128 threads, whose loads are 16 bytes wide."""


class TritonAccess(Access):
    """Blocks in the Triton language, for M neurons."""

    block = BLOCK

    def __init__(self, size: int) -> None:
        start = self.index() * BLOCK
        self._block = pl.ds(start, BLOCK)
        self._mask = None if size % BLOCK == 0 else start + jnp.arange(BLOCK) < size

    def index(self) -> Any:
        """Which block it is."""
        return pl.program_id(0)

    def at(self, ref: Any, t: Any) -> Any:
        """The block of an array, at step t."""
        return ref.at[self._block] if ref.ndim == 1 else ref.at[jnp.int32(t), self._block]

    def _read(self, ref: Any, t: Any) -> Array:
        return triton.load(self.at(ref, t), mask=self._mask, other=None if self._mask is None else 0)

    def _write(self, ref: Any, t: Any, value: Array) -> None:
        triton.store(self.at(ref, t), value, mask=self._mask)


class MosaicAccess(TritonAccess):
    """The same in the Mosaic GPU language, which knows no masks: M must be a multiple of the block."""

    _layout = mosaic_gpu.Layout.WG_STRIDED((BLOCK,), vec_size=4)

    def index(self) -> Any:
        """Which block it is."""
        return lax.axis_index("block")

    def settle(self, blocks: Floats) -> Floats:
        """The same values, one after another over the threads."""
        return [mosaic_gpu.layout_cast(a, self._layout) for a in blocks]

    def _read(self, ref: Any, t: Any) -> Array:
        return mosaic_gpu.layout_cast(self.at(ref, t)[...], self._layout)

    def _write(self, ref: Any, t: Any, value: Array) -> None:
        self.at(ref, t)[...] = value


class Triton(Blockwise):
    """The back end in the Triton language.

    Args:
        interpret: True runs the kernels on a CPU, slowly, for tests.
    """

    rewrites = ROUNDING

    def __init__(self, interpret: bool = False) -> None:
        self._interpret = interpret

    def _launch(self, on_refs: Any, name: str, given: list[Array], wanted: list[Any]) -> list[Array]:
        size = given[0].shape[-1]
        return pl.pallas_call(
            lambda *refs: on_refs(TritonAccess(size), *refs),
            out_shape=wanted,
            grid=(pl.cdiv(size, BLOCK),),
            interpret=self._interpret,
            compiler_params=triton.CompilerParams(num_warps=4, num_stages=1),
            name=name,
        )(*given)


class Mosaic(Blockwise):
    """The back end in the Mosaic GPU language, for the day when JAX no longer has Triton."""

    rewrites = ROUNDING

    def _launch(self, on_refs: Any, name: str, given: list[Array], wanted: list[Any]) -> list[Array]:
        size = given[0].shape[-1]
        rows = pl.cdiv(size, BLOCK)
        padded = [jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, rows * BLOCK - size)]) for a in given]
        outs = [jax.ShapeDtypeStruct((*a.shape[:-1], rows * BLOCK), a.dtype) for a in wanted]
        like: dict[str, Any] = {"out_type" if jax.__version_info__ >= (0, 11) else "out_shape": outs}
        kernel = mosaic_gpu.kernel(
            lambda *refs: on_refs(MosaicAccess(rows * BLOCK), *refs), **like, grid=(rows,), grid_names=("block",)
        )
        return [a[..., :size] for a in kernel(*padded)]


TRITON, MOSAIC, INTERPRET = Triton(), Mosaic(), Triton(interpret=True)
