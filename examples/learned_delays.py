"""Delays that are learnt: a task that cannot be solved without them, and digits as events.

In the task two inputs fire at random; the second repeats the first a few steps later, and how many is the class. To
neurons that forget within a step or two all classes look the same, unless the first input comes to them late. The same
network is trained with linear synapses, with delays drawn at random, and with delays that are learnt with the weights.

    python examples/learned_delays.py
    python examples/learned_delays.py --data PATH

With --data it also classifies N-MNIST, handwritten digits seen by a camera that reports changes, with and without
learnt delays. PATH is an npz file of recordings one after another: for `train` and `test` the pixels `_x`, `_y`, the
polarities `_p` and the times `_t` of all events, `_offsets` where each recording starts, `_labels`.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import spikejax as sx
from spikejax.losses import accuracy, cross_entropy_rate
from spikejax.nn import DelayedLinear, LearnedDelay, Sequential, set_sigma
from spikejax.typing import Array

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", type=Path, help="npz file of N-MNIST")
parser.add_argument("--tiny", action="store_true", help="few epochs: only to see that it works")
options = parser.parse_args()
LAGS, LONGEST = (3, 6, 9, 12), 12


def repeated(rng: np.random.Generator, count: int, steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Spikes `[steps, count, 2]` of two inputs, and the class, which is the lag of the second."""
    labels = rng.integers(0, len(LAGS), count)
    first = rng.random((steps + LONGEST, count)) < 0.1
    lag = np.array(LAGS)[labels]
    second = first[np.arange(steps)[:, None] + LONGEST - lag, np.arange(count)]
    return np.stack([first[LONGEST:], second], -1).astype(np.float32), labels


def train(net: Any, data: Any, test: Any, epochs: int, rate: float, delay_rate: float) -> float:
    """Accuracy on `test`, with rounded delays, after training the delays at a learning rate of their own."""
    (xs, ys), (x_test, y_test) = data, test
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    is_delay = jax.tree_util.tree_map_with_path(lambda path, _: "delay" in jax.tree_util.keystr(path), params)
    optimizer = optax.multi_transform({True: optax.adam(delay_rate), False: optax.adam(rate)}, is_delay)

    @jax.jit
    def epoch(params: Any, opt_state: Any, sigma: Array, order: Array) -> tuple[Any, Any]:
        def step(carry: Any, pick: Array) -> tuple[Any, None]:
            def loss(params: Any) -> Array:
                net = nnx.merge(graph, params, rest, copy=True)
                if any(jax.tree.leaves(is_delay)):
                    set_sigma(net, sigma)
                return cross_entropy_rate(10 * sx.run(net, xs[:, pick])[1], ys[pick])

            params, opt_state = carry
            updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
            params = optax.apply_updates(params, updates)
            inside = jax.tree.map(lambda p, delay: jnp.clip(p, 0, LONGEST) if delay else p, params, is_delay)
            return (inside, opt_state), None

        return jax.lax.scan(step, (params, opt_state), order)[0]

    random, opt_state = np.random.default_rng(0), optimizer.init(params)
    for sigma in np.geomspace(2, 0.05, epochs):
        order = random.permutation(len(ys))[: len(ys) // 50 * 50].reshape(-1, 50)
        params, opt_state = epoch(params, opt_state, jnp.asarray(sigma, jnp.float32), jnp.asarray(order))
    trained = nnx.merge(graph, params, rest)
    trained.eval()
    return float(accuracy(sx.run(trained, x_test)[1], y_test))


def coincidences(delays: bool, rngs: nnx.Rngs) -> Sequential:
    """Sixteen hidden neurons that forget within a step or two, and a read-out that does not spike."""
    synapse = DelayedLinear(2, 16, LONGEST, rngs=rngs) if delays else nnx.Linear(2, 16, rngs=rngs)
    linear = synapse.linear if isinstance(synapse, DelayedLinear) else synapse
    linear.kernel[...] = jnp.ones_like(linear.kernel[...])  # two spikes together do more than one
    hidden = sx.LIF(tau=1.2, surrogate=sx.surrogate.ATan())
    return Sequential(synapse, hidden, nnx.Linear(16, len(LAGS), rngs=rngs), sx.LeakyIntegrator(tau=10.0))


def frames(events: Any, part: str, steps: int = 30) -> tuple[Array, Array]:
    """Recordings of 34x34 pixels as `[steps, N, 578]`: whether a pixel pair saw an event of a polarity in 10 ms."""
    starts, labels = events[f"{part}_offsets"], events[f"{part}_labels"]
    pieces = np.zeros((steps, len(labels), 17, 17, 2), np.float32)
    x, y, p, t = (events[f"{part}_{name}"] for name in "xypt")
    time = np.minimum(t // 10_000, steps - 1)
    pieces[time, np.repeat(np.arange(len(labels)), np.diff(starts)), y // 2, x // 2, p] = 1
    return jnp.asarray(pieces.reshape(steps, len(labels), -1)), jnp.asarray(labels.astype(np.int32))


rng = np.random.default_rng(0)
task, test = (tuple(map(jnp.asarray, repeated(rng, count))) for count in ((200, 50) if options.tiny else (2000, 1000)))
epochs = 2 if options.tiny else 30
for name, delay_rate in (("none", 0.0), ("random", 0.0), ("learnt", 0.1)):
    reached = train(coincidences(name != "none", nnx.Rngs(0)), task, test, epochs, 1e-2, delay_rate)
    print(f"which lag of {len(LAGS)}, delays {name}: test accuracy {reached:.1%}")

if options.data is not None:
    with np.load(options.data) as events:
        digits, test = frames(events, "train"), frames(events, "test")
    for name in ("none", "learnt"):
        found = []
        for seed in range(5):
            rngs = nnx.Rngs(seed)
            delays = [LearnedDelay(64, LONGEST, rngs=rngs)] if name == "learnt" else []
            first, last = nnx.Linear(578, 64, rngs=rngs), nnx.Linear(64, 10, rngs=rngs)
            net = Sequential(first, sx.LIF(tau=2.0), *delays, last, sx.LeakyIntegrator(tau=10.0))
            found.append(train(net, digits, test, 20, 2e-3, 0.05))
        spread = f"{min(found):.1%} to {max(found):.1%}"
        print(f"N-MNIST, delays {name}: test accuracy {np.mean(found):.1%}, of five runs {spread}")
