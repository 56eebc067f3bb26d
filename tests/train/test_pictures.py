"""The pictures of a run: what they are drawn from, and how the terminal shows a training."""

import io

import numpy as np
import pytest
from rich.console import Console
from tests.train.setups import CLASSES, images

from spikejax.train import RunConfig, RunLog, build_trainer
from spikejax.train import pictures as module
from spikejax.train.pictures import draw_run
from spikejax.train.progress import ProgressBar

ROW = {"epoch": 1, "step": 10, "train_loss": 0.5, "train_accuracy": 1.0, "test_loss": 0.25, "test_accuracy": 0.5}
ROW |= {"learning_rate": 0.1, "samples_per_second": 12345678.9}
STEPS = 11  # more than a network takes at once
CONFIGS = {
    "conv": RunConfig(model="conv", channels=1, encoder="direct", steps=STEPS, batch_size=8, voters=2),
    "poisson": RunConfig(neuron="if", steps=STEPS, batch_size=8, voters=2, seed=1),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_pictures(tmp_path, monkeypatch, name):
    config, data, drawn = CONFIGS[name], images(), {}
    for kind in ("curves", "raster", "membrane", "encoding"):
        plot = getattr(module, f"plot_{kind}")

        def keep(*arrays, plot=plot, kind=kind, **options):
            drawn[kind] = arrays
            return plot(*arrays, **options)

        monkeypatch.setattr(module, f"plot_{kind}", keep)
    with RunLog(tmp_path) as log:
        log.append(ROW)
    trainer, _ = build_trainer(config, data)
    paths = draw_run(tmp_path, config, data, trainer, trainer.init())
    assert paths == [tmp_path / "pictures" / f"{kind}.png" for kind in ("curves", "raster", "membrane", "encoding")]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)

    assert drawn["curves"] == ([ROW],)
    raster = np.asarray(drawn["raster"][0])
    membrane, spikes = map(np.asarray, drawn["membrane"])
    assert raster.shape == (STEPS, CLASSES * config.voters), "this is not the output layer"
    assert membrane.shape == spikes.shape == (STEPS,)
    answer = raster.reshape(STEPS, CLASSES, config.voters).sum((0, 2)).argmax()
    np.testing.assert_array_equal(spikes, raster[:, answer * config.voters])
    shown, code = drawn["encoding"]
    np.testing.assert_allclose(shown, data.x_test[:4, ..., 0] / 16)
    assert np.shape(code) == (STEPS, 4, 4, 4)
    if name == "poisson":
        assert not np.array_equal(spikes, raster[:, answer]), "any neuron would do: choose another seed"
        assert not code[:, shown == 0].any()
        assert abs(code.mean() - shown.mean()) < 0.1


def test_progress_on_a_terminal_and_in_a_file():
    """A bar on a terminal only; the line of an epoch on both, never wrapped."""
    line = "epoch   1/1000  train 0.5000 100.00%  test 0.2500 50.00%  12,345,679 samples/s"
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=200 if terminal else 60, highlight=False)
        with ProgressBar(1000, console) as bar:
            bar.batches(1, 3, 44, 0.123, 0.5, 999.0)
            bar.epoch(ROW)
        assert line in file.getvalue()
        assert ("loss 0.1230  accuracy 50.00%" in file.getvalue()) == terminal
