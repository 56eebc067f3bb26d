"""The command that converts a trained network of rectifiers to a spiking one."""

from typing import Annotated

import numpy as np
import typer

from spikejax.cli.app import CheckpointKind, DataMoved, Refusal, RunFolder, app, load_run, refusing
from spikejax.convert import RateIF, accuracy_over_time, convert, measure
from spikejax.scan import run
from spikejax.typing import Array
from spikejax.visualize import plot_accuracy_over_time, plot_ranges


@app.command("convert")
def convert_run(
    folder: RunFolder,
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
    mode: Annotated[
        str, typer.Option(help="Scales: max, balanced, a percentile such as 99.9%, or a share of the max.")
    ] = "99.9%",
    channels: Annotated[bool, typer.Option("--channels", help="Give every channel a scale of its own.")] = False,
    steps: Annotated[int, typer.Option(help="Steps for which each sample is shown.", min=1)] = 50,
    v_init: Annotated[float, typer.Option(help="Membrane to start from, as a share of the threshold.")] = 0.5,
    samples: Annotated[int, typer.Option(help="Training samples to measure the scales over.", min=1)] = 10000,
) -> None:
    """Make a spiking network of a run with --neuron relu; print its scales and accuracy, draw them beside the run."""
    with refusing():
        config, images, trainer, state, _ = load_run(folder, checkpoint, data)
        if config.neuron != "relu":
            raise Refusal(f"{folder} holds a spiking network (neuron {config.neuron}): train one with --neuron relu")
        net = trainer.network(state)
        x_train = images.x_train[:samples].astype(np.float32) / images.scale
        x_test = images.x_test.astype(np.float32) / images.scale

        def ann(x: Array) -> Array:
            return run(net, x, steps=1)[1][0]

        ranges = measure(ann, x_train, _mode(mode), channels=channels)
        spiking = convert(ann, ranges, sample_shape=x_train.shape[1:], neuron=RateIF(v_init=v_init))
        shares = np.asarray(accuracy_over_time(spiking, x_test, images.y_test, steps))
        accuracy = float(np.mean([np.mean(ann(x).argmax(-1) == y) for x, y in _batches(x_test, images.y_test)]))
    typer.echo(ranges)
    typer.echo(f"test accuracy {accuracy:.2%} before, {shares[-1]:.2%} after {steps} steps")
    curves = {f"mode {mode}": shares}
    histograms = [(r.name, r.histogram, r.largest, r.scale) for r in ranges.layers]
    for name, figure in (
        ("accuracy-over-time.png", plot_accuracy_over_time(curves, reference=accuracy)),
        ("activations.png", plot_ranges(histograms)),
    ):
        figure.savefig(folder / name)
        typer.echo(folder / name)


def _mode(text: str) -> str | float:
    """The argument `mode` of `measure`."""
    try:
        return float(text)
    except ValueError:
        return text


def _batches(x: np.ndarray, y: np.ndarray):
    """Batches of equal size, of about 500 samples."""
    size = max(k for k in range(1, min(500, len(x)) + 1) if len(x) % k == 0)
    return zip(x.reshape(-1, size, *x.shape[1:]), y.reshape(-1, size), strict=True)
