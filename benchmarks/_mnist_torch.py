"""The implementations on PyTorch of `train_mnist.py`: SpikingJelly in its two step modes, and a loop by hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from _lif_torch import TAU, lif, loop
from spikingjelly.activation_based import encoding, functional, layer, neuron, surrogate
from torch import Tensor, nn


class Torch:
    """The training loop that all of them share, as in SpikingJelly's example `lif_fc_mnist`.

    Args:
        data: npz file with `images` uint8 [n, 28, 28] and `labels` int [n].
        steps: time steps T for which an image is shown.
        batch_size: images a batch.
    """

    all_steps_at_once = True

    def __init__(self, data: Path, steps: int, batch_size: int) -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        arrays = np.load(data)
        self.images, self.labels = torch.from_numpy(arrays["images"][:, None]), torch.from_numpy(arrays["labels"])
        self.steps, self.batch_size = steps, batch_size
        self.build()

    net: torch.nn.Module

    def build(self) -> None:
        """Makes `self.net`, which has one weight [10, 784], and `self.encoder`."""
        raise NotImplementedError

    def firing_rate(self, images: Tensor) -> Tensor:
        """Rates [N, 10] of the output neurons for images [N, 1, 28, 28] in [0, 1]."""
        raise NotImplementedError

    def start(self) -> None:
        """Builds everything and trains the first step."""
        torch.manual_seed(0)
        self.build()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.batches = self.endless_batches()
        self.net.train()
        self.loss = self.correct = 0.0
        self.train(1)

    def endless_batches(self) -> Iterator[Tensor]:
        """Indices of each batch, every epoch in another order."""
        whole = len(self.images) // self.batch_size * self.batch_size
        while True:
            yield from torch.randperm(len(self.images))[:whole].split(self.batch_size)

    def train(self, steps: int) -> None:
        """Trains `steps` batches."""
        for _ in range(steps):
            pick = next(self.batches)
            images, labels = self.images[pick].float() / 255, self.labels[pick]
            self.optimizer.zero_grad()
            rate = self.firing_rate(images)
            loss = F.mse_loss(rate, F.one_hot(labels, 10).float())
            loss.backward()
            self.optimizer.step()
            self.loss += loss.item() * labels.numel()
            self.correct += (rate.argmax(1) == labels).float().sum().item()
            functional.reset_net(self.net)

    def check(self, path: str, out: str) -> None:
        """Runs the same network on given weights and given Poisson spikes.

        Args:
            path: npz file with `weights` [784, 10], `inputs` [T, N, 784] and `labels` [N].
            out: npz file to write `spikes` [T, N, 10] and `gradient` [784, 10] to.
        """
        arrays = np.load(path)
        inputs, labels = torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["labels"])
        frames = iter(inputs)
        spikes = []
        self.build()
        (weight,) = self.net.parameters()
        with torch.no_grad():
            weight.copy_(torch.from_numpy(arrays["weights"]).T)
        self.encoder = lambda images: inputs if self.all_steps_at_once else next(frames)
        self.net.register_forward_hook(lambda net, x, y: spikes.append(y.detach()))
        rate = self.firing_rate(torch.zeros(len(labels), 1, 28, 28))
        F.mse_loss(rate, F.one_hot(labels, 10).float()).backward()
        np.savez(out, spikes=torch.cat(spikes).view(self.steps, -1, 10), gradient=weight.grad.T)


class StepByStep(Torch):
    """SpikingJelly as its documentation trains it: one time step after the other."""

    all_steps_at_once = False

    def build(self) -> None:
        self.net = nn.Sequential(
            layer.Flatten(),
            layer.Linear(28 * 28, 10, bias=False),
            neuron.LIFNode(tau=TAU, surrogate_function=surrogate.ATan()),
        )
        self.encoder = encoding.PoissonEncoder()

    def firing_rate(self, images: Tensor) -> Tensor:
        rate = 0.0
        for _ in range(self.steps):
            rate += self.net(self.encoder(images))
        return rate / self.steps


class MultiStep(StepByStep):
    """SpikingJelly in multi-step mode: every layer takes all time steps at once."""

    all_steps_at_once = True

    def build(self) -> None:
        super().build()
        functional.set_step_mode(self.net, "m")
        self.encoder = encoding.PoissonEncoder(step_mode="m")

    def firing_rate(self, images: Tensor) -> Tensor:
        repeated = images.flatten(1).repeat(self.steps, 1, 1)
        return self.net(self.encoder(repeated)).mean(0)


class ByHand(Torch):
    """The same without a library: all random numbers at once, one matrix product, a loop over the neurons alone."""

    def build(self) -> None:
        self.net = LinearLIF()

    def encoder(self, images: Tensor) -> Tensor:
        """Poisson spikes [T, N, 784]."""
        return torch.rand(self.steps, *images.shape).lt_(images)  # in place: a third faster than bernoulli_

    def firing_rate(self, images: Tensor) -> Tensor:
        return self.net(self.encoder(images.flatten(1))).mean(0)


class LinearLIF(nn.Module):
    """A linear layer without bias, and LIF neurons with a hard reset to 0: inputs [T, N, 784] to spikes [T, N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(28 * 28, 10, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return loop(lif, self.linear(inputs))
