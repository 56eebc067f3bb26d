"""Products with spikes that add up the rows of a matrix at which there is a spike, and skip the zeros."""

from collections.abc import Callable, Sequence

import jax
from llvmlite import ir

from spikejax.kernels.llvm.call import call_kernel
from spikejax.kernels.llvm.compiler import POINTER, TILE, addresses
from spikejax.kernels.llvm.loops import FLOAT, INDEX, LLVMValue, for_loop, index, smaller_index, while_loop
from spikejax.kernels.llvm.table import KernelCode, kernel_code
from spikejax.typing import Array

WORD_BITS = 64
"""Bits that are looked at together."""

TILE_SUMS = WORD_BITS
"""Rows of the result in a tile: with the transpose, those of a word."""

LISTED_ROWS = 256
"""Rows of the matrix whose spikes are listed together: as many as a byte can number."""

VECTOR_ELEMENTS, SUM_VECTORS = 16, 8
"""Elements in a vector, and vectors of a row of the result that are in registers together."""

MIN_TILES, MIN_TILE_TERMS = 32, 1024
"""Tiles that a transposed product is cut into for threads to share, and the rows of W that are worth a tile."""

BYTE = ir.IntType(8)


def product_with_spikes(bits: Array, values: Array, inputs: int, *, transposed: bool = False) -> Array:
    """The product `s W`, or `s^T W`, for s 0 or 1; inside a function that XLA compiles, on one CPU.

    Args:
        bits: s `[rows, inputs]` as bits, uint8 `[rows, bytes]`, rows in whole words of 8 bytes; the first bit of a byte
            is its lowest, those beyond the columns of s are 0.
        values: W in float32, not empty.
        inputs: columns of s.
        transposed: True for the product with `s^T`.
    """
    rows, columns = bits.shape[0], values.shape[1]
    sums, terms = (inputs, rows) if transposed else (rows, inputs)
    parts = max(1, min(-(-MIN_TILES // -(-sums // TILE_SUMS)), terms // MIN_TILE_TERMS)) if transposed else 1
    length = -(-terms // (parts * LISTED_ROWS)) * LISTED_ROWS
    parts = -(-terms // length)
    code = product_code(rows, inputs, columns, length, transposed=transposed)
    (products,) = call_kernel(code, [jax.ShapeDtypeStruct((parts, sums, columns), values.dtype)], bits, values)
    return products.sum(0) if parts > 1 else products[0]


def product_code(rows: int, inputs: int, columns: int, length: int, *, transposed: bool) -> KernelCode:
    """The code of `product_with_spikes`, for s `[rows, inputs]` and W with so many columns.

    If W has more rows than `length`, the kernel gives several products, one of every `length` rows, which add up to
    the product of all.
    """
    module = ir.Module("events")
    sums, terms = (inputs, rows) if transposed else (rows, inputs)
    tiles = -(-sums // TILE_SUMS) * -(-terms // length)
    _ProductWriter(ir.Function(module, TILE, "tile"), sums, terms, columns, length, transposed)
    return kernel_code("spikejax_events", module, reads=2, writes=1, tiles=tiles, elements=rows * inputs)


class _ProductWriter:
    """Writer of the function that computes a tile of the result.

    The function goes through W block by block: it lists the rows of W to add for each row of the result, then adds
    them. A block has a sum of its own, so that long sums round as little as they do in a full product.
    """

    def __init__(
        self, function: ir.Function, sums: int, terms: int, columns: int, length: int, transposed: bool
    ) -> None:
        entry, build = (ir.IRBuilder(function.append_basic_block(name)) for name in ("entry", "start"))
        self._entry, self._build, self._columns = entry, build, columns
        self._words = index(-(-(sums if transposed else terms) // WORD_BITS))
        self._listed, self._lengths = self._memory(BYTE, TILE_SUMS * LISTED_ROWS), self._memory(INDEX, TILE_SUMS)
        arrays, number = function.args
        self._bits, self._values, self._out = addresses(build, arrays, 3)
        tiles = index(-(-sums // TILE_SUMS))
        self._number, part = build.urem(number, tiles), build.udiv(number, tiles)
        self._start = build.mul(part, index(length))
        stop = smaller_index(build, index(terms), build.add(self._start, index(length)))
        self._first = build.mul(self._number, index(TILE_SUMS))
        self._row = build.add(build.mul(part, index(sums)), self._first)
        self._count = smaller_index(build, build.sub(index(sums), self._first), index(TILE_SUMS))
        with for_loop(build, self._start, stop, LISTED_ROWS) as block:
            with for_loop(build, index(0), index(TILE_SUMS)) as i:
                build.store(index(0), self._at(INDEX, self._lengths, i))
            rows = smaller_index(build, build.sub(stop, block), index(LISTED_ROWS))
            (self._list_columns if transposed else self._list_rows)(block, rows)
            self._add(block)
        build.ret_void()
        entry.branch(function.blocks[1])

    def _list_rows(self, block: LLVMValue, count: LLVMValue) -> None:
        """Lists the spikes of each row of s."""
        build = self._build
        with for_loop(build, index(0), self._count) as i, for_loop(build, index(0), count, WORD_BITS) as start:
            word = build.udiv(build.add(block, start), index(WORD_BITS))
            self._list(build.add(self._first, i), word, lambda bit: (i, build.add(start, bit)))

    def _list_columns(self, block: LLVMValue, count: LLVMValue) -> None:
        """Lists the spikes of each column of s."""
        with for_loop(self._build, index(0), count) as term:
            self._list(self._build.add(block, term), self._number, lambda bit: (bit, term))

    def _list(self, row: LLVMValue, word: LLVMValue, place: Callable[[LLVMValue], tuple[LLVMValue, LLVMValue]]) -> None:
        """Lists the bits that are set in a word of s; `place` gives the list of a bit, and its number in there."""
        build = self._build
        bits = self._load(INDEX, self._bits, build.add(build.mul(row, self._words), word))
        without_lowest = lambda left: build.and_(left, build.sub(left, index(1)))  # noqa: E731
        with while_loop(build, bits, lambda left: build.icmp_unsigned("!=", left, index(0)), without_lowest) as left:
            target, term = place(build.cttz(left, ir.Constant(ir.IntType(1), 1)))
            length = self._load(INDEX, self._lengths, target)
            end = self._at(BYTE, self._listed, build.add(build.mul(target, index(LISTED_ROWS)), length))
            build.store(build.trunc(term, BYTE), end)
            build.store(build.add(length, index(1)), self._at(INDEX, self._lengths, target))

    def _add(self, block: LLVMValue) -> None:
        """Adds the listed rows of W to those of the result, as many columns at once as there are registers."""
        vector, wide = ir.VectorType(FLOAT, VECTOR_ELEMENTS), VECTOR_ELEMENTS * SUM_VECTORS
        whole, rest = divmod(self._columns, wide)
        with for_loop(self._build, index(0), index(whole * wide), wide) as column:
            self._add_columns(block, column, [vector] * SUM_VECTORS)
        if rest:
            ragged = [ir.VectorType(FLOAT, rest % VECTOR_ELEMENTS)] if rest % VECTOR_ELEMENTS else []
            self._add_columns(block, index(whole * wide), [vector] * (rest // VECTOR_ELEMENTS) + ragged)

    def _add_columns(self, block: LLVMValue, column: LLVMValue, vectors: Sequence[ir.VectorType]) -> None:
        build, columns = self._build, index(self._columns)
        sums = [self._memory(vector, 1) for vector in vectors]
        corner = build.add(build.mul(block, columns), column)
        is_first = build.icmp_unsigned("==", block, self._start)
        with for_loop(build, index(0), self._count) as i:
            target = build.add(build.mul(build.add(self._row, i), columns), column)
            for total, vector in zip(sums, vectors, strict=True):
                build.store(ir.Constant(vector, None), total)
            listed = build.mul(i, index(LISTED_ROWS))
            with for_loop(build, index(0), self._load(INDEX, self._lengths, i)) as event:
                term = build.zext(self._load(BYTE, self._listed, build.add(listed, event)), INDEX)
                source = build.add(corner, build.mul(term, columns))
                for n, (total, vector) in enumerate(zip(sums, vectors, strict=True)):
                    more = self._load(vector, self._values, build.add(source, index(n * VECTOR_ELEMENTS)), FLOAT)
                    build.store(build.fadd(build.load(total, typ=vector), more), total)
            for n, (total, vector) in enumerate(zip(sums, vectors, strict=True)):
                place, added = build.add(target, index(n * VECTOR_ELEMENTS)), build.load(total, typ=vector)
                so_far = self._load(vector, self._out, place, FLOAT)
                added = build.select(is_first, added, build.fadd(so_far, added))
                build.store(added, self._at(FLOAT, self._out, place), align=4)

    # Memory

    def _memory(self, kind: ir.Type, count: int) -> LLVMValue:
        """Memory for `count` elements on the stack of the function."""
        memory: LLVMValue = self._entry.alloca(ir.ArrayType(kind, count))
        memory.align, memory.type = 64, POINTER
        return memory

    def _at(self, kind: ir.Type, pointer: LLVMValue, place: LLVMValue) -> LLVMValue:
        return self._build.gep(pointer, [place], source_etype=kind)

    def _load(self, kind: ir.Type, pointer: LLVMValue, place: LLVMValue, element: ir.Type | None = None) -> LLVMValue:
        """A value of type `kind` that begins at an element of an array, and is aligned like the element."""
        size = 4 if element is FLOAT else 1 if kind is BYTE else 8
        return self._build.load(self._at(element or kind, pointer, place), typ=kind, align=size)
