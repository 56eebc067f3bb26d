"""The implementation spikejax of `train_mnist.py`: the trainer that `spikejax train mnist` builds, and nothing else."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import spikejax as sx
from spikejax.datasets import ImageData
from spikejax.pytree import Struct
from spikejax.train import RunConfig, build_trainer
from spikejax.typing import Array

BATCHES_PER_CALL = 10
"""Training steps in one jitted call. The command line chooses them so that a call takes about 0.3 s."""


class Spikejax:
    """The single layer 784-10 in spikejax, with the options that `spikejax train mnist` has by default.

    Args:
        data: npz file with `images` uint8 [n, 28, 28] and `labels` int [n].
        steps: time steps T for which an image is shown.
        batch_size: images a batch.
    """

    def __init__(self, data: Path, steps: int, batch_size: int) -> None:
        arrays = np.load(data)
        x, y = arrays["images"][..., None], arrays["labels"].astype(np.int32)
        classes = tuple("0123456789")
        self.data = ImageData("mnist", x, y, x[:1], y[:1], classes, scale=255.0)
        self.config = RunConfig.preset("mnist", steps=steps, batch_size=batch_size)

    def start(self) -> None:
        """Builds everything and trains the first step, which compiles."""
        self.trainer, _ = build_trainer(self.config, self.data)
        self.x, self.y = jnp.asarray(self.data.x_train), jnp.asarray(self.data.y_train)
        self.state = self.trainer.init()
        self.done = 0
        self.train(1)

    def train(self, steps: int) -> None:
        """Trains `steps` batches."""
        per_epoch = self.trainer.batches_per_epoch(len(self.x))
        while steps:
            batches = min(steps, BATCHES_PER_CALL, per_epoch - self.done % per_epoch)
            self.state = jax.block_until_ready(self.trainer.train(self.state, self.x, self.y, batches))
            self.done, steps = self.done + batches, steps - batches

    def check(self, path: str, out: str) -> None:
        """Runs the trainer's own network on given weights and given Poisson spikes.

        Args:
            path: npz file with `weights` [784, 10], `inputs` [T, N, 784] and `labels` [N].
            out: npz file to write `spikes` [T, N, 10] and `gradient` [784, 10] to.
        """
        arrays = np.load(path)
        trainer, _ = build_trainer(self.config, self.data)
        _, *layers = trainer.network(trainer.init())
        inputs = jnp.asarray(arrays["inputs"].reshape(*arrays["inputs"].shape[:2], 28, 28, 1))
        net = sx.nn.Sequential(Replay(inputs), *layers)
        net[2].kernel[...] = jnp.asarray(arrays["weights"])
        image = jnp.zeros((len(arrays["labels"]), 28, 28, 1))

        def objective(net, state, labels):
            _, outs = sx.run(net, image, state, **trainer.run_options)
            return trainer.loss(outs, labels), outs

        gradient = nnx.jit(nnx.grad(objective, has_aux=True))
        grads, outs = gradient(net, net.init_state(image.shape), jnp.asarray(arrays["labels"]))
        np.savez(out, spikes=outs, gradient=grads["layers"][2]["kernel"][...])


class Replay(Struct):
    """Stands in the place of the encoder and gives the spikes it was made with, `[T, N, *]`."""

    spikes: Array

    def init_state(self, shape, dtype=jnp.float32, *, key=None):
        """The number of steps so far."""
        return jnp.zeros((), jnp.int32)

    def step(self, state, x):
        """The spikes of the next step."""
        return state + 1, self.spikes[state]

    def steps(self, state, xs):
        """The spikes of the next steps."""
        return state + xs.steps, jax.lax.dynamic_slice_in_dim(self.spikes, state, xs.steps)
