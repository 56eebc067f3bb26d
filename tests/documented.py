"""The documentation of a public name: its docstring and its row in a table of a page of concepts."""

import re
from pathlib import Path
from typing import Any

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"


def faults_of_docs(name: str, public: Any, page: str, equation: bool, source: bool) -> list[str]:
    """The missing parts of docstring and page: equation, fields, errors, source, row."""
    doc = public.__doc__ or ""
    formulas = [line for line in doc.split("    Args:")[0].splitlines() if line.startswith(" " * 8) and " = " in line]
    sections = dict(re.findall(r"^    (Args|Raises|Source): ?(.*(?:\n(?!\n).*)*)", doc, re.MULTILINE))
    fields = set(getattr(public, "__dataclass_fields__", ())) - {"spiking"}  # documented once, on the base
    explained = set(re.findall(r"^ {8}(\w+): ", sections.get("Args", ""), re.MULTILINE))
    rows = re.findall(rf"^\| `{name}(?:\(.*\))?` \|(.+)\|$", (CONCEPTS / page).read_text("utf-8"), re.M)
    faults = {
        "no docstring": not doc.strip(),
        "no equation": equation and not formulas,
        f"no line for {sorted(fields - explained)}": bool(fields - explained),
        "nothing about errors": "validate" in vars(public) and "Error: " not in sections.get("Raises", ""),
        "no source": source and not sections.get("Source", "").strip(),
        f"no row in {page}": not rows,
        f"an empty row in {page}": any(not row.split("|")[0].strip() for row in rows),
    }
    return [fault for fault, present in faults.items() if present]
