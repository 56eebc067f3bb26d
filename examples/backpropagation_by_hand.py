"""Backpropagation through time, written out in NumPy and compared with spikejax.

Shows what a training step computes. One layer of LIF neurons (64 inputs, 10 outputs) learns the digits twice from the
same weights and batches: with the forward loop and the gradients by hand, and with `spikejax.run` and `jax.grad`.

Forward, for t = 1 ... T, with the current I = x W and v[0] = 0:

    h[t] = v[t-1] + (I - v[t-1]) / tau        charge
    s[t] = 1 where h[t] >= 1, else 0          fire
    v[t] = (1 - s[t]) h[t]                    reset to 0
    loss = mean of (1/T sum of s[t] - one-hot label)^2

Backward, for t = T ... 1, with the derivative g(h) = 4 S(4u) (1 - S(4u)), u = h - 1, in place of that of the step
(S is the logistic function), and dL/dh[T+1] = 0:

    dv[t]/dh[t] = 1 - s[t] - h[t] g(h[t])
    dL/dh[t]    = dL/ds[t] g(h[t]) + dL/dh[t+1] (1 - 1/tau) dv[t]/dh[t]
    dL/dI       = sum over t of dL/dh[t] / tau
    dL/dW       = x^T dL/dI

    python examples/backpropagation_by_hand.py
"""

import argparse

import jax
import numpy as np

import spikejax as sx
from spikejax.datasets import load_digits
from spikejax.losses import mse_rate
from spikejax.typing import Array

TAU, STEPS, BATCH, RATE = 2.0, 10, 32, 5.0

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tiny", action="store_true", help="one epoch: only to see that it works")
epochs = 1 if parser.parse_args().tiny else 20


def forward(w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Charged membranes and spikes, each `[T, N, 10]`, of images `[N, 64]`."""
    current = x @ w
    v = np.zeros_like(current)
    membranes, spikes = [], []
    for _ in range(STEPS):
        h = v + (current - v) / np.float32(TAU)
        s = (h >= 1).astype(np.float32)
        v = (1 - s) * h
        membranes.append(h)
        spikes.append(s)
    return np.stack(membranes), np.stack(spikes)


def loss_and_grad(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of a batch and its gradient with respect to the weights."""
    membranes, spikes = forward(w, x)
    error = spikes.mean(0) - np.eye(10, dtype=np.float32)[y]
    to_spikes = 2 * error / (error.size * STEPS)  # dL/ds[t], the same at every step
    to_h = to_current = np.zeros_like(error)
    for h, s in zip(membranes[::-1], spikes[::-1], strict=True):
        logistic = 1 / (1 + np.exp(-4 * (h - 1)))
        g = 4 * logistic * (1 - logistic)
        to_h = to_spikes * g + to_h * np.float32(1 - 1 / TAU) * (1 - s - h * g)
        to_current = to_current + to_h / np.float32(TAU)
    return np.mean(error**2), x.T @ to_current


@jax.jit
@jax.value_and_grad
def automatic(w: Array, x: Array, y: Array) -> Array:
    """The same loss in spikejax; its gradient comes with it."""
    lif = sx.LIF(tau=TAU, surrogate=sx.surrogate.Sigmoid(4.0))
    return mse_rate(sx.run(lif, x @ w, steps=STEPS)[1], y)


data = load_digits()
x_train, x_test = (np.float32(x.reshape(len(x), 64) / data.scale) for x in (data.x_train, data.x_test))
random = np.random.default_rng(0)
start = random.uniform(-1, 1, (64, 10)).astype(np.float32) / 4

weights = {"by hand": start, "spikejax": start}
steps = {"by hand": loss_and_grad, "spikejax": automatic}
losses: dict[str, list[float]] = {"by hand": [], "spikejax": []}
for _ in range(epochs):
    order = random.permutation(len(x_train))
    for first in range(0, len(order) - BATCH + 1, BATCH):
        pick = order[first : first + BATCH]
        for name, step in steps.items():
            loss, grad = step(weights[name], x_train[pick], data.y_train[pick])
            weights[name] = weights[name] - np.float32(RATE) * np.asarray(grad)
            losses[name].append(float(loss))
        if len(losses["by hand"]) == 1:
            difference = np.abs(weights["by hand"] - weights["spikejax"]).max()
            print(f"largest difference of a weight after the first step: {difference:.1e}")

for name, w in weights.items():
    rates = forward(w, x_test)[1].mean(0)
    print(f"{name}: last loss {losses[name][-1]:.4f}, test accuracy {np.mean(rates.argmax(1) == data.y_test):.2%}")
difference = np.abs(np.subtract(losses["by hand"], losses["spikejax"])).max()
print(f"largest difference of a loss in {len(losses['by hand'])} steps: {difference:.1e}")
