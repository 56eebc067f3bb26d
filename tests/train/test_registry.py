"""The parts of a run by name: each is documented, and can be built."""

from pathlib import Path

import pytest
from tests.train.setups import images

from spikejax.train import RunConfig, build_trainer
from spikejax.train.registry import REGISTRY

PAGE = (Path(__file__).parents[2] / "docs/concepts/training.md").read_text("utf-8")
ROWS = [(option, name) for option, table in REGISTRY.items() for name in table]


def test_every_table_belongs_to_an_option():
    assert [name for name in REGISTRY if name not in RunConfig.__dataclass_fields__] == []


@pytest.mark.parametrize(("option", "name"), ROWS)
def test_row(option, name):
    entry = REGISTRY[option][name]
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{option}` |"))
    assert f"`{name}`" in row, "the page on training does not name it"
    named = {*entry.options, *entry.preset, *entry.requires}
    assert named <= set(RunConfig.__dataclass_fields__)


@pytest.mark.parametrize(("option", "name"), [row for row in ROWS if row[0] != "dataset"])
def test_row_is_built(option, name):
    config = RunConfig.preset("digits", **{option: name}, batch_size=5)
    assert build_trainer(config, images())[0].init().step == 0
