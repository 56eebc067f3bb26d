"""A network leaves as a NIR file, which other simulators and chips read, and comes back with the same spikes.

Prints the nodes of the graph, and how many spikes differ.

    python examples/nir_exchange.py
"""

import argparse

import jax
import nir
from flax import nnx

import spikejax as sx
from spikejax.export.nir import from_nir, write

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tiny", action="store_true", help="few steps: only to see that it works")
steps = 10 if parser.parse_args().tiny else 1000

rngs = nnx.Rngs(0)
net = sx.nn.Sequential(
    nnx.Conv(2, 8, (3, 3), strides=2, padding=((1, 1), (1, 1)), rngs=rngs),
    sx.LIF(tau=2.0, decay_input=False),
    sx.nn.SumPool(2),
    sx.nn.Flatten(),
    nnx.Linear(128, 32, rngs=rngs),
    sx.nn.Recurrent(sx.CubaLIF(tau_syn=2.0, tau=4.0), nnx.Linear(32, 32, rngs=rngs)),
)
write("net.nir", net, (16, 16, 2), dt=1e-4)

graph = nir.read("net.nir")
print("nodes: " + ", ".join(f"{name} {type(node).__name__}" for name, node in graph.nodes.items()))

again = from_nir("net.nir", dt=1e-4)
events = jax.random.bernoulli(jax.random.key(0), 0.3, (steps, 4, 16, 16, 2)).astype(float)
(_, spikes), (_, spikes_again) = sx.run(net, events), sx.run(again, events)
print(f"spikes in {steps} steps: {spikes.sum():.0f}, of the network read back: {spikes_again.sum():.0f}")
print(f"spikes that differ: {(spikes != spikes_again).sum()}")
