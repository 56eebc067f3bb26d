"""Fashion-MNIST column by column: what a network has to remember, and two ways to give it a memory.

Each image is a sequence of 28 steps, one column of 28 pixels a step, from left to right. A plain network of IF neurons
is compared with one whose hidden spikes are filtered by synapses with a memory, and with one whose hidden neurons see
their own spikes of the step before. All else is equal.

    python examples/sequential_fashion_mnist.py --data PATH

PATH is the folder with Fashion-MNIST's four IDX files.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import spikejax as sx
from spikejax.datasets import load_digits, load_fashion_mnist
from spikejax.losses import accuracy, mse_rate
from spikejax.typing import Array
from spikejax.visualize.canvas import BLUE, GREEN, VERMILION, new_figure

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of Fashion-MNIST")
parser.add_argument("--epochs", type=int, default=64)
parser.add_argument("--out", type=Path, default=Path("runs/sequential-fashion-mnist"), help="folder for the picture")
parser.add_argument("--tiny", action="store_true", help="two epochs of the built-in digits: only to see that it works")
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder of Fashion-MNIST (or --tiny, for the built-in digits)")

data = load_digits() if options.tiny else load_fashion_mnist(options.data)
epochs, batch = (2, 64) if options.tiny else (options.epochs, 256)
pixels = data.x_train.shape[1]
batches = len(data.x_train) // batch


def columns(images: Any) -> Array:
    """Images `[N, H, W, 1]` as sequences `[W, N, H]`."""
    return jnp.transpose(jnp.asarray(images[..., 0], jnp.float32), (2, 0, 1)) / data.scale


def hidden(kind: str, rngs: nnx.Rngs) -> list[Any]:
    """What stands between the first linear layer and the last, 32 features wide."""
    neuron = sx.IF(surrogate=sx.surrogate.ATan(), detach_reset=kind == "feedback")
    if kind == "stateful synapses":
        return [neuron, sx.nn.SynapseFilter(tau=jnp.array(2.0))]
    if kind == "feedback":
        back = nnx.Linear(32, 32, use_bias=False, rngs=rngs)
        return [nnx.Linear(32, 32, rngs=rngs), sx.nn.Recurrent(neuron, back)]
    return [neuron]


def build(kind: str) -> sx.nn.Sequential:
    """The network, 28 - 32 - 10."""
    rngs = nnx.Rngs(0)
    first, last = nnx.Linear(pixels, 32, rngs=rngs), nnx.Linear(32, 10, rngs=rngs)
    return sx.nn.Sequential(first, *hidden(kind, rngs), last, sx.IF(surrogate=sx.surrogate.ATan()))


x_train, x_test = columns(data.x_train), columns(data.x_test)
y_train, y_test = jnp.asarray(data.y_train), jnp.asarray(data.y_test)
optimizer = optax.sgd(optax.cosine_decay_schedule(0.1, epochs * batches), momentum=0.9)


def train(kind: str) -> list[tuple[float, float]]:
    """Training and test accuracy after every epoch."""
    graph, params = nnx.split(build(kind))

    def spikes_of(params: Any, xs: Array) -> Array:
        return sx.run(nnx.merge(graph, params), xs, chunk=pixels)[1]

    def step(carry: Any, pick: Array) -> tuple[Any, Array]:
        params, opt_state = carry

        def loss(params: Any) -> tuple[Array, Array]:
            spikes = spikes_of(params, x_train[:, pick])
            return mse_rate(spikes, y_train[pick]), accuracy(spikes, y_train[pick])

        grads, right = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), right

    @jax.jit
    def epoch(carry: Any, key: Array) -> tuple[Any, Array, Array]:
        order = jax.random.permutation(key, y_train.size)[: batches * batch].reshape(batches, batch)
        carry, right = jax.lax.scan(step, carry, order)
        return carry, right.mean(), accuracy(spikes_of(carry[0], x_test), y_test)

    carry, log = (params, optimizer.init(params)), []
    for key in jax.random.split(jax.random.key(0), epochs):
        carry, right, test = epoch(carry, key)
        log.append((float(right), float(test)))
    return log


figure = new_figure(9.0, 3.8)
plots = figure.subplots(1, 2, sharey=True)
for kind, color in (("plain", BLUE), ("stateful synapses", VERMILION), ("feedback", GREEN)):
    start = time.perf_counter()
    log = train(kind)
    minutes = (time.perf_counter() - start) / 60
    print(f"{kind}: training {log[-1][0]:.2%}, test {log[-1][1]:.2%} after {epochs} epochs, {minutes:.1f} minutes")
    for plot, values in zip(plots, zip(*log, strict=True), strict=True):
        plot.plot(range(1, epochs + 1), [100 * value for value in values], color=color, label=kind)
for plot, title in zip(plots, ("training", "test"), strict=True):
    plot.set(title=title, xlabel="epoch", ylabel="accuracy (%)")
    plot.grid(alpha=0.3)
plots[1].legend(frameon=False, loc="lower right")
options.out.mkdir(parents=True, exist_ok=True)
figure.savefig(options.out / "accuracy.png")
print(f"picture: {options.out / 'accuracy.png'}")
