"""The list of deliberate faults keeps up with the code; `make faults` replays them, which takes minutes."""

import ast
from functools import cache

from scripts.replay_faults import ROOT, read_faults
from tests.test_layering import ORDER

LIST = read_faults()


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_fault_applies_and_its_test_exists():
    lost = []
    for fault in LIST:
        try:
            ast.parse(fault.patched())
        except (ValueError, OSError) as error:
            lost.append(str(error))
        path, _, node = fault.test.partition("::")
        if not (ROOT / path).is_file() or node.partition("[")[0] not in functions_of(path):
            lost.append(f"fault {fault.name}: there is no test {fault.test}")
    assert lost == []


def test_every_fault_has_a_name_of_its_own_and_stands_with_its_package():
    assert len({fault.name for fault in LIST}) == len(LIST)
    assert [fault.name for fault in LIST if fault.file.split("/")[0].removesuffix(".py") != fault.package] == []


def test_every_package_has_faults():
    knowledge = {"typing", "internals"}  # of shapes and of JAX, which computes nothing
    assert {fault.package for fault in LIST} >= set(ORDER) - knowledge
    assert len(LIST) >= 60
