"""Every rule has an equation, a source, its fields explained, and a row on the page."""

import pytest
from tests.documented import check_documented

from spikejax import plasticity
from spikejax.plasticity import PlasticityRule
from spikejax.pytree import Struct

BASES = {"PlasticityRule", "TraceRule", "RewardRule"}
RULES = [
    name
    for name in plasticity.__all__
    if name not in BASES
    and isinstance(kind := getattr(plasticity, name), type)
    and issubclass(kind, Struct)
    and hasattr(kind, "parameter")
]


def test_rules_are_rules():
    assert len(RULES) >= 6
    assert all(isinstance(getattr(plasticity, name)(), PlasticityRule) for name in RULES)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_documented(name):
    check_documented(getattr(plasticity, name), "plasticity.md")
