"""A kernel's program as an LLVM function that takes a tile of neurons through it.

A tile is as many neurons as fit into the first cache. The loops of the program, which are over time, are outside, the
neurons of the tile inside, a vector of them at once: so memory is read and written in rows.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from llvmlite import ir

from spikejax.internals import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, aval_of
from spikejax.jaxpr import inlined, interpret
from spikejax.kernels.llvm.access import load, loop, store
from spikejax.kernels.llvm.functions import EXACT_PRODUCTS, FUNCTIONS
from spikejax.kernels.llvm.instructions import emit
from spikejax.kernels.llvm.loops import INDEX, for_loop, index
from spikejax.kernels.llvm.loops import LLVMValue as Value
from spikejax.kernels.llvm.values import constant, lanes_of, splat, type_of

ALIGNED = 64
"""Bytes: how XLA aligns arrays, and the widest vectors that there are."""


class Memory(NamedTuple):
    """How an array of the kernel lies in memory.

    Attributes:
        dtype: of its elements.
        row: from a step to the next, in elements.
        streams: whether it is written past the caches.
    """

    dtype: Any
    row: int
    streams: bool


Names = dict[Any, Value]
"""Values of the program's variables."""


class Tile:
    """Writes the function `(pointers..., first neuron, number of neurons)`.

    Args:
        function: the function, empty.
        program: what it is to do with a block.
        arrays: what it reads and writes, behind the pointers.
        lanes: neurons in a block, of which the number of neurons is a multiple.
        size: most neurons in a tile.
    """

    def __init__(
        self, function: ir.Function, program: ClosedJaxpr, arrays: list[Memory], lanes: int, size: int
    ) -> None:
        *self._pointers, self._first, self._count = function.args
        self._entry = ir.IRBuilder(function.append_basic_block("entry"))
        self._build = ir.IRBuilder(function.append_basic_block("start"))
        self._arrays, self._lanes, self._size = arrays, lanes, size
        self._kept: dict[Any, Value] = {}
        self._run(program)
        self._build.ret_void()
        self._entry.branch(function.blocks[1])

    def _run(self, program: ClosedJaxpr) -> None:
        jaxpr = program.jaxpr
        scalars: Names = dict(zip(jaxpr.constvars, map(_as_value, program.consts, jaxpr.constvars), strict=True))
        parts = list(_parts(jaxpr))
        for number, part in enumerate(parts):
            if part[0].primitive is loop:
                self._loop(part[0], scalars)
                continue
            needed = {a for later in parts[number + 1 :] for e in later for a in e.invars if not isinstance(a, Literal)}
            self._equations([e for e in part if _is_scalar(e)], scalars, None)
            with self._neurons() as v:
                names = dict(scalars)
                self._equations([e for e in part if not _is_scalar(e)], names, v)
                for a in [a for a in names if a in needed and aval_of(a).shape]:
                    self._put(self._room(a), v, names[a])
            scalars.update((a, names[a]) for a in names if a in needed and not aval_of(a).shape)  # the order of writes

    def _loop(self, equation: JaxprEqn, scalars: Names) -> None:
        """A loop over time, around one over the neurons of the tile."""
        build, program = self._build, equation.params["program"]
        count = len(program.constvars)
        step, *inner = program.invars
        carried = [a for a in inner if aval_of(a).shape]
        consts, starts = equation.invars[:count], equation.invars[count:]
        for a, start, out in zip(inner, starts, equation.outvars, strict=True):
            if aval_of(a).shape:
                self._kept[a] = self._kept[out] = self._alloca(a)
            else:
                scalars[a] = scalars[out] = self._value(start, scalars, None)  # the order of writes
        with self._neurons() as v:
            for a, start in zip(inner, starts, strict=True):
                if aval_of(a).shape:
                    self._put(self._kept[a], v, self._value(start, scalars, v))
        first, last = (index(equation.params[name]) for name in ("start", "stop"))
        with for_loop(build, first, last) as t, self._neurons() as v:
            names = scalars | {step: build.trunc(t, type_of(aval_of(step).dtype, None))}
            names |= {a: self._value(outer, scalars, v) for a, outer in zip(program.constvars, consts, strict=True)}
            names |= {a: self._get(a, v) for a in carried}
            self._equations(program.eqns, names, v)
            for a, out in zip(inner, program.outvars, strict=True):
                if aval_of(a).shape:
                    self._put(self._kept[a], v, self._read(out, names))

    def _equations(self, equations: list[JaxprEqn], names: Names, v: Value | None) -> None:
        rule = inlined(partial(self._operation, v=v))
        for equation in equations:
            outs = rule(equation, [self._value(a, names, v) for a in equation.invars])
            names.update(zip(equation.outvars, map(_as_value, outs, equation.outvars), strict=True))

    def _operation(
        self, equation: JaxprEqn, inputs: list[Any], v: Value | None, contract: bool = False
    ) -> Sequence[Value]:
        args = list(map(_as_value, inputs, equation.invars))
        name, out = equation.primitive.name, aval_of(equation.outvars[0])
        if equation.primitive is load:
            return [self._load(equation.params["ref"], v, args)]
        if equation.primitive is store:
            self._store(equation.params["ref"], v, args[1], args[2:])
            return args[:1]
        if name == "broadcast_in_dim":
            return [splat(self._build, args[0], self._lanes) if out.shape else args[0]]
        if name in FUNCTIONS and out.dtype == np.float32:
            rule = inlined(partial(self._operation, v=v, contract=name not in EXACT_PRODUCTS))
            return interpret(_in_plain_operations(equation), args, rule)
        return [self._elementwise(equation, args, contract)]

    def _elementwise(self, equation: JaxprEqn, args: list[Value], contract: bool) -> Value:
        out = aval_of(equation.outvars[0])
        if out.shape:
            args = [a if lanes_of(a) else splat(self._build, a, self._lanes) for a in args]
        dtypes = [aval_of(a).dtype for a in equation.invars]
        return emit(self._build, equation.primitive.name, args, dtypes, out.dtype, equation.params, contract)

    def _value(self, a: Any, names: Names, v: Value | None) -> Value:
        """A variable or literal; kept ones are read from the tile."""
        if isinstance(a, Literal) or a in names:
            return self._read(a, names)
        return self._get(a, v)

    def _read(self, a: Any, names: Names) -> Value:
        return _as_value(a.val, a) if isinstance(a, Literal) else names[a]

    # Memory

    def _load(self, number: int, v: Value, at: list[Value]) -> Value:
        array = self._arrays[number]
        element = _in_memory(array.dtype)
        found = self._build.load(
            self._address(number, v, at), align=_bytes(element), typ=ir.VectorType(element, self._lanes)
        )
        return self._from_memory(found, array.dtype)

    def _store(self, number: int, v: Value, value: Value, at: list[Value]) -> None:
        array = self._arrays[number]
        element = _in_memory(array.dtype)
        address = self._address(number, v, at)
        if array.streams:
            done = self._build.store(
                self._to_memory(value, array.dtype), address, align=min(ALIGNED, _bytes(element) * self._lanes)
            )
            done.set_metadata("nontemporal", self._build.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        else:
            self._build.store(self._to_memory(value, array.dtype), address, align=_bytes(element))

    def _address(self, number: int, v: Value, at: list[Value]) -> Value:
        build, array = self._build, self._arrays[number]
        place = build.add(self._first, v)
        if at:
            place = build.add(build.mul(build.sext(at[0], INDEX), index(array.row)), place)
        return build.gep(self._pointers[number], [place], source_etype=_in_memory(array.dtype))

    def _from_memory(self, value: Value, dtype: Any) -> Value:
        return self._build.trunc(value, type_of(dtype, self._lanes)) if dtype == np.bool_ else value

    def _to_memory(self, value: Value, dtype: Any) -> Value:
        kind = ir.VectorType(_in_memory(dtype), self._lanes)
        return self._build.zext(value, kind) if dtype == np.bool_ else value

    def _room(self, a: Any) -> Value:
        """The tile's memory of a variable."""
        if a not in self._kept:
            self._kept[a] = self._alloca(a)
        return self._kept[a]

    def _alloca(self, a: Any) -> Value:
        room: Any = self._entry.alloca(ir.ArrayType(_in_memory(aval_of(a).dtype), self._size))
        room.align = 64
        room.type = ir.PointerType()
        return room

    def _get(self, a: Any, v: Value) -> Value:
        element = _in_memory(aval_of(a).dtype)
        address = self._build.gep(self._kept[a], [v], source_etype=element)
        found = self._build.load(address, align=_bytes(element), typ=ir.VectorType(element, self._lanes))
        return self._from_memory(found, aval_of(a).dtype)

    def _put(self, room: Value, v: Value, value: Value) -> None:
        dtype = np.bool_ if value.type.element == ir.IntType(1) else None
        value = self._to_memory(value, dtype) if dtype else value
        element = value.type.element
        self._build.store(value, self._build.gep(room, [v], source_etype=element), align=_bytes(element))

    # Loops

    def _neurons(self) -> Any:
        """A loop over the vectors of the tile; gives where a vector begins."""
        return for_loop(self._build, index(0), self._count, self._lanes)


def _in_plain_operations(equation: JaxprEqn) -> ClosedJaxpr:
    """An elementary function as a program."""
    function = partial(FUNCTIONS[equation.primitive.name], **equation.params)
    return jax.make_jaxpr(function)(
        *(jax.ShapeDtypeStruct(aval_of(a).shape, aval_of(a).dtype) for a in equation.invars)
    )


def _parts(jaxpr: Jaxpr) -> Iterator[list[JaxprEqn]]:
    """The program in parts: each loop, and what lies between."""
    part: list[JaxprEqn] = []
    for equation in jaxpr.eqns:
        if equation.primitive is loop:
            yield from ([part] if part else [])
            yield [equation]
            part = []
        else:
            part.append(equation)
    yield from ([part] if part else [])


def _is_scalar(equation: JaxprEqn) -> bool:
    """Whether it has to do with no neuron."""
    return not any(aval_of(a).shape for a in (*equation.invars, *equation.outvars))


def _as_value(value: Any, a: Any) -> Value:
    """The value of a variable or literal; a number of the program as a constant."""
    return value if isinstance(value, ir.Value) else constant(np.asarray(value)[()], aval_of(a).dtype, None)


def _in_memory(dtype: Any) -> ir.Type:
    """Of an element; a truth value is a byte there."""
    return ir.IntType(8) if dtype == np.bool_ else type_of(dtype, None)


def _bytes(element: Any) -> int:
    return {ir.FloatType: 4, ir.DoubleType: 8}.get(type(element)) or element.width // 8
