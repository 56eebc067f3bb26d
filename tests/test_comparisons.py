"""The comparisons of benchmarks: the check, the measurements, the tables; and that their cases make sense."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

import spikejax as sx
from spikejax.kernels import why_not_fused

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # as Python does for a script that stands there

import _benchmark as benchmark
import _comparison as comparison
import _harness as harness
import _pivot as pivot
import _problems as problems
import _report as report
import any_cell
import long_sequence
import membrane_limit
import network
import neuron_loop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")


class Doubler:
    """Doubles the problem's values, but for an error."""

    def __init__(self, problem):
        self.problem, self.calls = problem, 0

    def first(self):
        return {"first_s": 0.5, "scratch_mb": 1.0}

    def run(self, calls):
        self.calls += calls

    def results(self):
        result = {"outputs": np.array(self.problem["values"]) * 2.0, "gradient": np.array([4.0, 0.0])}
        return {key: value + self.problem.get(key, 0) for key, value in result.items()}


class InProcess:
    """A remote whose server lives here; every call takes 10 ms and the calls of a measurement as often as that."""

    def __init__(self, server, name):
        self.server, self.name = server, name

    def call(self, method, **arguments):
        value = getattr(self.server, method)(name=self.name, **arguments)
        return harness.Answer(value, 0.01 * (value if method == "run" else 1), peak_mb=2.0, faults=0)


@pytest.fixture
def compare(monkeypatch):
    """Compares the subject with a rival that has the given options."""
    monkeypatch.setitem(sys.modules, "doubling", types.SimpleNamespace(build=Doubler))
    monkeypatch.setattr(comparison, "release_memory", lambda: None)  # it looks at all that other tests have left

    def run(values=(0, 1, 2), **rival):
        entries = {
            "subject": comparison.Entry("Own", "doubling.build"),
            "rival": comparison.Entry("Rival", "doubling.build", **rival),
        }
        server = comparison.Server(entries)
        case = comparison.Case("doubling", "small", {"values": values}, tuple(entries))
        remotes = {name: InProcess(server, name) for name in entries}
        return comparison.compare(case, entries, remotes, comparison.Size(rounds=3, seconds=0.05, pause=0.0))

    return run


def test_a_comparison(compare):
    result = compare(options={"gradient": 4e-7})
    assert (result["group"], result["title"], result["subject"]) == ("doubling", "small", "subject")
    rival = result["implementations"]["rival"]
    assert rival["calls"] == 5 and rival["seconds"] == pytest.approx([0.01] * 3)  # a call, not a measurement
    assert rival["gradient_error"] == pytest.approx(1e-7)
    assert (rival["first_s"], rival["scratch_mb"], rival["peak_mb"]) == (0.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"outputs": [0, 0, 1]}, r"Rival and Own differ in 3\.3e-01 of the outputs"),
        ({"gradient": 1e-5}, r"by 2\.5e-06 of the largest gradient"),
        ({"gradient": np.nan}, "nan of the largest"),
    ],
)
def test_who_differs_stops_the_comparison(compare, options, words):
    with pytest.raises(SystemExit, match=words):
        compare(options=options)


def test_who_says_that_it_differs_is_not_compared(compare):
    rival = compare(options={"outputs": 1}, differs="adds 1")["implementations"]["rival"]
    assert rival["differs"] == "adds 1" and "gradient_error" not in rival


def test_silence_shows_nothing(compare):
    with pytest.raises(SystemExit, match="shows nothing"):
        compare(values=(0, 0))


def test_who_is_missing():
    entry = comparison.Entry("Own", "json.loads")
    assert benchmark.missing(entry, tiny=True, device="cpu") == ""
    assert "runs on a gpu only" in benchmark.missing(entry._replace(device="gpu"), tiny=False, device="cpu")
    assert "nowhere not installed" in benchmark.missing(
        entry._replace(needs=("json", "nowhere")), tiny=False, device="cpu"
    )
    assert benchmark.missing(entry._replace(tiny=False), tiny=False, device="cpu") == ""
    assert "tiny" in benchmark.missing(entry._replace(tiny=False), tiny=True, device="cpu")


def measurement(title, hare, tortoise):
    return {
        "group": "racing",
        "title": title,
        "subject": "hare",
        "implementations": {
            "hare": {"label": "Hare", "seconds": hare, "scratch_mb": 1.25},
            "tortoise": {"label": "Tortoise", "seconds": tortoise, "differs": "has a shell"},
        },
    }


def test_pivot_has_the_longer_side_down():
    first, second, third = (measurement(title, [0.001, 0.002], [0.003, 0.012]) for title in ("a", "b", "c"))
    tables = pivot.pivot({"measurements": [first, second]}, "racing")
    assert tables["time"] == [
        ["", "a", "b"],
        ["Hare", *["1.5 ms (1.25 to 1.75)"] * 2],
        ["Tortoise*", *["4.50x (3.75 to 5.25)"] * 2],
    ]
    assert tables["scratch, MB"][1:] == [["Hare", "1.2", "1.2"], ["Tortoise*", "", ""]]
    assert tables["memory of the device, MB"] == []
    tall = pivot.pivot({"measurements": [first, second, third]}, "racing")["time"]
    assert [row[0] for row in tall] == ["", "a", "b", "c"] and tall[0][1:] == ["Hare", "Tortoise*"]


def test_markdown_of_many_measurements():
    result = {
        "benchmark": "races",
        "measurements": [measurement("a", [1.0], [2.0]), measurement("b", [1.0], [3.0]) | {"group": "swimming"}],
        "absent": {"Snail": "not installed"},
        "settings": {"threads": 1, "rounds": 1},
        "machine": {"cpu": "abacus"},
        "versions": {"python": "3"},
        "commit": "abc",
        "others": 0.0,
    }
    text = report.markdown(result)
    assert "racing: time\n\n|  | a |" in text and "swimming: time\n\n|  | b |" in text
    assert "\\* Tortoise: has a shell." in text and "Absent: Snail, not installed." in text
    assert list(report.tables(result, brief=True)) == [
        f"{group}: {figure}" for group in ("racing", "swimming") for figure in ("time", "scratch, MB")
    ]


@pytest.mark.parametrize("script", [neuron_loop, any_cell, long_sequence, network, membrane_limit])
@pytest.mark.parametrize(("tiny", "device"), [(True, "cpu"), (False, "cpu"), (False, "gpu")])
def test_cases(script, tiny, device):
    known = {name for value in vars(script).values() if isinstance(value, dict) for name in value}
    cases = script.cases(tiny, device)
    assert len({(case.group, case.title) for case in cases}) == len(cases)
    for case in cases:
        assert set(case.entries) <= known and len(case.entries) > 1


def test_every_fused_cell_takes_part():
    from _cells_jax import fused_cells, make, per_neuron

    base, kinds = sx.cells.ChargeFireReset, [getattr(sx.cells, name) for name in sx.cells.__all__]
    concrete = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, base)} - {base, sx.Neuron}
    assert {type(make(name)) for name in fused_cells()} == {kind for kind in concrete if kind.step is base.step}
    assert all(why_not_fused(make(name)) is None for name in fused_cells())
    assert per_neuron(make("Refractory"), 3).cell.tau.shape == (3,)


def test_weights_are_added_without_rounding():
    matrices = problems.weights(network.LINEAR)
    assert [w.shape for w in matrices] == [(512, 512), (512, 512)]
    assert all(np.array_equal(w * 4096, np.rint(w * 4096)) for w in matrices)


def test_share_of_the_limit():
    copy = {"problem": {"shape": [10, 1000, 1000]}, "implementations": {"numpy_copy": {"seconds": [0.008]}}}
    loop = {
        "group": "forward and backward",
        "problem": {"shape": [10, 100, 1000], "dtype": "float32"},
        "implementations": {"spikejax": {"seconds": [0.006], "scratch_mb": 4.0}},
    }
    membrane_limit.conclude({"measurements": [copy, loop]})
    assert copy["implementations"]["numpy_copy"]["gb_per_s"] == pytest.approx(10)  # 4 bytes read, 4 written
    spikejax = loop["implementations"]["spikejax"]
    assert (spikejax["limit_ms"], spikejax["bytes"]) == (pytest.approx(2.4), pytest.approx(24))
    assert spikejax["share"] == pytest.approx(0.4)
