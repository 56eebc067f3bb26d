"""Pictures of a trained run: learning curves, output spikes, a membrane, the code of the input."""

from math import ceil, isqrt
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spikejax.datasets import ImageData
from spikejax.losses import firing_rate
from spikejax.scan import run
from spikejax.train.config import RunConfig
from spikejax.train.log import read_log
from spikejax.train.trainer import Trainer, TrainState
from spikejax.visualize import plot_curves, plot_encoding, plot_membrane, plot_raster

IMAGES = 4
"""Test images whose code is drawn."""


def draw_run(directory: Path, config: RunConfig, data: ImageData, trainer: Trainer, state: TrainState) -> list[Path]:
    """Draws a run into `directory`/pictures.

    Args:
        directory: folder of the run, for its log.
        config: its options.
        data: its data set.
        trainer: its trainer.
        state: its state, trained.

    Returns:
        The files written: `curves.png`, `raster.png` (the output layer for one test sample), `membrane.png` (the
        output neuron of its class) and `encoding.png` (test images beside the spikes that stand for them).

    Raises:
        FileNotFoundError: the folder holds no log.
        ImportError: matplotlib is not installed.
    """
    net = trainer.network(state)
    images = jnp.asarray(data.x_test[:IMAGES], jnp.float32) / data.scale
    start = net.init_state(images.shape, key=jax.random.key(config.seed))
    _, (outs, records) = run(net, images, start, steps=config.steps, record=("spikes", "membrane"))
    cells = sorted((name.removesuffix(".spikes") for name in records if name.endswith(".spikes")), key=int)
    answers = firing_rate(outs).argmax(-1)
    sample = int((answers == data.y_test[:IMAGES]).argmax())  # one that is classified rightly, if there is one
    output, answer = cells[-1], int(answers[sample])
    neuron = answer * config.voters
    spikes, membrane = records[f"{output}.spikes"][:, sample], records[f"{output}.membrane"][:, sample]
    cell = net[int(output)]
    label = data.classes[data.y_test[sample]]
    shown = f"a test sample of class {label}, classified as {data.classes[answer]}"
    code = _as_maps(np.asarray(records[f"{cells[0]}.spikes"]))
    figures = {
        "curves": plot_curves(read_log(directory)),
        "raster": plot_raster(spikes, title=f"output layer for {shown}"),
        "membrane": plot_membrane(
            membrane[:, neuron],
            spikes[:, neuron],
            v_threshold=cell.v_threshold,
            v_reset=cell.v_reset,
            title=f"output neuron {neuron} for {shown}",
        ),
        "encoding": plot_encoding(np.asarray(images)[..., 0], code),
    }
    folder = directory / "pictures"
    folder.mkdir(exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=150)
    return paths


def _as_maps(spikes: np.ndarray) -> Any:
    """Spikes of the first cell as maps `[T, n, H, W]`: the most active channel, or neurons folded to a square."""
    if spikes.ndim == 5:
        return spikes[..., spikes.mean((0, 1, 2, 3)).argmax()]
    steps, count, neurons = spikes.shape
    side = isqrt(neurons - 1) + 1
    rows = ceil(neurons / side)
    padded = np.pad(spikes, ((0, 0), (0, 0), (0, rows * side - neurons)))
    return padded.reshape(steps, count, rows, side)
