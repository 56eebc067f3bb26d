"""The kernels that XLA can call: their machine code, and the time for which it lives."""

import ctypes
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from weakref import ref

import llvmlite.binding as llvm
from llvmlite import ir

from spikejax.internals import FFI_VERSION, handler, register_handler
from spikejax.kernels.llvm.compiler import compiled

TARGET = "spikejax_kernel"
"""The name by which XLA knows the handler of all kernels."""

CAPACITY = 2**16
"""Most kernels at once. The table takes memory only as it fills."""

MAX_UNUSED = 256
"""Most kernels that stay compiled, for the next program that needs them, though no program uses them."""


MIN_SHARED_ELEMENTS = 2**18
"""Elements of an array from which on threads share a kernel: handing over to one takes some microseconds."""


class XLARefusalError(RuntimeError):
    """XLA does not call functions of the version that kernels are written for."""


@dataclass(frozen=True)
class KernelCode:
    """A kernel before it is compiled: equal ones share their machine code.

    Attributes:
        name: of the kernel, as programs of XLA show it.
        text: the module in LLVM's language, which defines "tile".
        reads: number of arrays that it reads, the first ones.
        writes: number of arrays that it writes, behind those.
        tiles: number of tiles.
        helpers: most threads that may join the one that calls it.
    """

    name: str
    text: str = field(repr=False)
    reads: int
    writes: int
    tiles: int
    helpers: int

    @property
    def key(self) -> int:
        """63 bits that identify it, the same in every process: XLA's cache of compiled programs may outlive this."""
        digest = hashlib.sha256(repr((self.text, self.reads, self.writes, self.tiles, self.helpers)).encode()).digest()
        return int.from_bytes(digest[:8]) >> 1


def kernel_code(name: str, module: ir.Module, *, reads: int, writes: int, tiles: int, elements: int) -> KernelCode:
    """The code of a kernel whose largest array has so many `elements`; threads share the tiles of large ones."""
    return KernelCode(name, str(module), reads, writes, tiles, tiles - 1 if elements >= MIN_SHARED_ELEMENTS else 0)


class LoweredKernel:
    """A compiled kernel as a program refers to it, which keeps its machine code while it exists.

    Attributes:
        key: of its code.
    """

    def __init__(self, key: int) -> None:
        self.key = key


class KernelRecord(ctypes.Structure):
    """An entry of the table, as `handler.ll` has it."""

    _fields_ = [(name, ctypes.c_int64) for name in ("key", "users", "tile", "reads", "writes", "tiles", "helpers")]


@dataclass
class _Entry:
    """A compiled kernel: its machine code, its place in the table, and what programs hold of it."""

    engine: llvm.ExecutionEngine
    place: int
    lowered: Callable[[], LoweredKernel | None] = lambda: None


class KernelTable:
    """All compiled kernels of the process.

    XLA finds a kernel by its key when it makes an executable, and counts the executables that hold each kernel. So the
    machine code of a kernel is freed only if no executable can call it any more, and no lowered program can still be
    compiled to one that would: that is, after both are garbage, as `jax.clear_caches()` or the end of the jitted
    function makes them. Of kernels that nothing uses the `MAX_UNUSED` lowered last stay; those before them are freed
    when the next kernel is compiled. A kernel in use is never freed, so beyond those there are as many kernels as the
    executables that JAX keeps contain. A program that outlives its kernel all the same, such as a serialized
    executable, is refused by XLA when it is loaded.

    Raises:
        XLARefusalError: XLA does not call functions of version `FFI_VERSION`.
    """

    def __init__(self) -> None:
        engine = compiled(handler(FFI_VERSION))
        _register(engine)
        function = engine.get_function_address
        reserve = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(function("open"))
        self._claim = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(function("claim"))
        self._publish = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(function("publish"))
        engine.detach()  # never freed: XLA may call it until the process ends
        self._records = (KernelRecord * CAPACITY).from_address(reserve(CAPACITY) or 0)
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._vacant: list[int] = []
        self._count = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """Number of kernels whose machine code there is."""
        return len(self._entries)

    def add(self, code: KernelCode) -> LoweredKernel:
        """Compiles a kernel, unless it is there already.

        Returns:
            The kernel, to be kept as long as the program that calls it may be compiled.

        Raises:
            RuntimeError: all kernels that the table has room for are in use.
        """
        key = code.key
        with self._lock:
            if key not in self._entries:
                self._free_unused()
                self._entries[key] = self._compile(code, key)
            self._entries.move_to_end(key)
            entry = self._entries[key]
            lowered = entry.lowered() or LoweredKernel(key)
            entry.lowered = ref(lowered)
            return lowered

    def _compile(self, code: KernelCode, key: int) -> _Entry:
        if not self._vacant and self._count == CAPACITY:
            raise RuntimeError(
                f"all {CAPACITY} kernels are in use by compiled programs: free some with jax.clear_caches()"
            )
        engine = compiled(code.text)
        place = self._vacant.pop() if self._vacant else self._count
        record = self._records[place]
        self._count = max(self._count, place + 1)
        record.key, record.users, record.tile = key, -1, engine.get_function_address("tile")
        record.reads, record.writes, record.tiles, record.helpers = code.reads, code.writes, code.tiles, code.helpers
        self._publish(ctypes.addressof(record), self._count)
        return _Entry(engine, place)

    def _free_unused(self) -> None:
        """Frees the kernels that nothing uses, except the last ones."""
        unused = [key for key, entry in self._entries.items() if self._is_unused(entry)]
        for key in unused[: max(0, len(unused) - MAX_UNUSED)]:
            entry = self._entries[key]
            if self._claim(ctypes.addressof(self._records[entry.place])):
                del self._entries[key]
                entry.engine.close()
                self._vacant.append(entry.place)

    def _is_unused(self, entry: _Entry) -> bool:
        return entry.lowered() is None and self._records[entry.place].users == 0


@cache
def kernel_table() -> KernelTable | str:
    """The one table, or the reason for which XLA refuses it."""
    try:
        return KernelTable()
    except XLARefusalError as error:
        return str(error)


def why_xla_refuses() -> str | None:
    """The reason for which XLA cannot call kernels, or None if it can."""
    table = kernel_table()
    return table if isinstance(table, str) else None


def _register(engine: llvm.ExecutionEngine) -> None:
    """Makes the handler known to XLA, which says here whether it calls functions of its version."""
    function, data = engine.get_function_address, engine.get_global_value_address
    try:
        state = {"type_id": data("state.type"), "type_info": data("state")}
        register_handler(TARGET, state, {stage: function(stage) for stage in ("instantiate", "execute")})
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        version = ".".join(map(str, FFI_VERSION))
        raise XLARefusalError(
            f"XLA refuses functions of version {version} of its foreign function interface ({error})"
        ) from error
