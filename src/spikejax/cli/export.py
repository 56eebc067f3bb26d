"""Trained networks in the formats of chips."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spikejax.cli.app import CheckpointKind, DataMoved, RunFolder, app, load_run, refusing
from spikejax.encoding import Poisson
from spikejax.nn import Sequential

export_app = typer.Typer(no_args_is_help=True, help="Write a trained network for a chip.")
app.add_typer(export_app, name="export")


@export_app.command("onnx")
def export_onnx(
    folder: RunFolder,
    out: Annotated[Path, typer.Argument(help="File to write.")],
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
    form: Annotated[str, typer.Option(help="step (state outside) or unrolled (all steps).")] = "step",
    steps: Annotated[int | None, typer.Option(help="Steps of the unrolled form; default those of the run.")] = None,
    batch: Annotated[int, typer.Option(help="Samples at a time.")] = 1,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, 11 to 21.")] = 13,
    dtype: Annotated[str, typer.Option(help="float32 or float16.")] = "float32",
    layout: Annotated[str, typer.Option(help="Axes of the input: NCHW or NHWC.")] = "NCHW",
    readout: Annotated[str | None, typer.Option(help="Of the unrolled form: mean, sum or none.")] = None,
    target: Annotated[str, typer.Option(help="lynxi refuses what exceeds its limits, any only warns.")] = "lynxi",
) -> None:
    """Write a run as an ONNX file, for Lynxi's chips or onnxruntime, and print what is in it."""
    given: dict[str, Any] = {"form": form, "batch": batch, "opset": opset, "dtype": dtype, "layout": layout}
    with refusing():
        from spikejax.export.onnx import write

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
