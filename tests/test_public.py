"""Everything that a package exports is tested, documented on its page, and written down with equation and source."""

import ast
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from tests.documented import faults_of_docs

import spikejax as sx
from spikejax import datasets, models, visualize
from spikejax.plasticity import online

TESTS = Path(__file__).parent


class Kind(NamedTuple):
    """The public names of one kind: all that a package exports, save its parts.

    Attributes:
        package: the package.
        tests: the file or folder whose tests use them.
        page: in docs/concepts, with a table of them.
        parts: exported for types and for extension: states, results, bases, helpers.
        no_formula: computes nothing that an equation would say better than a sentence.
        no_source: is of nobody's publication.
    """

    package: ModuleType
    tests: str
    page: str
    parts: str = ""
    no_formula: str = ""
    no_source: str = ""

    @property
    def names(self) -> list[str]:
        return sorted(set(self.package.__all__) - set(self.parts.split()))


KINDS = {
    "cell": Kind(
        sx.cells,
        "cells",
        "cells.md",
        parts="Adaptation AdaptiveThreshold ChargeFireReset Complementary Gated Membrane Neuron NoisyMembrane "
        "Oscillation RefractoryState SlidingPSNState StochasticState SynapticCurrent unroll_counts",
    ),
    "surrogate": Kind(sx.surrogate, "test_surrogate.py", "surrogates.md", parts="SurrogateFunction by_name heaviside"),
    "encoder": Kind(
        sx.encoding, "encoding", "encoding.md", parts="LastInput RandomState StepIndex", no_source="Periodic"
    ),
    "loss": Kind(
        sx.losses,
        "losses",
        "losses.md",
        no_formula="accuracy first_spike_index",
        no_source="accuracy cross_entropy_rate decode_first_spike firing_rate first_spike_index first_spike_time "
        "kernel_product redundant_one_hot spike_similarity threshold_margin",
    ),
    "layer": Kind(
        sx.nn,
        "nn",
        "layers.md",
        parts="Activity CellModule Container Diagnosis LSTMState LayerActivity LinearMap Mask RNNState diagnose "
        "lif_gain set_sigma",
        no_formula="AdaptiveAvgPool AvgPool Flatten MaxPool PrintShape Scale SumPool Voting",
        no_source="AdaptiveAvgPool AvgPool Delay ElementwiseRecurrent Flatten Graph MaxPool Parallel PrintShape "
        "Recurrent Reversed Scale Sequential SpikeConv SpikeLinear SumPool",
    ),
    "plasticity rule": Kind(
        sx.plasticity,
        "plasticity",
        "plasticity.md",
        parts="EligibilityState Learned PlasticityRule RateState Resources RewardRule RewardState SoftBound SpikePairs "
        "SpikeTraces TraceRule TripletTraces TsodyksMarkram keep_within labels learn mix normalize "
        + " ".join(online.__all__),
    ),
    "online rule": Kind(
        online,
        "plasticity/online",
        "online-learning.md",
        parts="Carry LocalRule OnlineRule train_online value_and_grad_online",
    ),
    "picture": Kind(visualize, "visualize", "pictures.md", no_formula="*", no_source="*"),
    "data set": Kind(datasets, "datasets", "training.md", parts="ImageData", no_formula="*", no_source="load_images"),
    "model": Kind(models, "models", "training.md", parts="BasicBlock TransformerBlock", no_formula="*"),
}
EXPORTED = [pytest.param(kind, name, id=name) for kind in KINDS.values() for name in kind.names]


def uses(source: str) -> set[str]:
    """The names that a program uses, imports aside."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_what_is_excepted_is_exported():
    for kind in KINDS.values():
        excepted = f"{kind.parts} {kind.no_formula} {kind.no_source}".replace("*", "").split()
        assert set(excepted) <= set(kind.package.__all__)


@pytest.mark.parametrize(("kind", "name"), EXPORTED)
def test_it_is_documented(kind, name):
    equation, source = (name not in names.split() and names != "*" for names in (kind.no_formula, kind.no_source))
    assert faults_of_docs(name, getattr(kind.package, name), kind.page, equation, source) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_all_of_a_kind_are_tested(kind):
    root = TESTS / kind.tests
    used = set().union(*(uses(path.read_text("utf-8")) for path in (root.rglob("*.py") if root.is_dir() else [root])))
    assert set(kind.names) - used == set()


def test_every_exporter_has_a_page_and_tests():
    for name in sx.export.__all__:
        assert (TESTS.parent / "docs" / "export" / f"{name}.md").is_file()
        assert list((TESTS / "export").rglob(f"*{name}*"))
