"""MNIST with a single layer of LIF neurons, by Poisson spikes and their rates.

Shows the training loop of `spikejax.train`: the network 784-10 sees each image as Poisson spikes for 100 time steps,
the mean squared error between firing rates and one-hot labels is minimised with Adam. Everything lies in the folder
--out afterwards: checkpoints, log, TensorBoard's file, and the spikes of the output layer for the first test image.
Ctrl-C saves; --resume goes on from there.

    python examples/mnist_fully_connected.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz. The same training as one command:

    spikejax train mnist --data PATH
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx

import spikejax as sx
from spikejax.datasets import load_digits, load_mnist
from spikejax.losses import firing_rate, mse_rate
from spikejax.models import fully_connected
from spikejax.train import Checkpoints, Trainer, fit, make_optimizer, make_schedule
from spikejax.train.progress import ProgressBar
from spikejax.visualize import plot_raster

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--out", type=Path, default=Path("runs/mnist-fully-connected"))
parser.add_argument("--resume", action="store_true", help="continue the run in --out")
parser.add_argument("--tiny", action="store_true", help="two epochs on the built-in digits: only to see that it works")
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder or npz file of MNIST (or --tiny, for the built-in digits)")
if (options.out / "checkpoints").exists() and not options.resume:
    parser.error(f"{options.out} holds a run already: give --resume, or another --out")

data = load_digits() if options.tiny else load_mnist(options.data)
epochs, steps = (2, 10) if options.tiny else (options.epochs, 100)
schedule = make_schedule("constant", 1e-3, steps=epochs * (len(data.x_train) // 64))
net = fully_connected(
    data.x_train.shape[1:],
    len(data.classes),
    neuron=partial(sx.LIF, tau=2.0, surrogate=sx.surrogate.ATan()),
    encoder=sx.encoding.Poisson(),
    rngs=nnx.Rngs(0),
)
trainer = Trainer(net, make_optimizer("adam", schedule), steps=steps, batch_size=64, loss=mse_rate, scale=data.scale)

with ProgressBar(epochs) as bar:
    outcome = fit(trainer, data, options.out, epochs=epochs, schedule=schedule, resume=options.resume, reporter=bar)
print(
    f"{outcome.reason}: test accuracy {outcome.test_accuracy:.2%}, best of {outcome.epochs} {outcome.best_accuracy:.2%}"
)

with Checkpoints(options.out / "checkpoints") as checkpoints:
    state, _ = checkpoints.load("latest", trainer.init())
net = trainer.network(state)
image = jnp.asarray(data.x_test[:1], jnp.float32) / data.scale
_, spikes = sx.run(net, image, net.init_state(image.shape, key=jax.random.key(1)), steps=steps)
plot_raster(spikes[:, 0], title=f"output spikes for a {data.y_test[0]}").savefig(options.out / "spikes.png")
rates = " ".join(f"{rate:.2f}" for rate in firing_rate(spikes)[0])
print(f"firing rates for the first test image, a {data.y_test[0]}: {rates}")
