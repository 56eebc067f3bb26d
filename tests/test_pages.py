"""The pictures of the concept pages exist and are small."""

import re
from pathlib import Path

import pytest

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"


@pytest.mark.parametrize("page", ["encoding", "losses", "layers"])
def test_pictures(page):
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", (CONCEPTS / f"{page}.md").read_text("utf-8"))
    assert pictures
    assert all((CONCEPTS / picture).stat().st_size < 100 * 1024 for picture in pictures)
