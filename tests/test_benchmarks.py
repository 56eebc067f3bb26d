"""What the benchmarks share: worker processes, statistics, tables. The implementations need `make bench-env`."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # as Python does for a script that stands there

import _harness as harness
import _report as report
import train_mnist

BENCHMARKS = Path(train_mnist.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the harness reads /proc")

RESULT = {
    "benchmark": "racing",
    "subject": "hare",
    "unit": "laps/s",
    "work": 12,
    "settings": {"data": "none", "threads": 1, "rounds": 3},
    "machine": {"cpu": "abacus"},
    "versions": {"python": "3"},
    "commit": "abc",
    "others": 0.254,
    "implementations": {
        "hare": {"label": "Hare", "seconds": [1.0, 2.0, 4.0], "first_s": 0.5, "peak_mb": 3.0},
        "tortoise": {"label": "Tortoise", "seconds": [3.0, 12.0, 12.0], "first_s": 0.25, "peak_mb": 1.5},
    },
}


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([7], (7, 7, 7)),
        ([3, 1], (2, 1.5, 2.5)),
        ([5, 1, 4, 2, 3], (3, 2, 4)),
        ([1, 1, 1, 100], (1, 1, 25.75)),
    ],
)
def test_spread(values, want):
    result = report.spread(values)
    assert result == pytest.approx(want)
    assert result == pytest.approx(np.quantile(values, [0.5, 0.25, 0.75]))


def test_spread_of_nothing():
    with pytest.raises(ValueError, match="`values` must hold at least one"):
        report.spread([])


def test_summary_compares_within_rounds():
    summary = report.summarise(RESULT)
    assert summary["hare"]["speed"].median == 6
    assert summary["tortoise"]["speed"] == report.spread([4, 1, 1])
    assert summary["hare"]["ratio"] == (1, 1, 1)
    assert summary["tortoise"]["ratio"] == report.spread([3, 6, 3])  # not the ratio of the medians, 6


def test_tables():
    head, *rows = report.table(RESULT)
    assert head[1:4] == ["laps/s", "quartiles", "Hare is faster"]
    assert rows == [
        ["Hare", "6", "4 to 9", "", "", "0.50", "3"],
        ["Tortoise", "1", "1 to 2", "3.00x", "3.00 to 4.50", "0.25", "2"],
    ]
    lines = report.markdown(RESULT).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[3] == "| Tortoise | 1 | 1 to 2 | 3.00x | 3.00 to 4.50 | 0.25 | 2 |"
    assert lines[-1].startswith("abacus, threads: 1; 3 rounds; none; python 3; commit abc; ")
    assert lines[-1].endswith("other processes took 25% of the CPUs.")


def test_show(capsys):
    report.show(RESULT)
    printed = capsys.readouterr().out
    assert "racing" in printed and "Tortoise" in printed and "3.00x" in printed


def test_description_names_no_place():
    result = report.describe(("numpy",))
    assert result["versions"]["numpy"] == np.__version__
    assert str(BENCHMARKS.parent) not in json.dumps(result)


def test_where_a_result_goes(tmp_path):
    committed, other = tmp_path / "results" / "racing.json", tmp_path / "new" / "other.json"
    assert report.choose_file(None, committed, tiny=False) == committed
    assert report.choose_file(other, committed, tiny=False) == other
    assert report.choose_file(None, committed, tiny=True) is None
    assert report.choose_file(other, committed, tiny=True) == other
    with pytest.raises(ValueError, match=r"`--out` .* a tiny run must not replace"):
        report.choose_file(tmp_path / "new" / ".." / "results" / "racing.json", committed, tiny=True)
    report.write(RESULT, other)
    assert json.loads(other.read_text()) == RESULT


WORKER = f"""
import os, sys, time
sys.path.insert(0, {str(BENCHMARKS)!r})
from _harness import serve

class Runner:
    def __init__(self):
        print("printed while it is built")
        self.laps, self.ballast = 0, bytearray(60_000_000)
        if "lame" in sys.argv:
            raise RuntimeError("cannot run")

    def run(self, laps):
        print("printed while it runs")
        self.laps += laps
        time.sleep(0.01)
        return [self.laps, len(os.sched_getaffinity(0)), os.environ["MALLOC_TRIM_THRESHOLD_"]]

    def eat(self, size):
        bytearray(b"x" * size)

    def spin(self, seconds):
        while time.process_time() < seconds:
            pass

    def fall(self):
        raise KeyError("a stone")

    def die(self):
        os._exit(3)

serve(Runner)
"""


def command(*arguments):
    return [sys.executable, "-c", WORKER, *arguments]


def test_workers_answer():
    with harness.start_workers({"hare": command(), "tortoise": command()}, threads=1) as workers:
        answer = workers["hare"].call("run", laps=2)
        assert answer.value == [2, 1, str(1 << 32)]
        assert 0.01 <= answer.seconds < 1
        assert workers["hare"].call("run", laps=1).value[0] == 3
        assert workers["tortoise"].call("run", laps=1).value[0] == 1


def test_memory_is_that_of_the_call_alone():
    with harness.start_workers({"hare": command()}, threads=1) as workers:
        small = workers["hare"].call("run", laps=1).peak_mb
        assert -5 < small < 20  # without the ballast
        assert workers["hare"].call("eat", size=80_000_000).peak_mb > small + 70


def test_workers_time_alternately():
    with harness.start_workers({name: command() for name in "abc"}, threads=1) as workers:
        order = []
        for name, worker in workers.items():
            worker.call = lambda *a, call=worker.call, name=name, **k: order.append(name) or call(*a, **k)
        answers = list(harness.interleave(workers, 4, "run", pause=0, laps=1))
    assert "".join(order) == "abcbcacababc"
    assert [list(answer) for answer in answers] == [list("abc")] * 4
    assert [answer["b"].value[0] for answer in answers] == [1, 2, 3, 4]


def test_only_the_work_of_others_disturbs():
    with harness.start_workers({"hare": command(), "tortoise": command()}, threads=1) as workers:
        alone = harness.Disturbance(workers)
        unseen = harness.Disturbance({"hare": workers["hare"]})
        started, before = time.perf_counter(), workers["tortoise"].cpu_seconds()
        workers["tortoise"].call("spin", seconds=before + 0.3)
        work = workers["tortoise"].cpu_seconds() - before
        share = work / (time.perf_counter() - started) / os.cpu_count()
        assert work == pytest.approx(0.3, abs=0.1)
        assert unseen.share() - alone.share() == pytest.approx(share, abs=0.1)


def test_workers_that_fail():
    with harness.start_workers({"hare": command()}, threads=1) as workers:
        with pytest.raises(harness.WorkerError, match=r"'hare' failed:(.|\n)*KeyError: 'a stone'"):
            workers["hare"].call("fall")
        assert workers["hare"].call("run", laps=1).value[0] == 1
        with pytest.raises(harness.WorkerError, match="'hare' ended with status 3"):
            workers["hare"].call("die")
    with (
        pytest.raises(harness.WorkerError, match=r"'lame' failed:(.|\n)*cannot run"),
        harness.start_workers({"hare": command(), "lame": command("lame")}, threads=1),
    ):
        pass


@pytest.mark.parametrize("threads", [0, 10_000])
def test_threads_out_of_range(threads):
    with pytest.raises(ValueError, match=f"`threads` must be from 1 to .* got {threads}"):
        harness.Worker("hare", command(), threads)


class Pretender:
    """Answers the check of `train_mnist` with what it received."""

    def __init__(self, spikes, gradient):
        self.spikes, self.gradient = spikes, gradient

    def call(self, method, path, out):
        assert method == "check"
        assert set(np.load(path)) == {"inputs", "weights", "labels"}
        np.savez(out, spikes=self.spikes, gradient=self.gradient)


@pytest.fixture
def pretenders():
    rng = np.random.default_rng(0)
    spikes, gradient = rng.integers(0, 2, (100, 4, 10)).astype(np.float32), rng.normal(size=(784, 10))
    return {name: Pretender(spikes, gradient) for name in train_mnist.LABELS}


@pytest.fixture
def check(tmp_path):
    images = np.full((64, 28, 28), 40, np.uint8)
    return lambda workers: train_mnist.check_equality(workers, images, np.arange(64) % 10, tmp_path)


def test_equal_implementations_pass(pretenders, check):
    pretenders["torch"].gradient = pretenders["torch"].gradient * (1 + 5e-7)
    result = check(pretenders)
    assert result["spikes"] == pretenders["torch"].spikes.sum()
    assert result["gradient_errors"]["torch"] == pytest.approx(5e-7, rel=1e-3)


def test_one_spike_more_stops_the_benchmark(pretenders, check):
    spikes = pretenders["torch"].spikes.copy()
    spikes[50, 2, 3] = 1 - spikes[50, 2, 3]
    pretenders["torch"].spikes = spikes
    with pytest.raises(SystemExit, match=r"PyTorch by hand and spikejax differ in 0\.03% of the spikes"):
        check(pretenders)


@pytest.mark.parametrize("factor", [1 + 2e-6, np.nan])
def test_another_gradient_stops_the_benchmark(pretenders, check, factor):
    pretenders["spikingjelly_m"].gradient = pretenders["spikingjelly_m"].gradient * factor
    with pytest.raises(SystemExit, match="gradients of SpikingJelly, multi-step differ by"):
        check(pretenders)


def test_silent_neurons_show_nothing(pretenders, check):
    for pretender in pretenders.values():
        pretender.spikes = np.zeros_like(pretender.spikes)
    with pytest.raises(SystemExit, match="shows nothing"):
        check(pretenders)


def test_random_images_are_as_dense_as_mnist():
    words, images, labels = train_mnist.load_images(None, 500, np.random.default_rng(0))
    assert "random" in words
    assert images.shape == (500, 28, 28) and images.dtype == np.uint8 and set(labels) == set(range(10))
    assert np.mean(images > 0) == pytest.approx(0.19, abs=0.005)
    assert images.mean() / 255 == pytest.approx(0.13, abs=0.01)  # MNIST: 0.1307


def test_a_tiny_run_keeps_the_committed_result(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_mnist.py", "--tiny", "--out", str(train_mnist.COMMITTED)])
    with pytest.raises(SystemExit):
        train_mnist.main()
    assert "a tiny run must not replace" in capsys.readouterr().err


def test_table_of_a_file(tmp_path, monkeypatch, capsys):
    report.write(RESULT, tmp_path / "racing.json")
    monkeypatch.setattr(sys, "argv", ["train_mnist.py", "--table", str(tmp_path / "racing.json")])
    train_mnist.main()
    assert capsys.readouterr().out == report.markdown(RESULT) + "\n"
