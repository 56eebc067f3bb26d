"""The options of a training run: checked, and saved beside it."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikejax.checks import check_integer, check_number, check_option
from spikejax.train.registry import REGISTRY, Entry


@dataclass(frozen=True)
class RunConfig:
    """The options of a training run; `preset` gives those known to work for a data set.

    The names that `dataset`, `model`, `neuron`, `encoder`, `optimizer`, `schedule`, `loss` and `precision` may have are
    those of `spikejax.train.registry.REGISTRY`.

    Attributes:
        dataset: name of the data set.
        data: folder or file of the data set, unless it is built in.
        model: name of the network.
        hidden: neurons of each hidden layer of the model "fc".
        channels: feature maps of the model "conv".
        voters: output neurons a class.
        neuron: name of the neuron of every layer; "relu" makes a network without spikes that is to be converted: it
            takes the image as it is, in one step.
        tau: membrane time constant in steps, > 1, of neurons that have one.
        encoder: "poisson" for spikes, or "direct" for the image as a current.
        steps: time steps T for which a sample is shown.
        epochs: passes over the training samples.
        batch_size: samples a batch.
        optimizer: name of the optimizer.
        learning_rate: rate to start from, > 0.
        schedule: name of the course of the rate.
        warmup: epochs during which the rate rises from 0.
        loss: name of the loss on the firing rates.
        precision: dtype of the matrix products; membranes and parameters stay float32.
        chunk: as in `spikejax.run`.
        remat: as in `spikejax.run`.
        patience: epochs without a better test accuracy after which training stops early; None never.
        seed: seed of weights, shuffling and encoders, from 0 to 2**32 - 1.

    Raises:
        ValueError: a value out of its range, or one that another option excludes.
    """

    dataset: str = "digits"
    data: str | None = None
    model: str = "fc"
    hidden: tuple[int, ...] = ()
    channels: int = 32
    voters: int = 1
    neuron: str = "lif"
    tau: float = 2.0
    encoder: str = "poisson"
    steps: int = 100
    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup: int = 0
    loss: str = "mse"
    precision: str = "float32"
    chunk: int | None = None
    remat: bool = False
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, table in REGISTRY.items():
            check_option(name, getattr(self, name), table)
        for name in ("steps", "epochs", "batch_size", "channels", "voters", "patience", "chunk"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name))
        check_integer("warmup", self.warmup, ge=0, le=self.epochs - 1, remedy=f"there are {self.epochs} epochs")
        check_integer("seed", self.seed, ge=0, le=2**32 - 1)
        check_number("learning_rate", self.learning_rate, gt=0)
        if "tau" in self.entry("neuron").options:
            check_number("tau", self.tau, gt=1, remedy="it is a time constant, in steps")
        if self.data is not None:
            self._check_effect("data")
        for name in REGISTRY:
            for other, value in self.entry(name).requires.items():
                remedy = f"{name} {getattr(self, name)} takes no other"
                check_option(other, getattr(self, other), (value,), remedy)

    @classmethod
    def preset(cls, dataset: str, **options: Any) -> "RunConfig":
        """The options known to work for a data set, a model and a neuron, with the given ones in their place.

        Digits: a hidden layer, the image as a current. MNIST and Fashion-MNIST: the single layer with Poisson
        spikes, T = 100. The convolutional network takes the image as a current, T = 8, on all of them.

        Raises:
            ValueError: a value out of its range, or an option that has no effect beside the others.
        """
        options = {"dataset": dataset, **options}
        values: dict[str, Any] = {}
        for name, table in REGISTRY.items():
            chosen = options.get(name, getattr(cls, name))
            check_option(name, chosen, table)
            values |= {**table[chosen].preset, **table[chosen].requires}
        config = cls(**{**values, **options})
        for name in options:
            config._check_effect(name)
        return config

    def entry(self, name: str) -> Entry:
        """The row of the registry that the option `name` chooses."""
        return REGISTRY[name][getattr(self, name)]

    def options_of(self, name: str) -> dict[str, Any]:
        """The options that the row chosen by `name` takes by keyword, with their values."""
        return {option: getattr(self, option) for option in self.entry(name).options}

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
        """Reads a file of `save`.

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

    def _check_effect(self, option: str) -> None:
        """Raises ValueError where only rows that are not chosen take the option."""
        for name, table in REGISTRY.items():
            taken = any(option in row.options for row in table.values())
            if taken and option not in self.entry(name).options:
                raise ValueError(f"`{option}` has no effect with {name} {getattr(self, name)}: leave it out")
