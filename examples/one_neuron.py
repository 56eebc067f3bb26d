"""Neurons under a constant current, and their pictures.

Shows how a neuron runs over time and how its membrane and spikes are recorded: one LIF neuron, and 32 IF neurons
with a current each.

    python examples/one_neuron.py --out pictures
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import spikejax as sx
from spikejax.visualize import plot_heatmap, plot_membrane, plot_raster

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures")
parser.add_argument("--tiny", action="store_true", help="fewer time steps: only to see that it works")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)

# One LIF neuron. With a current of 1.2 its membrane would settle at 1.2, above the threshold of 1.
lif = sx.LIF(tau=20.0)
current = np.full((1, 1), 1.2, np.float32)  # [N, neurons]; `steps` shows it at every step
_, (spikes, records) = sx.run(lif, current, steps=40 if options.tiny else 150, record="membrane")
times = np.flatnonzero(spikes[:, 0, 0])
figure = plot_membrane(
    records["membrane"][:, 0, 0],
    spikes[:, 0, 0],
    v_threshold=lif.v_threshold,
    v_reset=lif.v_reset,
    title="a LIF neuron, tau = 20 steps, under a current of 1.2",
)
figure.savefig(options.out / "one_lif.png")
print(f"one LIF neuron: spikes at steps {', '.join(map(str, times))}")

# 32 IF neurons, each with a current of its own between 0 and 1/8: the larger, the more often it fires.
steps = 20 if options.tiny else 50
currents = jax.random.uniform(jax.random.key(0), (1, 32)) / 8
_, (spikes, records) = sx.run(sx.IF(), currents, steps=steps, record="membrane")
plot_heatmap(records["membrane"][:, 0], title="membranes of 32 IF neurons").savefig(options.out / "if_membranes.png")
plot_raster(spikes[:, 0], title="spikes of 32 IF neurons").savefig(options.out / "if_spikes.png")
counts, expected = np.asarray(spikes.sum((0, 1))), steps // np.ceil(1 / np.asarray(currents[0]))
print(f"32 IF neurons: {counts.sum():.0f} spikes; {(counts == expected).sum()} fire every ceil(1 / current) steps")
print(f"pictures: {', '.join(sorted(path.name for path in options.out.glob('*.png')))}")
