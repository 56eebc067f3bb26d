"""A spiking network learns handwritten digits: the whole training, in plain JAX, Flax and optax.

Shows that a network of spikejax is an ordinary Flax module: split it in structure and parameters, write the training
step as a pure function of the parameters, compile it. The digits come with the package.

    python examples/train_digits.py
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import spikejax as sx
from spikejax.datasets import load_digits
from spikejax.losses import accuracy, mse_rate
from spikejax.typing import Array

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tiny", action="store_true", help="one epoch, few neurons: only to see that it works")
tiny = parser.parse_args().tiny
epochs, hidden, steps, batch = (1, 16, 4, 32) if tiny else (20, 256, 10, 32)

data = load_digits()
x_train, x_test = (jnp.asarray(x, jnp.float32) / data.scale for x in (data.x_train, data.x_test))  # values in [0, 1]

rngs = nnx.Rngs(0)
net = sx.nn.Sequential(
    sx.nn.Flatten(),
    nnx.Linear(64, hidden, use_bias=False, rngs=rngs),
    sx.LIF(tau=2.0),
    nnx.Linear(hidden, 10, use_bias=False, rngs=rngs),
    sx.LIF(tau=2.0),
)
graph, params = nnx.split(net)
optimizer = optax.adam(2e-3)
opt_state = optimizer.init(params)


def spikes_of(params: Any, x: Array) -> Array:
    """Output spikes `[T, N, 10]` of images `[N, 8, 8, 1]`, shown as a current at every step."""
    return sx.run(nnx.merge(graph, params), x, steps=steps)[1]


@jax.jit
def train_step(params: Any, opt_state: Any, x: Array, y: Array) -> tuple[Any, Any, Array]:
    """One batch: gradients through time and through the spikes' surrogate, then one step of Adam."""
    loss, grads = jax.value_and_grad(lambda params: mse_rate(spikes_of(params, x), y))(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss


@jax.jit
def test_accuracy(params: Any) -> Array:
    """Share of test images whose class fires most."""
    return accuracy(spikes_of(params, x_test), data.y_test)


random = np.random.default_rng(0)
for epoch in range(1, epochs + 1):
    order = random.permutation(len(x_train))
    losses = []
    for start in range(0, len(order) - batch + 1, batch):
        pick = order[start : start + batch]
        params, opt_state, loss = train_step(params, opt_state, x_train[pick], data.y_train[pick])
        losses.append(loss)
    print(f"epoch {epoch:>2}  loss {np.mean(losses):.4f}  test accuracy {test_accuracy(params):.2%}")
