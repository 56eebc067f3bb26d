"""The options of a training run, checked, saved beside it, and turned into a network and a trainer."""

import dataclasses
import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import jax.numpy as jnp
from flax import nnx

from spikejax import models
from spikejax.cells import IF, LIF, ParametricLIF
from spikejax.checks import check_integer, check_number, check_option
from spikejax.datasets import ImageData, load_digits, load_fashion_mnist, load_mnist
from spikejax.encoding import Poisson
from spikejax.losses import cross_entropy_rate, mse_rate
from spikejax.nn import AvgPool, MaxPool
from spikejax.surrogate import ATan
from spikejax.train.optimizer import Optimizer, Schedule, make_optimizer, make_schedule
from spikejax.train.trainer import Trainer

Dataset = Literal["digits", "mnist", "fashion-mnist"]
Model = Literal["fc", "conv"]
Neuron = Literal["lif", "if", "plif", "relu"]
Encoder = Literal["poisson", "direct"]
Loss = Literal["mse", "cross-entropy"]
Precision = Literal["float32", "bfloat16"]
_CHOICES = {
    "dataset": Dataset,
    "model": Model,
    "neuron": Neuron,
    "encoder": Encoder,
    "loss": Loss,
    "precision": Precision,
    "optimizer": Optimizer,
    "schedule": Schedule,
}
PRESETS: dict[str, dict[str, Any]] = {
    "digits": {
        "hidden": (512,),
        "voters": 10,
        "encoder": "direct",
        "steps": 10,
        "epochs": 40,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "schedule": "cosine",
    },
    "relu": {"encoder": "direct", "steps": 1, "voters": 1, "loss": "cross-entropy"},
    "conv": {"hidden": (), "encoder": "direct", "steps": 8, "voters": 10},
}
_WITHOUT_EFFECT = {"hidden": ("model", "conv"), "channels": ("model", "fc"), "tau": ("neuron", "if")}
"""Options that mean nothing where another has a certain value."""

_LOADERS = {"mnist": load_mnist, "fashion-mnist": load_fashion_mnist}
_LOSSES = {"mse": mse_rate, "cross-entropy": cross_entropy_rate}


@dataclass(frozen=True)
class RunConfig:
    """What to train, and how; `preset` gives the options known to work for a data set.

    Attributes:
        dataset: one of `Dataset`.
        data: folder or file of the data set; the digits are built in.
        model: "fc" or "conv".
        hidden: neurons of each hidden layer of "fc".
        channels: feature maps of "conv".
        voters: output neurons a class.
        neuron: "lif", "if", "plif"; or "relu", for a network without spikes that is to be converted: it takes the
            image as it is, in one step.
        tau: membrane time constant in steps, > 1, where the neuron has one.
        encoder: "poisson" or "direct".
        steps: time steps T for which a sample is shown.
        epochs: passes over the training samples.
        batch_size: samples a batch.
        optimizer: one of `spikejax.train.optimizer.Optimizer`.
        learning_rate: rate to start from, > 0.
        schedule: one of `spikejax.train.optimizer.Schedule`.
        warmup: epochs during which the rate rises from 0.
        loss: "mse" or "cross-entropy" of the firing rates.
        precision: dtype of the matrix products; membranes and parameters stay float32.
        chunk: as in `spikejax.run`.
        remat: as in `spikejax.run`.
        patience: epochs without a better test accuracy after which training stops early; None never.
        seed: seed of weights, shuffling and encoders, from 0 to 2**32 - 1.

    Raises:
        ValueError: a value out of its range.
    """

    dataset: Dataset = "digits"
    data: str | None = None
    model: Model = "fc"
    hidden: tuple[int, ...] = ()
    channels: int = 32
    voters: int = 1
    neuron: Neuron = "lif"
    tau: float = 2.0
    encoder: Encoder = "poisson"
    steps: int = 100
    epochs: int = 10
    batch_size: int = 64
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    warmup: int = 0
    loss: Loss = "mse"
    precision: Precision = "float32"
    chunk: int | None = None
    remat: bool = False
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_option(name, getattr(self, name), get_args(choices))
        for name in ("steps", "epochs", "batch_size", "channels", "voters", "patience", "chunk"):
            value = getattr(self, name)
            if value is not None:
                check_integer(name, value)
        if self.dataset == "digits" and self.data is not None:
            raise ValueError(f"`data` must not be given with digits, which are built in, got {self.data!r}")
        check_integer("warmup", self.warmup, ge=0, le=self.epochs - 1, remedy=f"there are {self.epochs} epochs")
        if self.neuron == "relu" and (self.encoder, self.steps) != ("direct", 1):
            raise ValueError(
                f"`neuron` relu has no time: it needs encoder direct and 1 step, got {self.encoder} and {self.steps}"
            )
        if self.neuron != "if":
            check_number("tau", self.tau, gt=1, remedy="it is a time constant, in steps")
        check_integer("seed", self.seed, ge=0, le=2**32 - 1)
        make_optimizer(self.optimizer, make_schedule(self.schedule, self.learning_rate, 1))

    @classmethod
    def preset(cls, dataset: str, **given: Any) -> "RunConfig":
        """The options known to work for a data set, with those given in their place.

        Digits: a hidden layer, the image as a current. MNIST and Fashion-MNIST: the single layer with Poisson
        spikes, T = 100. The convolutional network takes the image as a current, T = 8, on all of them.

        Raises:
            ValueError: a value out of its range, or a given option that has no effect beside the others.
        """
        values = dict(PRESETS.get(dataset, {}))
        if given.get("model") == "conv":
            values |= PRESETS["conv"]
        if given.get("neuron") == "relu":
            values |= PRESETS["relu"]
        config = cls(**{"dataset": dataset, **values, **given})
        for name, (other, value) in _WITHOUT_EFFECT.items():
            if name in given and getattr(config, other) == value:
                raise ValueError(f"`{name}` has no effect with {other} {value}: leave it out")
        return config

    def replace(self, **changes: Any) -> "RunConfig":
        """A copy with some options changed, checked."""
        return dataclasses.replace(self, **changes)

    def save(self, path: Path) -> None:
        """Writes the options as JSON, in one stroke."""
        partial_file = path.with_suffix(".tmp")
        partial_file.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        os.replace(partial_file, path)

    @classmethod
    def load(cls, path: Path) -> "RunConfig":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: `path` does not exist.
            ValueError: it is not such a file.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path.parent} holds no run: it has no {path.name}")
        try:
            values = json.loads(path.read_text())
            return cls(**{**values, "hidden": tuple(values["hidden"])})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is not the description of a run: {error}") from error


def load_data(config: RunConfig) -> ImageData:
    """The data set of a run.

    Raises:
        FileNotFoundError: it is not where `config.data` says; the message lists what was looked for.
        ValueError: a file is damaged, or `data` is missing.
    """
    if config.dataset == "digits":
        return load_digits()
    if config.data is None:
        raise ValueError(f"`data` must name the folder or file of {config.dataset}: give --data PATH")
    return _LOADERS[config.dataset](config.data)


def build_trainer(config: RunConfig, data: ImageData) -> tuple[Trainer, Any]:
    """The trainer of a run, and its learning rate over training steps.

    Raises:
        ValueError: the configuration does not fit the data.
    """
    rngs = nnx.Rngs(config.seed)
    common: dict[str, Any] = {
        "neuron": _neuron(config),
        "voters": config.voters,
        "encoder": Poisson() if config.encoder == "poisson" else None,
        "dtype": None if config.precision == "float32" else jnp.bfloat16,
        "rngs": rngs,
    }
    shape, classes = data.x_train.shape[1:], len(data.classes)
    if config.model == "fc":
        net = models.fully_connected(shape, classes, hidden=config.hidden, **common)
    else:
        pool = AvgPool(2) if config.neuron == "relu" else MaxPool(2)  # of which there is no form in spikes
        net = models.convolutional(shape, classes, channels=config.channels, pool=pool, **common)
    per_epoch = len(data.x_train) // config.batch_size
    schedule = make_schedule(
        config.schedule,
        config.learning_rate,
        max(per_epoch, 1) * config.epochs,
        warmup=per_epoch * config.warmup,
    )
    trainer = Trainer(
        net,
        make_optimizer(config.optimizer, schedule),
        steps=config.steps,
        batch_size=config.batch_size,
        loss=_LOSSES[config.loss],
        scale=data.scale,
        chunk=config.chunk,
        remat=config.remat,
        seed=config.seed,
    )
    trainer.batches_per_epoch(len(data.x_train))
    return trainer, schedule


def _neuron(config: RunConfig) -> Any:
    if config.neuron == "relu":
        return lambda: nnx.relu
    surrogate = ATan()
    if config.neuron == "if":
        return partial(IF, surrogate=surrogate)
    if config.neuron == "plif":
        return partial(ParametricLIF, init_tau=config.tau, surrogate=surrogate)
    return partial(LIF, tau=config.tau, surrogate=surrogate)
