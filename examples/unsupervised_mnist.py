"""Handwritten digits learnt without labels: neurons that compete, STDP, and thresholds that keep everyone in the game.

Shows the network of Diehl and Cook (2015) in its functional form. Each image comes as Poisson spikes; of the neurons at
most one fires at a step and resets the others; STDP draws the winner's weights towards the pixels that were on, and the
weights into a neuron always have the same sum; whoever wins too often gets a higher threshold. After one pass through
the images each neuron is given the class that it answers to most, which is the only use of labels, and a test image the
class whose neurons fire most for it.

    python examples/unsupervised_mnist.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.progress import track

import spikejax as sx
from spikejax.datasets import load_digits, load_mnist
from spikejax.plasticity import STDP, SoftBound, ThresholdHomeostasis, keep_within, labels, learn, normalize
from spikejax.typing import Array
from spikejax.visualize import plot_receptive_fields

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST")
parser.add_argument("--neurons", type=int, default=400)
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--out", type=Path, default=Path("runs/unsupervised-mnist"), help="folder for the picture")
parser.add_argument("--tiny", action="store_true", help="few neurons, the built-in digits: only to see that it works")
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder or npz file of MNIST (or --tiny, for the built-in digits)")
options.out.mkdir(parents=True, exist_ok=True)

STEPS, BATCH, RATE = 32, 32, 0.25  # of a white pixel: spikes a step
data = load_digits() if options.tiny else load_mnist(options.data)
neurons = 50 if options.tiny else options.neurons
side = data.x_train.shape[1]
pixels = side * side
x_train, x_test = (RATE * x.reshape(-1, pixels).astype(np.float32) / data.scale for x in (data.x_train, data.x_test))
total = 0.05 * pixels  # of the weights into one neuron

net = sx.nn.Sequential(
    sx.encoding.Poisson(),
    nnx.Linear(pixels, neurons, use_bias=False, kernel_init=nnx.initializers.uniform(0.3), rngs=nnx.Rngs(0)),
    sx.nn.WinnerTakeAll(sx.LIF(tau=20.0, decay_input=False, v_threshold=jnp.ones(neurons))),
)
rules = {
    "1": STDP(10.0, 10.0, f_post=SoftBound(1.0), f_pre=0.0),
    "2": ThresholdHomeostasis(target=0.1 / neurons, tau=1.0),
}
optimizer = optax.partition(
    {
        "1": optax.chain(optax.sgd(0.05 / BATCH), normalize(total)),
        "2": optax.chain(optax.sgd(1.0), keep_within(0.1, 1e3)),
    },
    labels(net, rules),
)
graph, params, rest = nnx.split(net, nnx.Param, ...)


def start(net: sx.nn.Sequential, x: Array, seed: Array) -> Any:
    """The state before the first step, with the random key of the Poisson spikes."""
    return net.init_state(x.shape, key=jax.random.key(seed))


@jax.jit
def train_step(params: Any, opt_state: Any, x: Array, seed: Array) -> tuple[Any, Any]:
    """One batch: what the rules change, through optax."""
    net = nnx.merge(graph, params, rest)
    learned = learn(net, rules, x, start(net, x, seed), steps=STEPS)
    updates, opt_state = optimizer.update(learned.updates, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


@jax.jit
def count(params: Any, x: Array, seed: Array) -> Array:
    """Spikes of each neuron for each image, `[N, neurons]`."""
    net = nnx.merge(graph, params, rest)
    return sx.run(net, x, start(net, x, seed), steps=STEPS)[1].sum(0)


def count_all(params: Any, x: np.ndarray, seed: int) -> np.ndarray:
    """As `count`, in batches."""
    return np.concatenate(
        [count(params, part, seed + i) for i, part in enumerate(np.array_split(x, -(-len(x) // 500)))]
    )


opt_state, random, seed, began = optimizer.init(params), np.random.default_rng(0), 0, time.perf_counter()
for epoch in range(options.epochs):
    order = random.permutation(len(x_train))[: len(x_train) // BATCH * BATCH].reshape(-1, BATCH)
    for pick in track(order, f"epoch {epoch + 1}", disable=options.tiny):
        params, opt_state = train_step(params, opt_state, x_train[pick], seed)
        seed += 1
minutes = (time.perf_counter() - began) / 60

answers, named = count_all(params, x_train[:10000], 1 << 20), data.y_train[:10000]
classes = np.stack([answers[named == k].mean(0) for k in range(10)]).argmax(0)  # of each neuron
votes = count_all(params, x_test, 1 << 21) @ np.eye(10)[classes]
print(f"{neurons} neurons, {options.epochs} pass(es) without labels in {minutes:.1f} minutes")
print(f"test accuracy {np.mean(votes.argmax(1) == data.y_test):.2%}")

weights = np.asarray(nnx.merge(graph, params, rest)[1].kernel[...]).T.reshape(neurons, side, side)
figure = plot_receptive_fields(weights, title=f"what {neurons} neurons have learnt to see")
figure.savefig(options.out / "receptive_fields.png")
print(f"picture: {options.out / 'receptive_fields.png'}")
