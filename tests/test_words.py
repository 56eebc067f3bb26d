"""The words of the source: names that mean one thing, docstrings that state, arguments with a type."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "spikejax"
TREES = {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}
EXPORTERS = {"read", "write", "check"}
"""Verbs that all exporters share."""

CLAUSE = re.compile(r"(What|How|Whether|Where|Why|Which|Who|Whose|When)\b")
MAX_ANY = 0.04
MAX_LINES = 50
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_names(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("_"))


def sentences(doc: str) -> Iterator[str]:
    """The first words of each sentence of a docstring, descriptions of arguments included, equations left out."""
    prose = re.sub(r"^ {4,}[^:\n]* = .*$", "", doc, flags=re.M)
    for part in re.split(r"\n\s*\n|^\s+[\w`*., ]+: ", prose, flags=re.M):
        yield from (sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+", part) if sentence.strip())


def clauses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and words of the sentences that open with a clause."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and (doc := ast.get_docstring(node)):
            for sentence in sentences(doc):
                if CLAUSE.match(sentence):
                    yield getattr(node, "lineno", 1), sentence


def functions() -> Iterator[tuple[str, Function]]:
    for path, tree in TREES.items():
        yield from ((path, node) for node in ast.walk(tree) if isinstance(node, Function))


def annotations() -> Iterator[tuple[str, ast.arg]]:
    """Every argument, save `self` and `cls`, with the place of its function."""
    for path, function in functions():
        rest = [argument for argument in (function.args.vararg, function.args.kwarg) if argument]
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs, *rest):
            if argument.arg not in ("self", "cls"):
                yield f"{path}:{argument.lineno}", argument


def test_a_public_name_is_defined_once():
    places = defaultdict(list)
    for path, tree in TREES.items():
        for name in set() if path.endswith("__init__.py") else set(public_names(tree)):
            places[name].append(path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1 and name not in EXPORTERS} == {}


def test_no_sentence_opens_with_a_clause():
    assert [f"{path}:{line}: {words}" for path, tree in TREES.items() for line, words in clauses(tree)] == []


def test_arguments_have_types_and_few_are_any():
    arguments = list(annotations())
    assert [f"{place}: {argument.arg}" for place, argument in arguments if argument.annotation is None] == []
    anything = [
        f"{place}: {argument.arg}"
        for place, argument in arguments
        if argument.annotation and ast.unparse(argument.annotation) in ("Any", "typing.Any")
    ]
    assert len(anything) <= MAX_ANY * len(arguments), anything


def test_a_sequence_answers_for_itself():
    """`Steps` and `Static` are told apart by their methods, nowhere by their class."""
    asked = [
        f"{path}:{node.lineno}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if path != "sequence.py" and isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
        if re.search(r"\b(Steps|Static)\b", ast.unparse(node.args[1]))
    ]
    assert asked == []


def test_functions_are_short():
    """Neither signatures nor docstrings count."""
    lines = {}
    for path, function in functions():
        body = function.body[ast.get_docstring(function) is not None :]
        lines[f"{path}: {function.name}"] = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize(
    ("doc", "count"),
    [
        ("What a network says.", 1),
        ("A network. Where nothing stands, `x` itself.", 1),
        ("A network, which says what it is.\n\n    Args:\n        x: how much of it.\n        y: Whether it is.", 1),
        ("A network.\n\n        What = this\n\n    It is.", 0),
        ("True if what comes is a spike.", 0),
    ],
)
def test_clauses_are_seen(doc, count):
    assert len(list(clauses(ast.parse(f'def f():\n    """{doc}"""')))) == count
