"""The data set, the network and the trainer that the options of a run stand for."""

from functools import partial

import optax
from flax import nnx

from spikejax.datasets import ImageData
from spikejax.train.config import RunConfig
from spikejax.train.optimizer import make_optimizer, make_schedule
from spikejax.train.trainer import Trainer


def load_data(config: RunConfig) -> ImageData:
    """The data set of a run.

    Raises:
        FileNotFoundError: it is not where `config.data` says; the message lists the files looked for.
        ValueError: a file is damaged, or `data` is missing.
    """
    options = config.options_of("dataset")
    if "data" in options and config.data is None:
        raise ValueError(f"`data` must name the folder or file of {config.dataset}: give --data PATH")
    return config.entry("dataset").value(**options)


def build_trainer(config: RunConfig, data: ImageData) -> tuple[Trainer, optax.Schedule]:
    """The trainer of a run, and its learning rate over training steps.

    Raises:
        ValueError: the configuration does not fit the data.
    """
    net = config.entry("model").value(
        data.x_train.shape[1:],
        len(data.classes),
        **config.options_of("model"),
        neuron=partial(config.entry("neuron").value, **config.options_of("neuron")),
        voters=config.voters,
        encoder=config.entry("encoder").value(),
        dtype=config.entry("precision").value,
        rngs=nnx.Rngs(config.seed),
    )
    per_epoch = len(data.x_train) // config.batch_size
    steps = max(per_epoch, 1) * config.epochs
    schedule = make_schedule(config.schedule, config.learning_rate, steps, warmup=per_epoch * config.warmup)
    trainer = Trainer(
        net,
        make_optimizer(config.optimizer, schedule),
        steps=config.steps,
        batch_size=config.batch_size,
        loss=config.entry("loss").value,
        scale=data.scale,
        chunk=config.chunk,
        remat=config.remat,
        seed=config.seed,
    )
    trainer.batches_per_epoch(len(data.x_train))
    return trainer, schedule
