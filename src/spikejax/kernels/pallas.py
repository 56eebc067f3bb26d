"""The GPU back ends: the kernels in the languages of Pallas.

A program instance computes a block of neurons over all of time, with their state in registers. The rest of a last block
that is not full is masked, or padded.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu, triton

from spikejax.kernels.blockwise import Blockwise
from spikejax.kernels.elementwise import ROUNDING_REWRITES
from spikejax.kernels.kernel import BlockAccess, Refs, Step
from spikejax.kernels.template import Floats
from spikejax.typing import Array

THREADS = 128
"""Threads a program instance."""

BLOCK_NEURONS = 4 * THREADS
"""Neurons a program instance, so that loads are 16 bytes wide."""

MAX_REGISTER_VALUES = 32 * THREADS
"""Values of h that a program instance has in registers at most. With h of all steps it takes fewer neurons."""


def block_neurons(register_steps: int) -> int:
    """Neurons a program instance that has h of so many steps in registers."""
    if register_steps == 0:
        return BLOCK_NEURONS
    return max(THREADS, min(BLOCK_NEURONS, 1 << (MAX_REGISTER_VALUES // register_steps).bit_length() - 1))


class TritonAccess(BlockAccess):
    """Access to blocks in the Triton language, for M neurons."""

    def __init__(self, size: int, block: int) -> None:
        self.block, start = block, self.index() * block
        self._block = pl.ds(start, block)
        self._mask = None if size % block == 0 else start + jnp.arange(block) < size

    def index(self) -> Array | int:
        """The number of the block."""
        return pl.program_id(0)

    def at(self, ref: Refs, t: Step | None) -> Any:
        """The block of an array, at step t."""
        return ref.at[self._block] if ref.ndim == 1 else ref.at[jnp.int32(t), self._block]

    def _read(self, ref: Refs, t: Step | None) -> Array:
        return triton.load(self.at(ref, t), mask=self._mask, other=None if self._mask is None else 0)

    def _write(self, ref: Refs, t: Step | None, value: Array) -> None:
        triton.store(self.at(ref, t), value, mask=self._mask)


class MosaicAccess(TritonAccess):
    """Access to blocks in the Mosaic GPU language, which has no masks: M must be a multiple of the block."""

    def __init__(self, size: int, block: int) -> None:
        super().__init__(size, block)
        self._layout = mosaic_gpu.Layout.WG_STRIDED((block,), vec_size=block // THREADS)

    def index(self) -> Array | int:
        """The number of the block."""
        return lax.axis_index("block")

    def in_loop_layout(self, blocks: Floats) -> Floats:
        """The same values, one after another over the threads."""
        return [mosaic_gpu.layout_cast(a, self._layout) for a in blocks]

    def _read(self, ref: Refs, t: Step | None) -> Array:
        return mosaic_gpu.layout_cast(self.at(ref, t)[...], self._layout)

    def _write(self, ref: Refs, t: Step | None, value: Array) -> None:
        self.at(ref, t)[...] = value


class Triton(Blockwise):
    """The back end in the Triton language.

    Args:
        interpret: True runs the kernels on a CPU, slowly, for tests.
    """

    rewrites = ROUNDING_REWRITES

    def __init__(self, interpret: bool = False) -> None:
        self._interpret = interpret

    def _launch(
        self,
        kernel: Callable[..., None],
        name: str,
        inputs: list[Array],
        outputs: list[jax.ShapeDtypeStruct],
        register_steps: int,
    ) -> list[Array]:
        size, block = inputs[0].shape[-1], block_neurons(register_steps)
        return pl.pallas_call(
            lambda *refs: kernel(TritonAccess(size, block), *refs),
            out_shape=outputs,
            grid=(pl.cdiv(size, block),),
            interpret=self._interpret,
            compiler_params=triton.CompilerParams(num_warps=THREADS // 32, num_stages=1),
            name=name,
        )(*inputs)


class Mosaic(Blockwise):
    """The back end in the Mosaic GPU language, for a JAX that no longer has Triton."""

    rewrites = ROUNDING_REWRITES

    def _launch(
        self,
        kernel: Callable[..., None],
        name: str,
        inputs: list[Array],
        outputs: list[jax.ShapeDtypeStruct],
        register_steps: int,
    ) -> list[Array]:
        size, block = inputs[0].shape[-1], block_neurons(register_steps)
        rows = pl.cdiv(size, block)
        padded = [jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, rows * block - size)]) for a in inputs]
        padded_outputs = [jax.ShapeDtypeStruct((*a.shape[:-1], rows * block), a.dtype) for a in outputs]
        results: dict[str, Any] = {"out_type" if jax.__version_info__ >= (0, 11) else "out_shape": padded_outputs}
        run = mosaic_gpu.kernel(
            lambda *refs: kernel(MosaicAccess(rows * block, block), *refs),
            **results,
            grid=(rows,),
            grid_names=("block",),
        )
        return [a[..., :size] for a in run(*padded)]


TRITON, MOSAIC, INTERPRET = Triton(), Mosaic(), Triton(interpret=True)
