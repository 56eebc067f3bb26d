"""A trained network becomes a spiking one: MNIST, every way of choosing the scales, and training with steps in mind.

A network of three blocks of convolution, BatchNorm, ReLU and average pooling is trained as usual. Converted in six
modes, its accuracy is followed over 50 steps. A second one, trained with `QCFS` in the place of ReLU, needs fewer.

    python examples/convert_mnist.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optax
from flax import nnx
from rich.progress import track

from spikejax.convert import QCFS, SignedIF, accuracy_over_time, convert, measure
from spikejax.datasets import load_digits, load_mnist
from spikejax.typing import Array
from spikejax.visualize import plot_accuracy_over_time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--out", type=Path, default=Path("runs/convert-mnist"), help="folder for the picture")
parser.add_argument(
    "--tiny", action="store_true", help="a small network, the built-in digits: only to see that it works"
)
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder or npz file of MNIST (or --tiny, for the built-in digits)")
options.out.mkdir(parents=True, exist_ok=True)

tiny = options.tiny
batch, rate = (32, 1e-2) if tiny else (100, 1e-3)
epochs, steps, channels, blocks, left = (3, 12, 8, 1, 9) if tiny else (options.epochs, options.steps, 32, 3, 1)
data = load_digits() if tiny else load_mnist(options.data)
x_train, x_test = (np.float32(x) / data.scale for x in (data.x_train, data.x_test))


class Network(nnx.Module):
    """Blocks of convolution, BatchNorm, activation, average pooling; a dense layer."""

    def __init__(self, activation: Any, rngs: nnx.Rngs) -> None:
        sizes = [1] + [channels] * blocks
        self.convs = nnx.List([nnx.Conv(i, o, (3, 3), padding="VALID", rngs=rngs) for i, o in pairwise(sizes)])
        self.norms = nnx.List([nnx.BatchNorm(channels, epsilon=1e-3, rngs=rngs) for _ in range(blocks)])
        self.activations = nnx.List([activation() for _ in range(blocks)]) if activation is QCFS else None
        self.dense = nnx.Linear(left * channels, 10, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        for i in range(blocks):
            x = self.norms[i](self.convs[i](x))
            x = nnx.relu(x) if self.activations is None else self.activations[i](x)
            x = nnx.avg_pool(x, (2, 2), (2, 2))
        return self.dense(x.reshape(len(x), -1))


def train(net: Network, name: str) -> float:
    """Adam with decay, its rate falling to 0; returns the accuracy."""
    schedule = optax.cosine_decay_schedule(rate, epochs * (len(x_train) // batch))
    optimizer = nnx.Optimizer(net, optax.adamw(schedule, weight_decay=5e-4), wrt=nnx.Param)

    @nnx.jit
    def step(net: Network, optimizer: nnx.Optimizer, x: Array, y: Array) -> None:
        def loss(net: Network) -> Array:
            return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

        optimizer.update(net, nnx.grad(loss)(net))

    random = np.random.default_rng(0)
    order = np.concatenate([random.permutation(len(x_train))[: len(x_train) // batch * batch] for _ in range(epochs)])
    for pick in track(order.reshape(-1, batch), name, disable=tiny):
        step(net, optimizer, x_train[pick], data.y_train[pick])
    net.eval()
    forward = nnx.jit(lambda net, x: net(x).argmax(-1))
    said = np.concatenate([forward(net, part) for part in np.array_split(x_test, -(-len(x_test) // 1000))])
    return float(np.mean(said == data.y_test))


net = Network(nnx.relu, nnx.Rngs(0))
own = train(net, "ReLU")
print(f"trained with ReLU: test accuracy {own:.2%}")
print(measure(net, x_train[:10000], "99.9%"))

curves = {}
for mode in ("max", "99.9%", 1 / 2, 1 / 3, 1 / 4, 1 / 5, "balanced"):
    name = mode if isinstance(mode, str) else f"1/{round(1 / mode)}"
    spiking = convert(net, x_train[:10000], mode)
    curves[name] = np.asarray(accuracy_over_time(spiking, x_test, data.y_test, steps))
    print(f"{name:>8}: {curves[name][-1]:.2%} at T = {steps}")

quantised = Network(QCFS, nnx.Rngs(0))
with_steps = train(quantised, "QCFS")
print(f"trained with QCFS: test accuracy {with_steps:.2%}")
for name, neuron in (("QCFS", None), ("QCFS, signed", SignedIF(v_init=0.5))):
    spiking = convert(quantised, x_train[:1000], neuron=neuron)
    curves[name] = np.asarray(accuracy_over_time(spiking, x_test, data.y_test, steps))
    print(f"{name}: {curves[name][3]:.2%} at T = 4, {curves[name][7]:.2%} at T = 8")
spiking = convert(quantised, x_train[:1000])
four, eight = (accuracy_over_time(spiking, x_test, data.y_test, t, calibrated=True)[-1] for t in (4, 8))
print(f"QCFS, calibrated: {four:.2%} at T = 4, {eight:.2%} at T = 8")

figure = plot_accuracy_over_time(curves, reference=own, title="accuracy of the converted networks")
figure.savefig(options.out / "accuracy_over_time.png")
print(f"picture: {options.out / 'accuracy_over_time.png'}")
