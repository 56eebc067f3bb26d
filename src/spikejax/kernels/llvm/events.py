"""A product with spikes that adds up rows of a matrix where there is a spike, and skips the zeros."""

from collections.abc import Callable
from typing import Any

import jax
from llvmlite import ir

from spikejax.kernels.llvm.compiler import POINTER, TILE, addresses, describe, target_of
from spikejax.kernels.llvm.loops import INDEX, cycle, index, least, repeat
from spikejax.typing import Array

WORD = 64
"""Bits that are looked at together."""

SUMS = WORD
"""Rows of the result in a tile: with the transpose, those of a word."""

BLOCK = 256
"""Rows of the matrix whose spikes are listed together: as many as a byte can number."""

LANES, VECTORS = 16, 8
"""Elements in a vector, and vectors of a row of the result that are in registers together."""

SHARES, LONG = 32, 1024
"""Tiles that there should be, for threads to share, and rows of W that are worth a tile."""

BYTE, FLOAT = ir.IntType(8), ir.FloatType()
Value = Any


def product_with_spikes(bits: Array, values: Array, inputs: int, *, transposed: bool = False) -> Array:
    """`s W`, or `s^T W`, for s 0 or 1; under a compiled function of XLA's, on one CPU.

    Args:
        bits: s `[rows, inputs]` as bits, uint8 `[rows, bytes]`, rows in whole words of 8 bytes; the first bit of a byte
            is its lowest, those beyond the columns of s are 0.
        values: W in float32, not empty.
        inputs: columns of s.
        transposed: whether it is the product with `s^T`.
    """
    rows, columns = bits.shape[0], values.shape[1]
    sums, terms = (inputs, rows) if transposed else (rows, inputs)
    parts = max(1, min(-(-SHARES // -(-sums // SUMS)), terms // LONG)) if transposed else 1
    length = -(-terms // (parts * BLOCK)) * BLOCK
    parts = -(-terms // length)
    target = target_of("spikejax_events", module_of(rows, inputs, columns, length, transposed=transposed))
    out = jax.ffi.ffi_call(target, jax.ShapeDtypeStruct((parts, sums, columns), values.dtype))(bits, values)
    return out.sum(0) if parts > 1 else out[0]


def module_of(rows: int, inputs: int, columns: int, length: int, *, transposed: bool) -> ir.Module:
    """The module of `product_with_spikes`, for so many rows and columns of s, and so many columns of W.

    Where W has more rows than `length`, as many of them make one of several products, which add up to that of all.
    """
    module = ir.Module("events")
    sums, terms = (inputs, rows) if transposed else (rows, inputs)
    tiles = -(-sums // SUMS) * -(-terms // length)
    describe(module, given=2, wanted=1, tiles=tiles, elements=rows * inputs)
    _Product(ir.Function(module, TILE, "tile"), sums, terms, columns, length, transposed)
    return module


class _Product:
    """Writes the function that computes a tile of the result.

    Block by block of W, it lists for each row of the result the rows of W to add, then adds them. A block has a sum of
    its own, so that long sums round as little as they do in a full product.
    """

    def __init__(
        self, function: ir.Function, sums: int, terms: int, columns: int, length: int, transposed: bool
    ) -> None:
        entry, build = (ir.IRBuilder(function.append_basic_block(name)) for name in ("entry", "start"))
        self._entry, self._build, self._columns = entry, build, columns
        self._words = index(-(-(sums if transposed else terms) // WORD))
        self._listed, self._lengths = self._room(BYTE, SUMS * BLOCK), self._room(INDEX, SUMS)
        arrays, number = function.args
        self._bits, self._values, self._out = addresses(build, arrays, 3)
        tiles = index(-(-sums // SUMS))
        self._number, part = build.urem(number, tiles), build.udiv(number, tiles)
        self._start = build.mul(part, index(length))
        stop = least(build, index(terms), build.add(self._start, index(length)))
        self._first = build.mul(self._number, index(SUMS))
        self._row = build.add(build.mul(part, index(sums)), self._first)
        self._count = least(build, build.sub(index(sums), self._first), index(SUMS))
        with repeat(build, self._start, stop, BLOCK) as block:
            with repeat(build, index(0), index(SUMS)) as i:
                build.store(index(0), self._at(INDEX, self._lengths, i))
            left = least(build, build.sub(stop, block), index(BLOCK))
            (self._list_columns if transposed else self._list_rows)(block, left)
            self._add(block)
        build.ret_void()
        entry.branch(function.blocks[1])

    def _list_rows(self, block: Value, count: Value) -> None:
        """The spikes of each row of s."""
        build = self._build
        with repeat(build, index(0), self._count) as i, repeat(build, index(0), count, WORD) as start:
            word = build.udiv(build.add(block, start), index(WORD))
            self._list(build.add(self._first, i), word, lambda bit: (i, build.add(start, bit)))

    def _list_columns(self, block: Value, count: Value) -> None:
        """The spikes of each column of s."""
        with repeat(self._build, index(0), count) as term:
            self._list(self._build.add(block, term), self._number, lambda bit: (bit, term))

    def _list(self, row: Value, word: Value, place: Callable[[Value], tuple[Value, Value]]) -> None:
        """Lists the bits that are set in a word of s; `place` says in which list, and as what."""
        build = self._build
        bits = self._load(INDEX, self._bits, build.add(build.mul(row, self._words), word))
        without_lowest = lambda left: build.and_(left, build.sub(left, index(1)))  # noqa: E731
        with cycle(build, bits, lambda left: build.icmp_unsigned("!=", left, index(0)), without_lowest) as left:
            which, term = place(build.cttz(left, ir.Constant(ir.IntType(1), 1)))
            length = self._load(INDEX, self._lengths, which)
            end = self._at(BYTE, self._listed, build.add(build.mul(which, index(BLOCK)), length))
            build.store(build.trunc(term, BYTE), end)
            build.store(build.add(length, index(1)), self._at(INDEX, self._lengths, which))

    def _add(self, block: Value) -> None:
        """Adds to the rows of the result what is listed, so many columns at once as there are registers."""
        vector, wide = ir.VectorType(FLOAT, LANES), LANES * VECTORS
        whole, rest = divmod(self._columns, wide)
        with repeat(self._build, index(0), index(whole * wide), wide) as column:
            self._add_columns(block, column, [vector] * VECTORS)
        if rest:
            ragged = [ir.VectorType(FLOAT, rest % LANES)] if rest % LANES else []
            self._add_columns(block, index(whole * wide), [vector] * (rest // LANES) + ragged)

    def _add_columns(self, block: Value, column: Value, vectors: list[Any]) -> None:
        build, columns = self._build, index(self._columns)
        sums = [self._room(vector, 1) for vector in vectors]
        corner = build.add(build.mul(block, columns), column)
        is_first = build.icmp_unsigned("==", block, self._start)
        with repeat(build, index(0), self._count) as i:
            target = build.add(build.mul(build.add(self._row, i), columns), column)
            for total, vector in zip(sums, vectors, strict=True):
                build.store(ir.Constant(vector, None), total)
            listed = build.mul(i, index(BLOCK))
            with repeat(build, index(0), self._load(INDEX, self._lengths, i)) as event:
                term = build.zext(self._load(BYTE, self._listed, build.add(listed, event)), INDEX)
                source = build.add(corner, build.mul(term, columns))
                for n, (total, vector) in enumerate(zip(sums, vectors, strict=True)):
                    more = self._load(vector, self._values, build.add(source, index(n * LANES)), FLOAT)
                    build.store(build.fadd(build.load(total, typ=vector), more), total)
            for n, (total, vector) in enumerate(zip(sums, vectors, strict=True)):
                place, found = build.add(target, index(n * LANES)), build.load(total, typ=vector)
                so_far = self._load(vector, self._out, place, FLOAT)
                found = build.select(is_first, found, build.fadd(so_far, found))
                build.store(found, self._at(FLOAT, self._out, place), align=4)

    # Memory

    def _room(self, kind: Any, count: int) -> Value:
        """Memory of the function's own."""
        room: Any = self._entry.alloca(ir.ArrayType(kind, count))
        room.align, room.type = 64, POINTER
        return room

    def _at(self, kind: Any, pointer: Value, place: Value) -> Value:
        return self._build.gep(pointer, [place], source_etype=kind)

    def _load(self, kind: Any, pointer: Value, place: Value, element: Any = None) -> Value:
        """What begins at an element of an array, aligned as this is."""
        size = 4 if element is FLOAT else 1 if kind is BYTE else 8
        return self._build.load(self._at(element or kind, pointer, place), typ=kind, align=size)
