"""The program of a kernel as an LLVM function over a tile of neurons.

A tile is as many neurons as fit into the first cache. The outer loops are those of the program, over time; the inner
ones are over the neurons of the tile, a vector of them at once. So memory is read and written in rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from llvmlite import ir
from numpy.typing import DTypeLike

from spikejax.internals import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, aval_of
from spikejax.jaxpr import inlined, interpret
from spikejax.kernels.llvm.access import load_block, store_block, time_loop
from spikejax.kernels.llvm.functions import EXACT_PRODUCTS, FUNCTIONS
from spikejax.kernels.llvm.instructions import emit
from spikejax.kernels.llvm.loops import INDEX, LLVMValue, for_loop, index
from spikejax.kernels.llvm.values import constant, lanes_of, splat, type_of

ALIGNMENT = 64
"""Bytes to which XLA aligns arrays, which are those of the widest vectors too."""


class ArrayMemory(NamedTuple):
    """The place of an array of a kernel in memory.

    Attributes:
        dtype: of its elements.
        row: elements from one step to the next.
        streams: True if it is written past the caches.
    """

    dtype: np.dtype
    row: int
    streams: bool


Values = dict[Var, LLVMValue]
"""Values of the variables of a program."""


class TileWriter:
    """Writer of the function `(pointers..., first neuron, number of neurons)`.

    Args:
        function: the function, empty.
        program: the program of the kernel for a block.
        arrays: the arrays behind the pointers.
        lanes: neurons in a block, of which the number of neurons is a multiple.
        size: most neurons in a tile.
    """

    def __init__(
        self, function: ir.Function, program: ClosedJaxpr, arrays: list[ArrayMemory], lanes: int, size: int
    ) -> None:
        *self._pointers, self._first, self._count = function.args
        self._entry = ir.IRBuilder(function.append_basic_block("entry"))
        self._build = ir.IRBuilder(function.append_basic_block("start"))
        self._arrays, self._lanes, self._size = arrays, lanes, size
        self._tile_memory: dict[Any, LLVMValue] = {}
        self._run(program)
        self._build.ret_void()
        self._entry.branch(function.blocks[1])

    def _run(self, program: ClosedJaxpr) -> None:
        jaxpr = program.jaxpr
        scalars: Values = dict(zip(jaxpr.constvars, map(_as_value, program.consts, jaxpr.constvars), strict=True))
        parts = list(_parts(jaxpr))
        for number, part in enumerate(parts):
            if part[0].primitive is time_loop:
                self._loop(part[0], scalars)
                continue
            needed = {a for later in parts[number + 1 :] for e in later for a in e.invars if not isinstance(a, Literal)}
            self._equations([e for e in part if _is_scalar(e)], scalars, None)
            with self._neurons() as v:
                values = dict(scalars)
                self._equations([e for e in part if not _is_scalar(e)], values, v)
                for a in [a for a in values if a in needed and aval_of(a).shape]:
                    self._put(self._memory_of(a), v, values[a])
            order = (a for a in values if a in needed and not aval_of(a).shape)  # of the writes
            scalars.update((a, values[a]) for a in order)

    def _loop(self, equation: JaxprEqn, scalars: Values) -> None:
        """A loop over time, around one over the neurons of the tile."""
        build, program = self._build, equation.params["program"]
        count = len(program.constvars)
        step, *inner = program.invars
        carried = [a for a in inner if aval_of(a).shape]
        consts, starts = equation.invars[:count], equation.invars[count:]
        for a, start, out in zip(inner, starts, equation.outvars, strict=True):
            if aval_of(a).shape:
                self._tile_memory[a] = self._tile_memory[out] = self._alloca(a)
            else:
                scalars[a] = scalars[out] = self._value(start, scalars, None)  # the order of writes
        with self._neurons() as v:
            for a, start in zip(inner, starts, strict=True):
                if aval_of(a).shape:
                    self._put(self._tile_memory[a], v, self._value(start, scalars, v))
        first, last = (index(equation.params[name]) for name in ("start", "stop"))
        with for_loop(build, first, last) as t, self._neurons() as v:
            values = scalars | {step: build.trunc(t, type_of(aval_of(step).dtype, None))}
            values |= {a: self._value(outer, scalars, v) for a, outer in zip(program.constvars, consts, strict=True)}
            values |= {a: self._get(a, v) for a in carried}
            self._equations(program.eqns, values, v)
            for a, out in zip(inner, program.outvars, strict=True):
                if aval_of(a).shape:
                    self._put(self._tile_memory[a], v, self._read(out, values))

    def _equations(self, equations: list[JaxprEqn], values: Values, v: LLVMValue | None) -> None:
        rule = inlined(partial(self._operation, v=v))
        for equation in equations:
            outs = rule(equation, [self._value(a, values, v) for a in equation.invars])
            values.update(zip(equation.outvars, map(_as_value, outs, equation.outvars), strict=True))

    def _operation(
        self, equation: JaxprEqn, inputs: list[Any], v: LLVMValue | None, contract: bool = False
    ) -> Sequence[LLVMValue]:
        args = list(map(_as_value, inputs, equation.invars))
        name, out = equation.primitive.name, aval_of(equation.outvars[0])
        if equation.primitive is load_block:
            return [self._load(equation.params["ref"], v, args)]
        if equation.primitive is store_block:
            self._store(equation.params["ref"], v, args[1], args[2:])
            return args[:1]
        if name == "broadcast_in_dim":
            return [splat(self._build, args[0], self._lanes) if out.shape else args[0]]
        if name in FUNCTIONS and out.dtype == np.float32:
            rule = inlined(partial(self._operation, v=v, contract=name not in EXACT_PRODUCTS))
            return interpret(_in_plain_operations(equation), args, rule)
        return [self._elementwise(equation, args, contract)]

    def _elementwise(self, equation: JaxprEqn, args: list[LLVMValue], contract: bool) -> LLVMValue:
        out = aval_of(equation.outvars[0])
        if out.shape:
            args = [a if lanes_of(a) else splat(self._build, a, self._lanes) for a in args]
        dtypes = [aval_of(a).dtype for a in equation.invars]
        return emit(self._build, equation.primitive.name, args, dtypes, out.dtype, equation.params, contract)

    def _value(self, a: Var | Literal, values: Values, v: LLVMValue | None) -> LLVMValue:
        """A variable or literal, which is read from the memory of the tile if it is not among `values`."""
        if isinstance(a, Literal) or a in values:
            return self._read(a, values)
        return self._get(a, v)

    def _read(self, a: Var | Literal, values: Values) -> LLVMValue:
        return _as_value(a.val, a) if isinstance(a, Literal) else values[a]

    # Memory

    def _load(self, number: int, v: LLVMValue, at: list[LLVMValue]) -> LLVMValue:
        array = self._arrays[number]
        element = _in_memory(array.dtype)
        kind = ir.VectorType(element, self._lanes)
        block = self._build.load(self._address(number, v, at), align=_bytes(element), typ=kind)
        return self._from_memory(block, array.dtype)

    def _store(self, number: int, v: LLVMValue, value: LLVMValue, at: list[LLVMValue]) -> None:
        array = self._arrays[number]
        element = _in_memory(array.dtype)
        address = self._address(number, v, at)
        if array.streams:
            align = min(ALIGNMENT, _bytes(element) * self._lanes)
            instruction = self._build.store(self._to_memory(value, array.dtype), address, align=align)
            instruction.set_metadata("nontemporal", self._build.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        else:
            self._build.store(self._to_memory(value, array.dtype), address, align=_bytes(element))

    def _address(self, number: int, v: LLVMValue, at: list[LLVMValue]) -> LLVMValue:
        build, array = self._build, self._arrays[number]
        place = build.add(self._first, v)
        if at:
            place = build.add(build.mul(build.sext(at[0], INDEX), index(array.row)), place)
        return build.gep(self._pointers[number], [place], source_etype=_in_memory(array.dtype))

    def _from_memory(self, value: LLVMValue, dtype: DTypeLike) -> LLVMValue:
        return self._build.trunc(value, type_of(dtype, self._lanes)) if dtype == np.bool_ else value

    def _to_memory(self, value: LLVMValue, dtype: DTypeLike) -> LLVMValue:
        kind = ir.VectorType(_in_memory(dtype), self._lanes)
        return self._build.zext(value, kind) if dtype == np.bool_ else value

    def _memory_of(self, a: Var) -> LLVMValue:
        """The memory of a variable for the neurons of the tile."""
        if a not in self._tile_memory:
            self._tile_memory[a] = self._alloca(a)
        return self._tile_memory[a]

    def _alloca(self, a: Var) -> LLVMValue:
        memory: LLVMValue = self._entry.alloca(ir.ArrayType(_in_memory(aval_of(a).dtype), self._size))
        memory.align = ALIGNMENT
        memory.type = ir.PointerType()
        return memory

    def _get(self, a: Var, v: LLVMValue | None) -> LLVMValue:
        element = _in_memory(aval_of(a).dtype)
        address = self._build.gep(self._tile_memory[a], [v], source_etype=element)
        block = self._build.load(address, align=_bytes(element), typ=ir.VectorType(element, self._lanes))
        return self._from_memory(block, aval_of(a).dtype)

    def _put(self, memory: LLVMValue, v: LLVMValue, value: LLVMValue) -> None:
        dtype = np.bool_ if value.type.element == ir.IntType(1) else None
        value = self._to_memory(value, dtype) if dtype else value
        element = value.type.element
        self._build.store(value, self._build.gep(memory, [v], source_etype=element), align=_bytes(element))

    # Loops

    def _neurons(self) -> AbstractContextManager[LLVMValue]:
        """A loop over the vectors of the tile, for the first neuron of each."""
        return for_loop(self._build, index(0), self._count, self._lanes)


def _in_plain_operations(equation: JaxprEqn) -> ClosedJaxpr:
    """An elementary function as a program of plain operations."""
    function = partial(FUNCTIONS[equation.primitive.name], **equation.params)
    return jax.make_jaxpr(function)(
        *(jax.ShapeDtypeStruct(aval_of(a).shape, aval_of(a).dtype) for a in equation.invars)
    )


def _parts(jaxpr: Jaxpr) -> Iterator[list[JaxprEqn]]:
    """The program in parts: each loop, and the equations between two loops."""
    part: list[JaxprEqn] = []
    for equation in jaxpr.eqns:
        if equation.primitive is time_loop:
            yield from ([part] if part else [])
            yield [equation]
            part = []
        else:
            part.append(equation)
    yield from ([part] if part else [])


def _is_scalar(equation: JaxprEqn) -> bool:
    """True for an equation without arrays of neurons."""
    return not any(aval_of(a).shape for a in (*equation.invars, *equation.outvars))


def _as_value(value: Any, a: Var | Literal) -> LLVMValue:
    """The value of a variable or literal; a number of the program as a constant of its dtype."""
    return value if isinstance(value, ir.Value) else constant(np.asarray(value)[()], aval_of(a).dtype, None)


def _in_memory(dtype: DTypeLike) -> ir.Type:
    """The type of an element in memory, where a truth value is a byte."""
    return ir.IntType(8) if dtype == np.bool_ else type_of(dtype, None)


def _bytes(element: ir.Type) -> int:
    return {ir.FloatType: 4, ir.DoubleType: 8}.get(type(element)) or element.width // 8  # pyright: ignore[reportAttributeAccessIssue]
