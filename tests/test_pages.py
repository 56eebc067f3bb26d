"""The concept pages name every encoder, loss and layer, and show pictures that exist and are small."""

import re
from pathlib import Path

import pytest

import spikejax as sx

CONCEPTS = Path(__file__).parents[1] / "docs" / "concepts"
STATES = {"Activity", "LastInput", "LayerActivity", "Mask", "RandomState", "StepIndex"}


FILES = "attention diagnose dropout init neunorm norms self_attention shapes standardized"


def public(package, files=""):
    """The public names of a package, or of some of its files; states are explained where they are used."""
    modules = {f"{package.__name__}.{name}" for name in files.split()}
    return {name for name in package.__all__ if not files or getattr(package, name).__module__ in modules} - STATES


@pytest.mark.parametrize(
    ("page", "names"),
    [("encoding", public(sx.encoding)), ("losses", public(sx.losses)), ("layers", public(sx.nn, FILES))],
    ids=["encoding", "losses", "layers"],
)
def test_every_public_name_is_on_its_page(page, names):
    text = (CONCEPTS / f"{page}.md").read_text("utf-8")
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", ["encoding", "losses", "layers"])
def test_pictures(page):
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", (CONCEPTS / f"{page}.md").read_text("utf-8"))
    assert pictures
    assert all((CONCEPTS / picture).stat().st_size < 100 * 1024 for picture in pictures)
