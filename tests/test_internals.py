"""What lies inside JAX and Flax is known in one place: nothing else imports it, or reads attributes and keys of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "spikejax"
HOME = "internals/"
MODULES = ("jax._src", "jax.extend", "jax.interpreters", "jax.core", "jax.ffi", "jax.lib", "jaxlib")
MODULES += ("flax.nnx.reprlib", "flax.nnx.graphlib", "flax.nnx.pytreelib", "flax.nnx.statelib", "flax.nnx.variablelib")
PUBLIC = ("jax.core.Tracer",)
"""What JAX's documentation tells everyone to use: `isinstance(x, jax.core.Tracer)`."""
ATTRIBUTES = frozenset(
    """
    axis_context call_jaxpr debug_info func_name fun_jaxpr get_bind_params manual_axis_type mat module_context
    source_info vma
    """.split()  # noqa: SIM905
)
"""Fields of programs, lowerings and types."""
KEYS = frozenset(("jaxpr", "call_jaxpr", "fun_jaxpr", "jvp_jaxpr_fun", "jvp_jaxpr_thunk", "num_consts"))
"""Parameters of equations."""
INTERPRETERS = ("internals/", "jaxpr/", "kernels/llvm/code.py")
"""The modules that go through the equations of a program; `code.py` does so part by part, each a loop of its own."""


def inner(name: str) -> bool:
    """True for a dotted name inside JAX or Flax."""
    at = lambda root: name == root or name.startswith(f"{root}.")  # noqa: E731
    return any(map(at, MODULES)) and not any(map(at, PUBLIC))


def uses_of(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every use of an inner surface: imports, dotted names, attributes and keys."""
    tree = ast.parse(source)
    roots = {"jax": "jax", "flax": "flax", "jaxlib": "jaxlib"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.asname: alias.name for alias in node.names if alias.asname}
            yield from ((node.lineno, alias.name) for alias in node.names if inner(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            roots |= names
            yield from ((node.lineno, name) for name in names.values() if inner(name))
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition(".")
            name = f"{roots.get(root, root)}.{rest}"
            if node.attr in ATTRIBUTES or (inner(name) and id(node) not in inside):
                yield node.lineno, name
        elif isinstance(node, ast.Constant) and node.value in KEYS:
            yield node.lineno, repr(node.value)


def sources_but(*homes: str) -> Iterator[tuple[str, str]]:
    """Name and text of every module outside some."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(homes):
            yield name, path.read_text("utf-8")


def test_one_place_knows_the_inside_of_jax_and_flax():
    assert [f"{name}:{line}: {use}" for name, text in sources_but(HOME) for line, use in uses_of(text)] == []


def test_one_package_interprets_programs():
    assert [name for name, text in sources_but(*INTERPRETERS) if ".eqns" in text] == []


@pytest.mark.parametrize(
    "source",
    [
        "from jax.extend.core import Primitive",
        "from jax.interpreters import ad",
        "import jax.extend.core as core",
        "from jax import core\ncore.ShapedArray",
        "from jax._src import core",
        "import jax\njax.ffi.ffi_call",
        "import jax as j\nj.ffi.ffi_call",
        "from flax.nnx import reprlib",
        "from flax import nnx\nnnx.reprlib.Object",
        "x.aval.vma",
        "program.jaxpr.debug_info.func_name",
        'equation.params["call_jaxpr"]',
    ],
)
def test_a_use_is_seen(source):
    assert list(uses_of(source))


def test_what_is_public_may_be_used():
    source = "import jax\nfrom jax import lax\nfrom jax.core import Tracer\njax.core.Tracer\njax.make_jaxpr(f)"
    assert list(uses_of(source)) == []
