"""The `spikejax` command itself: its start, its refusals, and the runs it reads."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.models import OptionInfo

from spikejax.datasets import ImageData
from spikejax.train import Checkpoints, RunConfig, Trainer, TrainState, build_trainer, load_data
from spikejax.train.checkpoint import Kind
from spikejax.train.registry import REGISTRY

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Spiking neural networks on JAX.",
)


class Refusal(Exception):
    """An error in the user's input; the message is a sentence."""


RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, as given to train --out.")]
CheckpointKind = Annotated[Kind, typer.Option("--checkpoint", help="Which checkpoint.")]
DataMoved = Annotated[Path | None, typer.Option("--data", help="Where the data set lies now, if it has moved.")]


def named_option(name: str, text: str) -> OptionInfo:
    """An option of the command that takes one of the names in the registry."""
    return typer.Option(help=text, metavar="|".join(REGISTRY[name]))


def main() -> None:
    """Runs the command; a bad option or input gets one sentence and exit status 2."""
    try:
        code = app(prog_name="spikejax", standalone_mode=False)
    except (Refusal, TyperException) as error:
        message = getattr(error, "format_message", error.__str__)().replace("Value error, ", "")
        if message:  # empty where the help has been shown instead
            typer.echo(f"spikejax: {' '.join(message.split())}", err=True)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    sys.exit(code or 0)


@contextmanager
def refusing() -> Iterator[None]:
    """Turns errors in the user's input into usage errors."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise Refusal(str(error)) from error


def load_run(
    folder: Path, kind: Kind, data: Path | None
) -> tuple[RunConfig, ImageData, Trainer, TrainState, dict[str, Any]]:
    """The options, data, trainer, state and progress of a run."""
    config = RunConfig.load(folder / "config.json")
    images = load_data(config if data is None else config.replace(data=str(data)))
    trainer, _ = build_trainer(config, images)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        state, progress = checkpoints.load(kind, trainer.init())
    return config, images, trainer, state, progress
