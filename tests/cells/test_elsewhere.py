"""No public cell goes without tests or documentation."""

from pathlib import Path

import pytest
from tests.cells.cases import ROWS
from tests.cells.elsewhere import ELSEWHERE

import spikejax as sx

ROOT = Path(__file__).parents[2]
BASES = {"ChargeFireReset", "Neuron"}


def test_every_public_cell_has_a_row_or_a_file():
    public = {name: getattr(sx.cells, name) for name in sx.cells.__all__}
    cells = {name for name, value in public.items() if hasattr(value, "init_state") and hasattr(value, "step")}
    rows = {row.cell.__name__ for row in ROWS}
    assert rows | set(ELSEWHERE) == cells - BASES
    assert not rows & set(ELSEWHERE)


@pytest.mark.parametrize(("name", "file"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_a_cell_elsewhere_is_tested_and_documented(name, file):
    assert f"sx.{name}(" in (ROOT / file).read_text("utf-8")
    assert name in (ROOT / "docs" / "concepts" / "cells.md").read_text("utf-8")
    doc = getattr(sx, name).__doc__
    assert all(part in doc for part in ("\n\n        ", "Args:", "Raises:", "Source: "))
