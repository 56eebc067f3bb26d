"""Some layers learn by spike timing, others by gradient, in one compiled step.

STDP is no backward pass: what it gives has the shape of the weights, not that of the activations. So it does not hide
in the gradient of a linear layer, but comes out of `learn` beside the loss, takes the place of the gradients of its
layers, and goes through the same optimizer: gradient descent with hard bounds for the first layer, Adam for the
read-out. MNIST as Poisson spikes of 10 steps.

    python examples/stdp_and_gradient.py --data PATH

PATH is the folder with MNIST's four IDX files, or a file mnist.npz.
"""

import argparse
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
from spikejax.losses import accuracy, mse_rate
from spikejax.plasticity import STDP, SoftBound, ThresholdHomeostasis, keep_within, labels, learn, mix, normalize
from spikejax.typing import Array

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="folder or npz file of MNIST")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--tiny", action="store_true", help="few neurons, the built-in digits: only to see that it works")
options = parser.parse_args()
if not options.tiny and options.data is None:
    parser.error("--data is needed: the folder or npz file of MNIST (or --tiny, for the built-in digits)")

STEPS, BATCH = 10, 32
data = load_digits() if options.tiny else load_mnist(options.data)
hidden = 50 if options.tiny else 400
pixels = data.x_train[0].size
x_train, x_test = (x.reshape(-1, pixels).astype(np.float32) / data.scale for x in (data.x_train, data.x_test))

rngs = nnx.Rngs(0)
net = sx.nn.Sequential(
    sx.encoding.Poisson(),
    nnx.Linear(pixels, hidden, use_bias=False, kernel_init=nnx.initializers.uniform(0.3), rngs=rngs),
    sx.nn.WinnerTakeAll(sx.LIF(tau=20.0, decay_input=False, v_threshold=jnp.ones(hidden))),
    nnx.Linear(hidden, 10, rngs=rngs),
    sx.LIF(tau=2.0),
)
rules = {
    "1": STDP(10.0, 10.0, f_post=SoftBound(1.0), f_pre=0.0),
    "2": ThresholdHomeostasis(target=0.3 / hidden, tau=1.0),
}
kinds = labels(net, rules)
optimizer = optax.partition(
    {
        "1": optax.chain(optax.sgd(0.05 / BATCH), normalize(0.05 * pixels)),
        "2": optax.chain(optax.sgd(1.0), keep_within(0.1, 1e3)),
        "gradient": optax.adam(5e-3),
    },
    kinds,
)
graph, params, rest = nnx.split(net, nnx.Param, ...)


@jax.jit
def train_step(params: Any, opt_state: Any, x: Array, y: Array, seed: Array) -> tuple[Any, Any, Array]:
    """One batch: the read-out's gradients, the changes by the rules, one update of all."""

    def loss(params: Any) -> tuple[Array, Any]:
        net = nnx.merge(graph, params, rest)
        learned = learn(net, rules, x, net.init_state(x.shape, key=jax.random.key(seed)), steps=STEPS)
        return mse_rate(learned.ys, y), learned.updates

    (value, by_rules), grads = jax.value_and_grad(loss, has_aux=True)(params)
    updates, opt_state = optimizer.update(mix(kinds, by_rules, grads), opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value


@jax.jit
def test_accuracy(params: Any) -> Array:
    """Share of test images whose class fires most."""
    net = nnx.merge(graph, params, rest)
    ys = sx.run(net, x_test, net.init_state(x_test.shape, key=jax.random.key(1)), steps=STEPS)[1]
    return accuracy(ys, data.y_test)


opt_state, random, seed = optimizer.init(params), np.random.default_rng(0), 1000
for epoch in range(1, (5 if options.tiny else options.epochs) + 1):
    order = random.permutation(len(x_train))[: len(x_train) // BATCH * BATCH].reshape(-1, BATCH)
    for pick in track(order, f"epoch {epoch}", disable=options.tiny):
        params, opt_state, value = train_step(params, opt_state, x_train[pick], data.y_train[pick], seed)
        seed += 1
    print(f"epoch {epoch}: first layer by STDP, read-out by gradient: test accuracy {test_accuracy(params):.2%}")
