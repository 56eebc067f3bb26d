"""Training runs: train, evaluate, plot, info."""

import shlex
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from spikejax.cli.app import CheckpointKind, DataMoved, Refusal, RunFolder, app, load_run, named_option, refusing
from spikejax.train import RunConfig, build_trainer, fit, load_data
from spikejax.train.progress import ProgressBar
from spikejax.train.registry import REGISTRY


@app.command()
def train(
    dataset: Annotated[
        str, typer.Argument(help="Data set; the digits are built in.", metavar="|".join(REGISTRY["dataset"]))
    ],
    data: Annotated[Path | None, typer.Option(help="Folder or npz file of the data set.")] = None,
    model: Annotated[str | None, named_option("model", "Fully connected or convolutional.")] = None,
    hidden: Annotated[str | None, typer.Option(help="Hidden sizes of fc, as 196 or 256,128; '' for none.")] = None,
    channels: Annotated[int | None, typer.Option(help="Feature maps of conv.")] = None,
    voters: Annotated[int | None, typer.Option(help="Output neurons a class.")] = None,
    neuron: Annotated[str | None, named_option("neuron", "Neuron of every layer.")] = None,
    tau: Annotated[float | None, typer.Option(help="Membrane time constant in steps, > 1.")] = None,
    encoder: Annotated[str | None, named_option("encoder", "Poisson spikes, or the image as a current.")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps T a sample.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training samples.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a batch.")] = None,
    optimizer: Annotated[str | None, named_option("optimizer", "Optimizer.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate to start from.")] = None,
    schedule: Annotated[str | None, named_option("schedule", "Course of the learning rate.")] = None,
    warmup: Annotated[int | None, typer.Option(help="Epochs in which the rate rises from 0.")] = None,
    loss: Annotated[str | None, named_option("loss", "Loss on the firing rates.")] = None,
    precision: Annotated[str | None, named_option("precision", "Dtype of the matrix products.")] = None,
    chunk: Annotated[int | None, typer.Option(help="Time steps computed layer by layer at once.")] = None,
    remat: Annotated[bool | None, typer.Option("--remat", help="Recompute chunks in the backward pass.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without a better test.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, shuffling and encoders.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default runs/DATASET-MODEL.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out, with its options.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove an earlier run in --out.")] = False,
) -> None:
    """Train a network; Ctrl-C saves, --resume continues exactly."""
    options = {
        "dataset": dataset,
        "data": None if data is None else str(data.absolute()),
        "model": model,
        "hidden": None if hidden is None else _sizes(hidden),
        "channels": channels,
        "voters": voters,
        "neuron": neuron,
        "tau": tau,
        "encoder": encoder,
        "steps": steps,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": lr,
        "schedule": schedule,
        "warmup": warmup,
        "loss": loss,
        "precision": precision,
        "chunk": chunk,
        "remat": remat,
        "patience": patience,
        "seed": seed,
    }
    values = {name: value for name, value in options.items() if value is not None}
    with refusing():
        folder = out or Path("runs") / f"{values['dataset']}-{values.get('model', RunConfig.model)}"
        config = _resumed(folder, values) if resume else RunConfig.preset(**values)
        images = load_data(config)
        trainer, rate = build_trainer(config, images)
        _prepare(folder, resume, overwrite)
        config.save(folder / "config.json")
    typer.echo(f"{config.model} network of {config.neuron} neurons on {config.dataset}, T = {config.steps}: {folder}")
    with refusing(), ProgressBar(config.epochs) as bar:
        outcome = fit(
            trainer,
            images,
            folder,
            epochs=config.epochs,
            schedule=rate,
            resume=resume,
            patience=config.patience,
            reporter=bar,
        )
    if outcome.reason == "interrupted":
        typer.echo(f"saved; continue with: spikejax train {config.dataset} --out {shlex.quote(str(folder))} --resume")
        raise typer.Exit(130)
    best = f"(best {outcome.best_accuracy:.2%})"
    typer.echo(f"{outcome.reason} after {outcome.epochs} epochs: test accuracy {outcome.test_accuracy:.2%} {best}")


@app.command()
def evaluate(
    folder: RunFolder,
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
) -> None:
    """Print loss and accuracy of a run on its test samples."""
    with refusing():
        _, images, trainer, state, progress = load_run(folder, checkpoint, data)
    loss, accuracy = trainer.evaluate(state, images.x_test, images.y_test).means()
    typer.echo(
        f"{checkpoint} checkpoint, epoch {progress['epoch']}: test loss {loss:.4f}, test accuracy {accuracy:.2%}"
    )


@app.command()
def plot(
    folder: RunFolder,
    checkpoint: CheckpointKind = "latest",
    data: DataMoved = None,
) -> None:
    """Draw learning curves, output spikes, a membrane and the code of the input."""
    with refusing():
        from spikejax.train.pictures import draw_run

        config, images, trainer, state, _ = load_run(folder, checkpoint, data)
        for path in draw_run(folder, config, images, trainer, state):
            typer.echo(path)


@app.command()
def info() -> None:
    """Print versions, devices and the methods available."""
    import jax

    from spikejax.scan import METHODS

    for name in ("spikejax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"):
        typer.echo(f"{name:<18}{version(name)}")
    typer.echo(f"{'python':<18}{sys.version.split()[0]}")
    typer.echo(f"{'devices':<18}{', '.join(map(str, jax.devices()))}")
    typer.echo(f"{'methods':<18}{', '.join(METHODS)}")


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise Refusal(f"--hidden must be sizes such as 196 or 256,128, got {text!r}") from None


def _resumed(folder: Path, options: dict[str, Any]) -> RunConfig:
    """The options of the run in `folder`; patience may differ, and epochs where the learning rate is constant."""
    config = RunConfig.load(folder / "config.json")
    for name, value in options.items():
        free = name == "patience" or (name == "epochs" and config.schedule == "constant")
        if value != getattr(config, name) and not free:
            raise ValueError(
                f"`{name}` is {getattr(config, name)!r} in {folder} and cannot become {value!r} on --resume: "
                f"leave it out, or start a run in another --out"
            )
    return config.replace(**options)


def _prepare(folder: Path, resume: bool, overwrite: bool) -> None:
    """Makes the folder of the run; removes an earlier run where asked to, and nothing else that lies there."""
    if resume and overwrite:
        raise ValueError("--resume continues a run and --overwrite removes it: give one of them")
    if not resume and (folder / "config.json").exists():
        if not overwrite:
            raise ValueError(f"{folder} holds a run already: give --resume, --overwrite, or another --out")
        for part in ("checkpoints", "tensorboard", "pictures"):
            shutil.rmtree(folder / part, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
