"""The shape of the source tree: who may import whom, and how large and plain a file is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "spikejax"
FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
ORDER = (
    "sequence",
    "typing",
    "internals",
    "checks",
    "jaxpr",
    "pytree",
    "surrogate",
    "cells",
    "kernels",
    "scan",
    "encoding",
    "losses",
    "nn",
    "plasticity",
    "monitor",
    "visualize",
    "datasets",
    "models",
    "train",
    "convert",
    "export",
    "cli",
)
CORE = ORDER[: ORDER.index("losses") + 1]
MAX_LINES = 350


def parts_of(path: str) -> tuple[str, ...]:
    """The module's name below spikejax: `nn/cell.py` is (nn, cell), `nn/__init__.py` is (nn,)."""
    parts = tuple(path.removesuffix(".py").split("/"))
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports_of(source: str, path: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and absolute dotted name of everything imported, inside functions as well."""
    package = ("spikejax", *path.split("/")[:-1])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            for alias in node.names:
                yield node.lineno, (*base, *module, alias.name)


def check_layers(source: str, path: str) -> Iterator[str]:
    """A package imports only from those above it in ORDER."""
    parts = parts_of(path)
    if not parts:
        return  # spikejax/__init__.py gathers from everywhere
    if parts[0] not in ORDER:
        yield f"{path}: `{parts[0]}` has no place in ORDER"
        return
    for line, name in imports_of(source, path):
        if name[0] != "spikejax" or name[1:2] == parts[:1]:
            continue
        target = name[1] if len(name) > 1 else "spikejax"
        if target not in ORDER:
            yield f"{path}:{line}: imports `{'.'.join(name)}`: name the package that defines it"
        elif ORDER.index(target) > ORDER.index(parts[0]):
            yield f"{path}:{line}: `{parts[0]}` imports from `{target}`, which lies below it"


def check_core(source: str, path: str) -> Iterator[str]:
    """The core, from typing to losses, knows nothing of Flax."""
    if parts_of(path)[:1] and parts_of(path)[0] in CORE:
        for line, name in imports_of(source, path):
            if name[0] == "flax":
                yield f"{path}:{line}: the core imports `{'.'.join(name)}`"


def check_export(source: str, path: str) -> Iterator[str]:
    """The exporters are leaves: only the command line imports them; they share `chain`, and the table in `support`."""
    parts = parts_of(path)
    if not parts or parts[:1] == ("cli",) or parts in (("export",), ("export", "registry")):
        return  # what gathers, and the command line
    for line, name in imports_of(source, path):
        if name[:2] != ("spikejax", "export"):
            continue
        if parts[:1] != ("export",) or name[2:3] not in (parts[1:2], ("chain",), ("support",)):
            yield f"{path}:{line}: imports `{'.'.join(name)}`, a leaf"


def check_asserts(source: str, path: str) -> Iterator[str]:
    """`python -O` removes an assert: the library raises errors that say what to do."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            yield f"{path}:{node.lineno}: assert"


def check_size(source: str, path: str) -> Iterator[str]:
    """A file holds one idea."""
    lines = len(source.splitlines())
    if lines > MAX_LINES:
        yield f"{path}: {lines} lines, at most {MAX_LINES}"


def check_init(source: str, path: str) -> Iterator[str]:
    """An `__init__.py` only re-exports, and says what in `__all__`."""
    if not path.endswith("__init__.py"):
        return
    assigned = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            names = {ast.unparse(target) for target in node.targets}
            assigned |= names
            allowed = all(name.startswith("__") for name in names)
        else:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            allowed = docstring or isinstance(node, ast.Import | ast.ImportFrom)
        if not allowed:
            yield f"{path}:{node.lineno}: more than a re-export"
    if "__all__" not in assigned:
        yield f"{path}: no `__all__`"


CHECKS = (check_layers, check_core, check_export, check_asserts, check_size, check_init)


@pytest.mark.parametrize("check", CHECKS)
def test_source(check):
    assert FILES
    assert [fault for path in FILES for fault in check((SOURCE / path).read_text("utf-8"), path)] == []


@pytest.mark.parametrize(
    ("check", "path", "source", "fault"),
    [
        (check_layers, "cells/leaky.py", "from spikejax.scan import run", "lies below"),
        (check_layers, "cells/leaky.py", "from ..scan.run import run", "lies below"),
        (check_layers, "cells/leaky.py", "from .. import scan", "lies below"),
        (check_layers, "cells/leaky.py", "import spikejax.nn.cell", "lies below"),
        (check_layers, "typing.py", "def f():\n    from .pytree import Pytree", "typing.py:2"),
        (check_layers, "scan/run.py", "from spikejax import LIF", "name the package"),
        (check_layers, "scan/run.py", "import spikejax as sx", "name the package"),
        (check_layers, "utils.py", "", "no place"),
        (check_core, "losses.py", "from flax import nnx", "the core"),
        (check_core, "cells/base.py", "import flax.nnx as nnx", "the core"),
        (check_export, "export/onnx/graph.py", "from ..netx import write", "a leaf"),
        (check_export, "export/nir.py", "from spikejax.export.onnx import to_onnx", "a leaf"),
        (check_export, "export/nir.py", "from . import onnx", "a leaf"),
        (check_export, "convert/rules.py", "from spikejax import export", "a leaf"),
        (check_asserts, "losses.py", "def f(x):\n    assert x", "losses.py:2"),
        (check_size, "losses.py", "x = 1\n" * 351, "351 lines"),
        (check_init, "nn/__init__.py", '"""Layers."""\nfrom .cell import Cell', "no `__all__`"),
        (check_init, "nn/__init__.py", "def f(): ...\n__all__ = ['f']", "more than"),
        (check_init, "nn/__init__.py", "class C: ...\n__all__ = ['C']", "more than"),
        (check_init, "nn/__init__.py", "for i in (): pass\n__all__ = []", "more than"),
        (check_init, "nn/__init__.py", "limit = 1\n__all__ = ['limit']", "more than"),
    ],
)
def test_check_sees_fault(check, path, source, fault):
    faults = list(check(source, path))
    assert len(faults) == 1
    assert fault in faults[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "__init__.py",
            '"""Doc."""\nfrom . import nn\nfrom .cells import LIF\n__version__ = "1"\n__all__ = ["LIF"]',
        ),
        (
            "cells/leaky.py",
            "import jax\nfrom spikejax.typing import Cell\nfrom .base import IF\nfrom ..checks import check_number",
        ),
        ("nn/sequential.py", "from flax import nnx\nfrom spikejax.scan import run"),
        (
            "export/netx/write.py",
            "from .quantize import quantize\nfrom spikejax.export.netx import read\nimport nir",
        ),
        ("export/__init__.py", "from .netx import to_netx\n__all__ = ['to_netx']"),
        ("cli.py", "from spikejax.export.nir import to_nir"),
    ],
)
def test_check_allows(path, source):
    assert [fault for check in CHECKS for fault in check(source, path)] == []
