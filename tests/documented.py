"""What the documentation of a public cell or surrogate must have."""

import re
from pathlib import Path

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"


def check_documented(cls: type, page: str) -> None:
    """Asserts an equation, every field, what is raised and the source in the docstring, and a row on the page."""
    doc, fields = cls.__doc__ or "", set(cls.__dataclass_fields__) - {"spiking"}  # documented once, on the base
    displayed = [line for line in doc.split("    Args:")[0].splitlines() if line.startswith(" " * 8) and " = " in line]
    assert displayed, "no equation"
    sections = dict(re.findall(r"^    (Args|Raises|Source): ?(.*(?:\n(?!\n).*)*)", doc, re.MULTILINE))
    assert fields <= set(re.findall(r"^ {8}(\w+): ", sections.get("Args", ""), re.MULTILINE)), "fields without a line"
    assert "Error: " in sections.get("Raises", "") or "validate" not in vars(cls), "nothing about what is raised"
    assert sections.get("Source", "").strip(), "no source"
    rows = re.findall(rf"^\| `{cls.__name__}(?:\(.*\))?` \|(.+)\|(.+)\|$", (CONCEPTS / page).read_text("utf-8"), re.M)
    assert len(rows) == 1 and all(cell.strip() for cell in rows[0]), f"no row of equation and source in {page}"
