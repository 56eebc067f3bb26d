"""Trained networks in the formats of chips."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import typer

from spikejax.cli.app import CheckpointKind, DataMoved, Refusal, RunFolder, app, load_run, refusing
from spikejax.datasets import ImageData
from spikejax.encoding import Poisson
from spikejax.export import netx
from spikejax.export.onnx.options import Dtype, Form, ImageLayout, Readout, Target
from spikejax.export.registry import EXPORTERS
from spikejax.nn import Sequential, Voting
from spikejax.scan import run
from spikejax.typing import Array

SUFFIXES = ", ".join(f"{exporter.suffix} for {name}" for name, exporter in EXPORTERS.items())
Output = Annotated[Path, typer.Argument(help=f"File to write; by custom its name ends in {SUFFIXES}.")]

export_app = typer.Typer(no_args_is_help=True, help="Write a trained network for a chip.")
app.add_typer(export_app, name="export")


def _command(name: str, result: str = "") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command of an exporter, with its name and description; `result` says what is printed besides."""
    return export_app.command(name, help=f"Write a run as {EXPORTERS[name].description}{result}.")


@_command("onnx", ", and print what is in it")
def export_onnx(
    folder: RunFolder,
    out: Output,
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
    form: Annotated[Form, typer.Option(help="step (state outside) or unrolled (all steps).")] = "step",
    steps: Annotated[int | None, typer.Option(help="Steps of the unrolled form; default those of the run.")] = None,
    batch: Annotated[int, typer.Option(help="Samples at a time.")] = 1,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, 11 to 21.")] = 13,
    dtype: Annotated[Dtype, typer.Option(help="Of weights, states, input and output.")] = "float32",
    layout: Annotated[ImageLayout, typer.Option(help="Axes of the input.")] = "NCHW",
    readout: Annotated[Readout | None, typer.Option(help="Over the steps of the unrolled form; default mean.")] = None,
    target: Annotated[Target, typer.Option(help="lynxi refuses what exceeds its limits, any only warns.")] = "lynxi",
) -> None:
    """Writes an ONNX file and prints its report."""
    options: dict[str, Any] = {"form": form, "batch": batch, "opset": opset, "dtype": dtype, "layout": layout}
    options |= {"readout": readout, "target": target, "steps": steps}
    with refusing():
        config, images, trainer, state, _ = load_run(folder, checkpoint, data)
        net, encoded = without_encoder(trainer.network(state))
        if form == "unrolled":
            options |= {"steps": steps or config.steps, "input": "sequence" if encoded else "static"}
        report = EXPORTERS["onnx"].write(out, net, images.x_test.shape[1:], **options)
    typer.echo(report)
    if encoded:
        typer.echo("the encoder is left out: the input is its spikes, step by step")
    typer.echo(out)


@_command("netx", ", and print its accuracy in the chip's integers")
def export_netx(
    folder: RunFolder,
    out: Output,
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
    quantize: Annotated[
        str, typer.Option(help="Whole numbers that make 1.0 in every layer, such as 64; or auto.")
    ] = "auto",
    input_scale: Annotated[float | None, typer.Option(help="Whole numbers of full intensity, without encoder.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Print what each layer became.")] = False,
) -> None:
    """Writes a NetX file and prints its accuracy."""
    with refusing():
        config, images, trainer, state, _ = load_run(folder, checkpoint, data)
        net, encoded = without_encoder(trainer.network(state))
        graded = None if encoded else input_scale or float(images.scale)
        shape = images.x_test.shape[1:]
        chip = netx.quantized(net, shape, scale=_scale(quantize), input_scale=graded)
        written = EXPORTERS["netx"].write(out, chip, shape)
        accuracy = _integer_accuracy(out, net, images, config.steps, graded)
    if report:
        typer.echo(written)
    typer.echo(f"{out}: test accuracy {accuracy:.2%} in Loihi's integers")


@_command("nir")
def export_nir(
    folder: RunFolder,
    out: Output,
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
    dt: Annotated[float, typer.Option(help="Seconds a step.")] = 1e-4,
) -> None:
    """Writes a NIR graph."""
    with refusing():
        _, images, trainer, state, _ = load_run(folder, checkpoint, data)
        net, encoded = without_encoder(trainer.network(state))
        EXPORTERS["nir"].write(out, net, images.x_test.shape[1:], dt=dt)
    if encoded:
        typer.echo("the encoder is left out: the input is its spikes, step by step")
    typer.echo(out)


def _scale(text: str) -> Any:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise Refusal(f"--quantize must be auto or a number such as 64, got {text!r}") from None


def _integer_accuracy(path: Path, net: Sequential, images: ImageData, steps: int, graded: float | None) -> float:
    """Share of the test samples that the file classifies rightly, by bit-exact simulation."""
    last, flat, correct = net[len(net) - 1], not isinstance(netx.read(path)[0], netx.QuantizedConv), 0
    for start in range(0, len(images.x_test), 500):
        x = jnp.asarray(images.x_test[start : start + 500], jnp.float32) / images.scale
        spikes = _poisson(x, start, steps) if graded is None else jnp.round(x * graded)
        spikes = spikes.reshape(*spikes.shape[: spikes.ndim - x.ndim + 1], -1) if flat else spikes
        counts = netx.simulate_fixed_point(path, spikes, steps=None if graded is None else steps).sum(0)
        counts = last(counts) if isinstance(last, Voting) else counts
        correct += int((counts.argmax(-1) == jnp.asarray(images.y_test[start : start + 500])).sum())
    return correct / len(images.x_test)


def _poisson(x: Array, seed: int, steps: int) -> Array:
    return run(Poisson(), x, Poisson().init_state(x.shape, key=jax.random.key(seed)), steps=steps)[1]


def without_encoder(net: Sequential) -> tuple[Sequential, bool]:
    """The network without the Poisson encoder that it may start with, and True if it did."""
    if not isinstance(net[0], Poisson):
        return net, False
    return Sequential(*(net[i] for i in range(1, len(net)))), True
