"""A convolutional spiking network for Loihi: trained, trained on in the chip's integers, exported, simulated.

Shows `spikejax.export.netx` from end to end. The network of SpikingJelly's Lava tutorial, IF neurons without biases
and convolutions of stride 2 in place of pooling, learns digits shown as Poisson spikes. `quantized` turns it into the
network that the chip computes, with 8-bit weights and integer neurons, and the same training goes on for an epoch.
`write` makes the file that Lava's NetX loads; `simulate_fixed_point` computes from the file what the chip would.

    python examples/loihi_mnist.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz.
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

import spikejax as sx
from spikejax.datasets import load_digits, load_mnist
from spikejax.encoding import Poisson
from spikejax.export import netx
from spikejax.train import Trainer, make_optimizer, make_schedule

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST")
parser.add_argument("--channels", type=int, default=16)
parser.add_argument("--steps", type=int, default=32)
parser.add_argument("--epochs", type=int, default=2, help="before the epoch in integers")
parser.add_argument("--out", type=Path, default=Path("runs/loihi-mnist"))
parser.add_argument("--tiny", action="store_true", help="the built-in digits: only to see that it works")
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder or npz file of MNIST (or --tiny, for the built-in digits)")
if options.tiny:
    options.channels, options.steps, options.epochs = 4, 4, 1
data = load_digits() if options.tiny else load_mnist(options.data)
shape, classes = data.x_train.shape[1:], len(data.classes)


def conv(inputs: int, outputs: int, size: int, stride: int) -> list:
    """A convolution and its neurons; stride 2 halves the image."""
    padding = ((1, 1), (1, 1)) if size == 3 else "VALID"
    return [nnx.Conv(inputs, outputs, (size, size), stride, padding=padding, **synapse), neuron()]


# Weights large enough that spikes reach the last layer before training.
initial = nnx.initializers.variance_scaling(6.0, "fan_in", "truncated_normal")
synapse = {"use_bias": False, "kernel_init": initial, "rngs": nnx.Rngs(0)}
neuron = partial(sx.IF, surrogate=sx.surrogate.ATan(), detach_reset=True)
width = options.channels
net = sx.nn.Sequential(
    Poisson(),
    *conv(shape[-1], width, 3, 1),
    *conv(width, width, 2, 2),
    *conv(width, width, 3, 1),
    *conv(width, width, 2, 2),
    sx.nn.Flatten(),
    *(nnx.Linear(width * (shape[0] // 4) * (shape[1] // 4), 128, **synapse), neuron()),
    *(nnx.Linear(128, classes, **synapse), neuron()),
)


def train(net: sx.nn.Sequential, epochs: int, rate: float) -> tuple[sx.nn.Sequential, float]:
    """The trained network, and its accuracy on the test samples."""
    batches = len(data.x_train) // 64
    optimizer = make_optimizer("adam", make_schedule("cosine", rate, steps=epochs * batches))
    trainer = Trainer(net, optimizer, steps=options.steps, batch_size=64, scale=data.scale)
    state = trainer.init()
    for _ in range(epochs):
        state = trainer.train(state, jnp.asarray(data.x_train), jnp.asarray(data.y_train), batches)
    test = trainer.evaluate(state, jnp.asarray(data.x_test), jnp.asarray(data.y_test))
    return trainer.network(state), test.means()[1]


net, accuracy = train(net, options.epochs, 4e-3)
print(f"{options.epochs} epochs in floating point: test accuracy {accuracy:.2%}")
net, accuracy = train(netx.quantized(net, shape), 1, 1e-3)
print(f"and one in integers: test accuracy {accuracy:.2%}")

options.out.mkdir(parents=True, exist_ok=True)
path = options.out / "mnist.net"
print(netx.write(path, net, shape))

correct = 0
for start in range(0, len(data.x_test), 500):
    images = jnp.asarray(data.x_test[start : start + 500], jnp.float32) / data.scale
    encoder = Poisson().init_state(images.shape, key=jax.random.key(start))
    _, spikes = sx.run(Poisson(), images, encoder, steps=options.steps)
    counts = netx.simulate_fixed_point(path, spikes).sum(0)
    correct += int((counts.argmax(-1) == jnp.asarray(data.y_test[start : start + 500])).sum())
print(f"{path} in Loihi's integers: test accuracy {correct / len(data.x_test):.2%}")
