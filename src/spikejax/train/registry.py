"""The parts of a run that are chosen by name: a row each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx

from spikejax.cells import IF, LIF, ParametricLIF
from spikejax.datasets import load_digits, load_fashion_mnist, load_mnist
from spikejax.encoding import Poisson
from spikejax.losses import cross_entropy_rate, mse_rate
from spikejax.models import convolutional, fully_connected
from spikejax.nn import AvgPool, MaxPool, Sequential
from spikejax.surrogate import ATan
from spikejax.train.optimizer import OPTIMIZERS, SCHEDULES
from spikejax.typing import Cell


@dataclass(frozen=True)
class Entry:
    """One row of a table in `REGISTRY`.

    Attributes:
        value: the function, class or dtype that the name stands for.
        options: the options of `RunConfig` that `value` takes by keyword and other rows of the table do not.
        preset: options known to work with it, in place of the defaults.
        requires: options that must have these values.
    """

    value: Any
    options: tuple[str, ...] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)
    requires: Mapping[str, Any] = field(default_factory=dict)


def _convolutional(shape: tuple[int, ...], classes: int, *, neuron: Callable[[], Cell], **options: Any) -> Sequential:
    """Max pooling of spikes; average pooling of analog values, which conversion into spikes needs."""
    pool = MaxPool(2) if isinstance(neuron(), Cell) else AvgPool(2)
    return convolutional(shape, classes, neuron=neuron, pool=pool, **options)


_DIGITS = {
    "hidden": (512,),
    "voters": 10,
    "encoder": "direct",
    "steps": 10,
    "epochs": 40,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "schedule": "cosine",
}
_DATASETS = {
    "digits": Entry(load_digits, preset=_DIGITS),
    "mnist": Entry(lambda data: load_mnist(data), ("data",)),
    "fashion-mnist": Entry(lambda data: load_fashion_mnist(data), ("data",)),
}
_MODELS = {
    "fc": Entry(fully_connected, ("hidden",)),
    "conv": Entry(_convolutional, ("channels",), preset={"hidden": (), "encoder": "direct", "steps": 8, "voters": 10}),
}
_NEURONS = {
    "lif": Entry(partial(LIF, surrogate=ATan()), ("tau",)),
    "if": Entry(partial(IF, surrogate=ATan())),
    "plif": Entry(lambda tau: ParametricLIF(init_tau=tau, surrogate=ATan()), ("tau",)),
    "relu": Entry(
        lambda: nnx.relu,
        preset={"voters": 1, "loss": "cross-entropy"},
        requires={"encoder": "direct", "steps": 1},
    ),
}
REGISTRY: Mapping[str, Mapping[str, Entry]] = {
    "dataset": _DATASETS,
    "model": _MODELS,
    "neuron": _NEURONS,
    "encoder": {"poisson": Entry(Poisson), "direct": Entry(lambda: None)},
    "loss": {"mse": Entry(mse_rate), "cross-entropy": Entry(cross_entropy_rate)},
    "precision": {"float32": Entry(None), "bfloat16": Entry(jnp.bfloat16)},
    "optimizer": {name: Entry(make) for name, make in OPTIMIZERS.items()},
    "schedule": {name: Entry(make) for name, make in SCHEDULES.items()},
}
"""By the option of `RunConfig`, and the name it is given; presets of later tables come before those of earlier ones."""
