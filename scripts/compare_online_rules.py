"""Prints how far the gradients of the online rules point where backpropagation through time points, and their memory.

    python scripts/compare_online_rules.py

For each rule and network the cosine with the gradient of BPTT, of the first synapse and of all parameters: the mean
over seeds of weights and data. Then the scratch memory of the compiled gradient of a recurrent network, in KiB.
"""

import argparse
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import spikejax as sx
from spikejax.plasticity import (
    BPTT,
    DECOLLE,
    FPTT,
    OTTT,
    SLTT,
    DiagonalRTRL,
    EProp,
    ForwardGradient,
    value_and_grad_online,
)

INPUTS, HIDDEN, CLASSES, BATCH = 40, 64, 10, 16
ONLINE = SLTT(), OTTT(), DiagonalRTRL(), EProp()


def networks(inputs, hidden):
    """The networks by name, each a function of a seed: they differ in depth, recurrence and slow variables."""
    lif = sx.LIF(tau=5.0, decay_input=False, detach_reset=True)
    alif = sx.ALIF(tau=5.0, tau_a=50.0, beta=0.5, decay_input=False)

    def layered(depth, seed):
        linear = partial(nnx.Linear, rngs=nnx.Rngs(seed))
        sizes = (inputs, *(hidden,) * depth)
        layers = [layer for i in range(depth) for layer in (linear(sizes[i], sizes[i + 1]), lif)]
        return sx.nn.Sequential(*layers, linear(hidden, CLASSES), sx.LeakyIntegrator(tau=5.0))

    def recurrent(cell, seed):
        linear = partial(nnx.Linear, rngs=nnx.Rngs(seed))
        hidden_layer = sx.nn.Recurrent(cell, linear(hidden, hidden))
        ends = linear(hidden, CLASSES), sx.LeakyIntegrator(tau=5.0)
        return sx.nn.Sequential(linear(inputs, hidden), hidden_layer, *ends)

    return {
        "1 hidden": partial(layered, 1),
        "3 hidden": partial(layered, 3),
        "recurrent LIF": partial(recurrent, lif),
        "recurrent ALIF": partial(recurrent, alif),
    }


def gradients(build, steps, inputs):
    """A compiled function of parameters and seed, to the gradients of every rule and, last, of BPTT."""
    graph = nnx.graphdef(build(0))

    @jax.jit
    def compute(params, seed):
        rates, draws, classes, directions = jax.random.split(jax.random.key(seed), 4)
        chances = 0.3 * jax.random.uniform(rates, (BATCH, inputs))
        xs = jax.random.bernoulli(draws, chances, (steps, BATCH, inputs)).astype(jnp.float32)
        labels = jax.random.randint(classes, (BATCH,), 0, CLASSES)

        def loss(y, _):
            return optax.softmax_cross_entropy_with_integer_labels(y, labels).mean()

        rules = *ONLINE, ForwardGradient(directions, samples=16), BPTT()
        return [value_and_grad_online(rule)(loss, nnx.merge(graph, params), xs)[1] for rule in rules]

    return compute


def cosine(a, b):
    """That of the angle between two trees."""
    a, b = (jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return float(a @ b / jnp.linalg.norm(a) / jnp.linalg.norm(b))


def scratch(net, rule, steps, inputs):
    """Bytes that the gradient over so many steps needs besides its arguments and results; nothing is run."""

    def compute(xs):
        return value_and_grad_online(rule)(lambda y, _: (y**2).mean(), net, xs)

    xs = jax.ShapeDtypeStruct((steps, BATCH, inputs), jnp.float32)
    return jax.jit(compute).lower(xs).compile().memory_analysis().temp_size_in_bytes


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--tiny", action="store_true", help="a small problem, to see that it runs")
    args = parser.parse_args()
    seeds, steps, inputs, hidden = (1, 5, 6, 8) if args.tiny else (args.seeds, args.steps, INPUTS, HIDDEN)
    names = [*(type(rule).__name__ for rule in ONLINE), "ForwardGradient(samples=16)"]
    rows = {name: [] for name in names}
    every = networks(inputs, hidden)
    for build in every.values():
        compute = gradients(build, steps, inputs)
        found = [compute(nnx.state(build(seed)), seed) for seed in range(seeds)]
        for i, name in enumerate(names):
            first = [cosine(grads[i]["layers"][0], grads[-1]["layers"][0]) for grads in found]
            whole = [cosine(grads[i], grads[-1]) for grads in found]
            rows[name].append(f"{sum(first) / seeds:.3f}, {sum(whole) / seeds:.3f}")
    print(f"| rule | {' | '.join(every)} |")
    print("|---|" + "---|" * len(every))
    for name, values in rows.items():
        print(f"| `{name}` | {' | '.join(values)} |")

    key = jax.random.key(0)
    others = DECOLLE(key, DiagonalRTRL()), FPTT(), ForwardGradient(key, samples=16), BPTT()
    lengths = (steps, 10 * steps, 100 * steps)
    print(f"\n| rule | {' | '.join(f'{n} steps' for n in lengths)} |")
    print("|---|" + "---|" * len(lengths))
    for rule in (*ONLINE, *others):
        sizes = [scratch(every["recurrent LIF"](0), rule, n, inputs) for n in lengths]
        print(f"| `{type(rule).__name__}` | {' | '.join(f'{size / 1024:,.0f}' for size in sizes)} |")


if __name__ == "__main__":
    main()
