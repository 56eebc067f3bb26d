"""Trained networks in the formats of chips."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikejax.cli.app import CheckpointKind, DataMoved, RunFolder, app, load_run, refusing
from spikejax.encoding import Poisson
from spikejax.export.onnx import write
from spikejax.export.onnx.options import Dtype, Form, Layout, Readout, Target
from spikejax.nn import Sequential

export_app = typer.Typer(no_args_is_help=True, help="Write a trained network for a chip.")
app.add_typer(export_app, name="export")


@export_app.command("onnx")
def export_onnx(
    folder: RunFolder,
    out: Annotated[Path, typer.Argument(help="File to write.")],
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
    form: Annotated[Form, typer.Option(help="step (state outside) or unrolled (all steps).")] = "step",
    steps: Annotated[int | None, typer.Option(help="Steps of the unrolled form; default those of the run.")] = None,
    batch: Annotated[int, typer.Option(help="Samples at a time.")] = 1,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, 11 to 21.")] = 13,
    dtype: Annotated[Dtype, typer.Option(help="Of weights, states, input and output.")] = "float32",
    layout: Annotated[Layout, typer.Option(help="Axes of the input.")] = "NCHW",
    readout: Annotated[Readout | None, typer.Option(help="Over the steps of the unrolled form; default mean.")] = None,
    target: Annotated[Target, typer.Option(help="lynxi refuses what exceeds its limits, any only warns.")] = "lynxi",
) -> None:
    """Write a run as an ONNX file, for Lynxi's chips or onnxruntime, and print what is in it."""
    given: dict[str, Any] = {"form": form, "batch": batch, "opset": opset, "dtype": dtype, "layout": layout}
    with refusing():
        config, images, trainer, state, _ = load_run(folder, checkpoint, data)
        net, encoded = without_encoder(trainer.network(state))
        if form == "unrolled":
            given |= {"steps": steps or config.steps, "input": "sequence" if encoded else "static"}
        else:
            given |= {"steps": steps}
        report = write(out, net, images.x_test.shape[1:], **given, readout=readout, target=target)
    typer.echo(report)
    if encoded:
        typer.echo("the encoder is left out: the input is its spikes, step by step")
    typer.echo(out)


def without_encoder(net: Sequential) -> tuple[Sequential, bool]:
    """The network without the Poisson encoder that it may start with, and whether it did."""
    if not isinstance(net[0], Poisson):
        return net, False
    return Sequential(*(net[i] for i in range(1, len(net)))), True
