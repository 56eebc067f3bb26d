"""Kernels as programs on blocks of neurons, from which LLVM code is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh

from spikejax.internals import ClosedJaxpr, symbol
from spikejax.kernels.kernel import BlockAccess, Carried, Step
from spikejax.typing import Array

load_block = symbol("spikejax_load", lambda *_, ref, dtype, block: [jax.ShapeDtypeStruct((block,), dtype)])
"""`load_block(t, ref)`: the block of the array number `ref`; without t, of an array without time."""

store_block = symbol("spikejax_store", lambda order, *_, ref: [order])
"""`store_block(order, value, t, ref)`: writes the block after the operation that gave `order`, and gives an `order`."""

time_loop = symbol("spikejax_loop", lambda *_, program, start, stop: [a.aval for a in program.outvars])
"""`time_loop(*consts, *carry, program, start, stop)`: the carry after `program(*consts, t, *carry)` at every t."""


@dataclass(frozen=True)
class ArrayRef:
    """An array of a kernel, by its number among all of them."""

    number: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Its number of axes."""
        return len(self.shape)


class TracedAccess(BlockAccess):
    """Reads and writes as operations of a program, in the order of the calls."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._order = jnp.int32(0)

    def loop(self, start: int, stop: int, body: Callable[[Any, Carried], Carried], carry: Carried) -> Carried:
        """`lax.fori_loop`, which also carries the order of the writes."""

        def in_order(t: Array, carry: Carried) -> Carried:
            self._order, carry = carry
            carry = body(t, carry)
            return self._order, carry

        leaves, structure = jax.tree.flatten((self._order, carry))
        program = jax.make_jaxpr(in_order)(jnp.int32(0), (self._order, carry))
        if [a.dtype for a in program.out_avals] != [a.dtype for a in leaves]:
            raise TypeError(f"a step changes dtypes: {program.out_avals} from {leaves}")
        results = time_loop.bind(*program.consts, *leaves, program=program.jaxpr, start=start, stop=stop)
        self._order, carry = structure.unflatten(results)
        return carry

    def order(self) -> Array:
        """The order after all writes."""
        return self._order

    def _read(self, ref: ArrayRef, t: Step | None) -> Array:
        (block,) = load_block.bind(*_step(ref, t), ref=ref.number, dtype=ref.dtype, block=self.block)
        return block

    def _write(self, ref: ArrayRef, t: Step | None, value: Array) -> None:
        value = jnp.broadcast_to(value, (self.block,))
        (self._order,) = store_block.bind(self._order, value, *_step(ref, t), ref=ref.number)


def block_program(kernel: Callable[..., None], arrays: Sequence[jax.ShapeDtypeStruct], block: int) -> ClosedJaxpr:
    """The program of a kernel for one block.

    Args:
        kernel: the kernel, a function of a `BlockAccess` and a reference to each array.
        arrays: shapes and dtypes of the arrays.
        block: number of neurons in a block.
    """
    refs = [ArrayRef(number, a.shape, a.dtype) for number, a in enumerate(arrays)]

    def program() -> Array:
        access = TracedAccess(block)
        kernel(access, *refs)
        return access.order()

    with jax.disable_jit(False), jax.sharding.use_abstract_mesh(AbstractMesh((), ())):
        return jax.make_jaxpr(program)()


def _step(ref: ArrayRef, t: Step | None) -> tuple[Array, ...]:
    return () if ref.ndim == 1 else (jnp.int32(t),)
