"""A kernel as a program on blocks of neurons: what LLVM code is made from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from spikejax.internals import ClosedJaxpr, symbol
from spikejax.kernels.kernel import Access
from spikejax.typing import Array

load = symbol("spikejax_load", lambda *_, ref, dtype, block: [jax.ShapeDtypeStruct((block,), dtype)])
"""`load(t, ref)`: the block of the array number `ref`, at step t where it has time."""

store = symbol("spikejax_store", lambda order, *_, ref: [order])
"""`store(order, value, t, ref)`: writes it, after what gave `order`, and gives an `order` itself."""

loop = symbol("spikejax_loop", lambda *_, program, start, stop: [a.aval for a in program.outvars])
"""`loop(*consts, *carry, program, start, stop)`: the carry after `program(*consts, t, *carry)` at every step t."""


@dataclass(frozen=True)
class Ref:
    """An array of the kernel, by its place among all of them."""

    number: int
    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Its number of axes."""
        return len(self.shape)


class TracedAccess(Access):
    """Reads and writes as operations of a program, in the order in which they were asked for."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._order = jnp.int32(0)

    def loop(self, start: int, stop: int, body: Any, carry: Any) -> Any:
        """`lax.fori_loop`; what orders the writes goes through it too."""

        def in_order(t: Any, carry: Any) -> Any:
            self._order, carry = carry
            carry = body(t, carry)
            return self._order, carry

        leaves, structure = jax.tree.flatten((self._order, carry))
        program = jax.make_jaxpr(in_order)(jnp.int32(0), (self._order, carry))
        if [a.dtype for a in program.out_avals] != [a.dtype for a in leaves]:
            raise TypeError(f"a step changes dtypes: {program.out_avals} from {leaves}")
        found = loop.bind(*program.consts, *leaves, program=program.jaxpr, start=start, stop=stop)
        self._order, carry = structure.unflatten(found)
        return carry

    def order(self) -> Array:
        """What comes after all writes."""
        return self._order

    def _read(self, ref: Any, t: Any) -> Array:
        (block,) = load.bind(*_step(ref, t), ref=ref.number, dtype=ref.dtype, block=self.block)
        return block

    def _write(self, ref: Any, t: Any, value: Array) -> None:
        value = jnp.broadcast_to(value, (self.block,))
        (self._order,) = store.bind(self._order, value, *_step(ref, t), ref=ref.number)


def program_of(on_refs: Callable[..., None], arrays: list[Any], block: int) -> ClosedJaxpr:
    """What a kernel does with one block.

    Args:
        on_refs: the kernel, from an `Access` and a reference to each array.
        arrays: shapes and dtypes of the arrays.
        block: number of neurons in a block.
    """
    refs = [Ref(number, a.shape, a.dtype) for number, a in enumerate(arrays)]

    def program() -> Array:
        access = TracedAccess(block)
        on_refs(access, *refs)
        return access.order()

    with jax.disable_jit(False), jax.sharding.use_abstract_mesh(AbstractMesh((), ())):
        return jax.make_jaxpr(program)()


def _step(ref: Ref, t: Any) -> tuple[Array, ...]:
    return () if ref.ndim == 1 else (jnp.int32(t),)
