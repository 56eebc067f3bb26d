"""The `spikejax` command: what it prints and writes, and how it refuses."""

import contextlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from spikejax import cli
from spikejax.datasets import load_digits
from spikejax.export import netx
from spikejax.export.nir import from_nir
from spikejax.export.onnx import Session
from spikejax.train import RunConfig, read_log

TINY = ("--hidden", "16", "--steps", "3")
EPOCH = r"epoch +{}/{}  train \d\.\d{{4}} +\d+\.\d\d%  test \d\.\d{{4}} +\d+\.\d\d%  [\d,]+ samples/s"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs the command in this process, in an empty folder; gives exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spikejax", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, *capsys.readouterr()

    return command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of two epochs, not to be changed, and what was printed."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", ["spikejax", "train", "digits", *TINY, "--epochs", "2", "--out", str(folder)])
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 0
    return folder, out.getvalue().splitlines()


def assert_refused(result, *words):
    """Exit status 2, and one line on the standard error, nothing on the standard output."""
    status, out, err = result
    assert (status, out) == (2, "")
    assert re.fullmatch(r"spikejax: [^\n]+\n", err), err
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_train(trained):
    folder, lines = trained
    rows = read_log(folder)
    assert lines[0] == f"fc network of lif neurons on digits, T = 3: {folder}"
    assert re.fullmatch(EPOCH.format(1, 2), lines[1])
    assert re.fullmatch(EPOCH.format(2, 2), lines[2])
    accuracies = [row["test_accuracy"] for row in rows]
    assert lines[3:] == [
        f"finished after 2 epochs: test accuracy {accuracies[-1]:.2%} (best {max(accuracies):.2%})",
    ]
    assert f"{accuracies[0]:.2%}" in lines[1] and f"{rows[0]['train_loss']:.4f}" in lines[1]
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "config.json", "log.jsonl", "tensorboard"]
    config = RunConfig.load(folder / "config.json")
    assert config == RunConfig.preset("digits", hidden=(16,), steps=3, epochs=2)


@pytest.mark.parametrize(("kind", "other"), [("latest", "best"), ("best", "latest")])
def test_evaluate(trained, run, tmp_path, kind, other):
    """Each checkpoint without the other, so that it cannot be taken for it."""
    shutil.copytree(trained[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / other)
    rows = read_log(tmp_path / "run")
    row = rows[-1] if kind == "latest" else max(rows, key=lambda row: row["test_accuracy"])
    status, out, err = run("evaluate", "run", "--checkpoint", kind)
    want = f"test loss {row['test_loss']:.4f}, test accuracy {row['test_accuracy']:.2%}"
    assert (status, out, err) == (0, f"{kind} checkpoint, epoch {row['epoch']}: {want}\n", "")


def test_plot(trained, run, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    status, out, err = run("plot", "run")
    names = ["curves", "raster", "membrane", "encoding"]
    assert (status, out.split(), err) == (0, [f"run/pictures/{name}.png" for name in names], "")
    for name in names:
        assert (tmp_path / "run" / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_info(run):
    status, out, err = run("info")
    assert (status, err) == (0, "")
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    for name in ("spikejax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"):
        assert facts[name] == version(name)
    assert facts["python"] == sys.version.split()[0]
    assert "cpu" in facts["devices"].lower()
    assert "scan" in facts["methods"]


def test_the_installed_command():
    command = [str(Path(sys.executable).parent / "spikejax"), "train", "digits", "--tau", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert_refused((done.returncode, done.stdout, done.stderr), "`tau` must be > 1", "got 1.0")


def test_help(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert all(name in out for name in ("train", "evaluate", "plot", "info", "export"))
    status, out, err = run()
    assert (status, err) == (2, "")
    assert "Usage: spikejax" in out


BAD = {
    "unknown command": ("fly", "No such command 'fly'"),
    "unknown option": ("train digits --speed 3", "No such option: --speed"),
    "option without value": ("train digits --epochs", "--epochs", "requires an argument"),
    "no data set": ("train", "Missing argument 'digits|mnist|fashion-mnist'"),
    "unknown data set": ("train letters", "`dataset` must be one of 'digits', 'mnist', 'fashion-mnist', got 'letters'"),
    "one word too many": ("train digits mnist", "mnist"),
    "unknown model": ("train digits --model mlp", "`model` must be one of", "got 'mlp'"),
    "unknown neuron": ("train digits --neuron LIF", "`neuron` must be one of", "got 'LIF'"),
    "unknown encoder": ("train digits --encoder rate", "`encoder` must be one of", "got 'rate'"),
    "unknown optimizer": ("train digits --optimizer lion", "`optimizer` must be one of", "got 'lion'"),
    "unknown schedule": ("train digits --schedule linear", "`schedule` must be one of", "got 'linear'"),
    "unknown loss": ("train digits --loss mae", "`loss` must be one of", "got 'mae'"),
    "unknown precision": ("train digits --precision half", "`precision` must be one of", "got 'half'"),
    "steps no number": ("train digits --steps ten", "--steps", "integer"),
    "steps no integer": ("train digits --steps 2.5", "--steps", "integer"),
    "rate no number": ("train digits --lr fast", "--lr", "number"),
    "tau 1": ("train digits --tau 1", "`tau` must be > 1", "got 1.0"),
    "tau below 1": ("train digits --tau -3", "`tau` must be > 1", "got -3.0"),
    "tau nan": ("train digits --tau nan", "`tau` must be finite", "got nan"),
    "tau without leak": ("train digits --neuron if --tau 2", "`tau` has no effect with neuron if"),
    "rate 0": ("train digits --lr 0", "`learning_rate` must be > 0", "got 0.0"),
    "rate negative": ("train digits --lr -1e-3", "`learning_rate` must be > 0"),
    "rate infinite": ("train digits --lr inf", "`learning_rate` must be finite, got inf"),
    "steps 0": ("train digits --steps 0", "`steps` must be an integer >= 1, got 0"),
    "epochs 0": ("train digits --epochs 0", "`epochs` must be an integer >= 1, got 0"),
    "batch 0": ("train digits --batch-size 0", "`batch_size` must be an integer >= 1, got 0"),
    "batch larger than data": ("train digits --batch-size 1438", "`batch_size` must be <= the 1437 training samples"),
    "chunk 0": ("train digits --chunk 0", "`chunk` must be an integer >= 1, got 0"),
    "voters 0": ("train digits --voters 0", "`voters` must be an integer >= 1, got 0"),
    "channels 0": ("train digits --model conv --channels 0", "`channels` must be an integer >= 1, got 0"),
    "channels of fc": ("train digits --channels 8", "`channels` has no effect with model fc"),
    "hidden of conv": ("train digits --model conv --hidden 8", "`hidden` has no effect with model conv"),
    "hidden a": ("train digits --hidden a", "--hidden must be sizes such as 196 or 256,128, got 'a'"),
    "hidden 1;2": ("train digits --hidden 1;2", "--hidden must be sizes", "'1;2'"),
    "hidden 0": ("train digits --hidden 0", "`hidden` must be an integer >= 1, got 0"),
    "hidden negative": ("train digits --hidden=-5", "`hidden` must be an integer >= 1, got -5"),
    "patience 0": ("train digits --patience 0", "`patience` must be an integer >= 1, got 0"),
    "warmup as long as the epochs": (
        "train digits --warmup 40",
        "`warmup` must be an integer from 0 to 39",
    ),
    "warmup negative": ("train digits --warmup -1", "`warmup` must be an integer from 0"),
    "seed too large": ("train digits --seed 99999999999999999999", "`seed` must be an integer from 0"),
    "seed negative": ("train digits --seed -1", "`seed` must be an integer from 0"),
    "no path": ("train mnist", "`data` must name the folder or file of mnist: give --data PATH"),
    "data not found": ("train mnist --data nowhere", "nowhere, which does not exist", "Looked for"),
    "file not found": ("train mnist --data nowhere.npz", "there is no file", "nowhere.npz"),
    "no archive": ("train mnist --data broken.npz", "broken.npz is not an .npz file"),
    "data with digits": ("train digits --data .", "`data` has no effect with dataset digits"),
    "out is a file": ("train digits --out broken.npz", "broken.npz"),
    "out below a file": ("train digits --out broken.npz/run", "broken.npz"),
    "resume without a run": ("train digits --out nowhere --resume", "nowhere holds no run: it has no config.json"),
    "evaluate without folder": ("evaluate", "Missing argument 'folder'"),
    "evaluate without a run": ("evaluate nowhere", "nowhere holds no run: it has no config.json"),
    "evaluate a file": ("evaluate broken.npz", "holds no run"),
    "evaluate with a wrong kind": ("evaluate nowhere --checkpoint newest", "--checkpoint", "'newest'"),
    "plot without a run": ("plot nowhere", "nowhere holds no run"),
    "info with an argument": ("info all", "all"),
}


@pytest.mark.parametrize(("line", "words"), [(line, words) for line, *words in BAD.values()], ids=BAD)
def test_bad_input_gets_one_sentence(run, tmp_path, line, words):
    (tmp_path / "broken.npz").write_text("no archive")
    assert_refused(run(*line.split()), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.npz"], "a refused command left something behind"


WITH_A_RUN = {
    "a run is there": ("train digits --out run", "run holds a run already: give --resume, --overwrite"),
    "both": ("train digits --out run --resume --overwrite", "give one of them"),
    "another rate": ("train digits --out run --resume --lr 0.5", "`learning_rate` is 0.003 in run", "0.5"),
    "another size": ("train digits --out run --resume --hidden 17", "`hidden` is (16,) in run", "(17,)"),
    "another data set": ("train mnist --data . --out run --resume", "`dataset` is 'digits' in run", "'mnist'"),
    "epochs change a cosine": ("train digits --out run --resume --epochs 3", "`epochs` is 2 in run", "3"),
    "data of digits": ("evaluate run --data .", "`data` has no effect with dataset digits"),
}


@pytest.mark.parametrize(("line", "words"), [(line, words) for line, *words in WITH_A_RUN.values()], ids=WITH_A_RUN)
def test_bad_input_beside_a_run(trained, run, tmp_path, line, words):
    shutil.copytree(trained[0], tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert_refused(run(*line.split()), *words)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before, "the run was touched"


@pytest.mark.parametrize("command", ["evaluate run", "plot run", "train digits --out run --resume"])
@pytest.mark.parametrize("damage", ["config", "no checkpoint", "checkpoint", "another network"])
def test_damaged_run(trained, run, tmp_path, damage, command):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    (step,) = (folder / "checkpoints" / "latest").iterdir()
    if damage == "config":
        (folder / "config.json").write_text('{"hidden": [16')
    elif damage == "no checkpoint":
        shutil.rmtree(step)
    elif damage == "checkpoint":
        (step / "state" / "_METADATA").write_text("{")
    else:
        RunConfig.load(folder / "config.json").replace(hidden=(15,)).save(folder / "config.json")
    words = {
        "config": "config.json is not the description of a run",
        "no checkpoint": "no latest checkpoint",
        "checkpoint": "is damaged",
        "another network": "belongs to another network or optimizer",
    }
    status, _, err = run(*command.split())
    assert_refused((status, "", err), words[damage])


def test_plot_without_a_log(trained, run, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    (tmp_path / "run" / "log.jsonl").unlink()
    assert_refused(run("plot", "run"), "run holds no run: it has no log.jsonl")


def test_resume_a_finished_run_with_patience(trained, run, tmp_path):
    shutil.copytree(trained[0], tmp_path / "run")
    status, out, err = run("train", "digits", "--out", "run", "--resume", "--patience", "7")
    assert (status, err) == (0, "")
    assert "finished after 2 epochs" in out
    assert RunConfig.load(tmp_path / "run" / "config.json").patience == 7


def test_overwrite_removes_the_run_and_nothing_else(trained, run, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    (folder / "pictures").mkdir()
    (folder / "pictures" / "curves.png").write_bytes(b"old")
    (folder / "notes.txt").write_text("mine")
    seen = []

    def fit(trainer, data, directory, **_):
        seen.append(sorted(path.name for path in directory.rglob("*") if path.name != "log.jsonl"))
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.train, "fit", fit)
    assert run("train", "digits", "--out", "run", "--overwrite", "--seed", "5")[0] == 130
    assert seen == [["config.json", "notes.txt"]]
    assert json.loads((folder / "config.json").read_text())["seed"] == 5


def test_evaluate_where_the_data_has_moved(run, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (20, 5, 4), np.uint8), "y_train": np.arange(20) % 10}
    arrays |= {"x_test": rng.integers(0, 256, (7, 5, 4), np.uint8), "y_test": np.arange(7)}
    np.savez(tmp_path / "mnist.npz", **arrays)
    options = ("--data", tmp_path, "--encoder", "direct", "--steps", "2", "--batch-size", "10", "--epochs", "1")
    status, out, err = run("train", "mnist", *options)
    assert (status, err) == (0, "")
    assert out.startswith("fc network of lif neurons on mnist, T = 2: runs/mnist-fc\n")
    (tmp_path / "mnist.npz").rename(tmp_path / "moved.npz")
    assert_refused(run("evaluate", "runs/mnist-fc"), "no complete data set 'mnist'")
    status, out, err = run("evaluate", "runs/mnist-fc", "--data", "moved.npz")
    assert (status, err) == (0, "")
    assert out.startswith("latest checkpoint, epoch 1: test loss ")


def test_interrupted_and_resumed(tmp_path, run):
    """Ctrl-C in a process of its own, after the first epoch; the folder has a name with a space."""
    folder = tmp_path / "a run"
    options = (*TINY, "--epochs", "400", "--out", str(folder))
    command = [sys.executable, "-u", "-m", "spikejax.cli", "train", "digits", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert rest.splitlines()[-1] == f"saved; continue with: spikejax train digits --out '{folder}' --resume"
    epochs = len(read_log(folder))
    assert 1 <= epochs < 400

    config = RunConfig.load(folder / "config.json")
    config.replace(epochs=epochs + 2).save(folder / "config.json")  # so that the test ends soon
    status, out, err = run("train", "digits", "--out", folder, "--resume")
    assert (status, err) == (0, "")
    assert [row["epoch"] for row in read_log(folder)] == list(range(1, epochs + 3))
    assert f"finished after {epochs + 2} epochs" in out


@pytest.mark.parametrize("form", ["step", "unrolled"])
def test_export_onnx(trained, run, form):
    """The file classifies the test samples as the run does."""
    status, out, err = run("export", "onnx", trained[0], "net.onnx", "--form", form, "--batch", "4")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(rf"{form} form, float32, opset 13: \d+ nodes, \d+ bytes", lines[0])
    assert lines[-1] == "net.onnx"
    data, session = load_digits(), Session("net.onnx")
    images = data.x_test.reshape(-1, 4, 8, 8, 1) / data.scale
    if form == "step":
        guesses = [session.run(x, steps=3)[1].mean(0).argmax(-1) for x in images]
    else:
        assert (session.metadata["steps"], session.metadata["input"]) == (3, "static")
        guesses = [session.read_out(x).argmax(-1) for x in images]
    accuracy = (np.concatenate(guesses) == data.y_test).mean()
    assert accuracy == pytest.approx(read_log(trained[0])[-1]["test_accuracy"], abs=0.003)


def test_export_onnx_leaves_an_encoder_out(run):
    status, _, _ = run("train", "digits", "--hidden", "", "--encoder", "poisson", "--steps", "2", "--epochs", "1")
    assert status == 0
    status, out, err = run("export", "onnx", "runs/digits-fc", "net.onnx", "--form", "unrolled", "--dtype", "float16")
    assert (status, err) == (0, "")
    assert out.splitlines()[-2:] == ["the encoder is left out: the input is its spikes, step by step", "net.onnx"]
    assert (Session("net.onnx").metadata["input"], Session("net.onnx").metadata["dtype"]) == ("sequence", "float16")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--form", "loop"), ("--form", "'loop'", "unrolled")),
        (("--steps", "3"), ("`steps` has no effect in the step form",)),
        (("--opset", "9"), ("`opset` must be an integer from 11 to 21",)),
    ],
)
def test_export_onnx_refuses(trained, run, options, words):
    assert_refused(run("export", "onnx", trained[0], "net.onnx", *options), *words)
    assert not Path("net.onnx").exists()


def test_export_netx(trained, run):
    """The file's accuracy in integers is near the run's, and is that of the simulation."""
    status, out, err = run("export", "netx", trained[0], "a.net", "--report")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("layer  kind") and "note: the input is graded: give round(x * 16)" in out
    accuracy = float(re.fullmatch(r"a\.net: test accuracy (\d+\.\d\d)% in Loihi's integers", lines[-1])[1]) / 100
    data = load_digits()
    images = np.asarray(data.x_test, np.float32).reshape(len(data.x_test), 64)
    counts = np.asarray(netx.simulate_fixed_point("a.net", images, steps=3)).sum(0).reshape(len(images), 10, -1)
    assert accuracy == pytest.approx((counts.mean(-1).argmax(-1) == data.y_test).mean(), abs=1e-4)
    assert accuracy == pytest.approx(read_log(trained[0])[-1]["test_accuracy"], abs=0.02)
    assert_refused(run("export", "netx", trained[0], "b.net", "--quantize", "x"), "--quantize must be auto or a number")
    assert not Path("b.net").exists()


def test_export_nir(trained, run):
    assert run("export", "nir", trained[0], "a.nir") == (0, "a.nir\n", "")
    assert len(from_nir("a.nir")) >= 4


@pytest.mark.parametrize("model", ["fc", "conv"])
def test_a_network_without_spikes_is_trained_and_converted(run, model):
    size = ("--hidden", "32") if model == "fc" else ("--channels", "4")
    given = ("--neuron", "relu", "--model", model, *size, "--epochs", "4", "--out", "ann")
    assert run("train", "digits", *given)[0] == 0
    status, out, _ = run("convert", "ann", "--mode", "99%", "--channels", "--steps", "16")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "mode 99%"
    assert len(lines) == 2 + (2 if model == "fc" else 4) + 3
    found = re.fullmatch(r"test accuracy (\d+\.\d\d)% before, (\d+\.\d\d)% after 16 steps", lines[-3])
    before, after = map(float, found.groups())
    assert before > 40
    assert after > before - 5
    assert lines[-2:] == ["ann/accuracy-over-time.png", "ann/activations.png"]
    assert all(Path(line).is_file() for line in lines[-2:])
    assert_refused(run("convert", "ann", "--mode", "x"), '`mode` must be "max"')
    assert_refused(run("plot", "ann"), "which no layer has")


def test_only_a_network_without_spikes_is_converted(run, trained):
    assert_refused(run("convert", trained[0]), "holds a spiking network (neuron lif): train one with --neuron relu")
    assert_refused(
        run("train", "digits", "--neuron", "relu", "--steps", "4"),
        "`steps` must be one of 1, got 4: neuron relu takes no other",
    )
