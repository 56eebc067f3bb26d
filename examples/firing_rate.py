"""The firing rate of an integrate-and-fire neuron with soft reset is the rectifier, clipped at 1.

A constant input x for T steps: the neuron fires x times a step, 0 below 0 and 1 above 1. This is why a trained network
of ReLUs can be converted to spikes. Prints the largest difference and draws both curves.

    python examples/firing_rate.py --out runs/firing-rate
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
from matplotlib.figure import Figure

import spikejax as sx

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=128, help="time steps T")
parser.add_argument("--out", type=Path, default=Path("runs/firing-rate"), help="folder of the picture")
parser.add_argument("--tiny", action="store_true", help="fewer steps: only to see that it works")
options = parser.parse_args()
steps = 32 if options.tiny else options.steps

x = jnp.linspace(-0.2, 1.2, 128)
_, spikes = sx.run(sx.IF(v_reset=None), x, steps=steps)  # spikes [T, 128]
rate = sx.losses.firing_rate(spikes)
clipped = jnp.clip(x, 0, 1)
print(f"largest difference between rate and clipped ReLU: {abs(rate - clipped).max():.4f}, 1 / T = {1 / steps:.4f}")

figure = Figure(figsize=(6, 4), layout="constrained")
plot = figure.subplots()
plot.plot(x, rate, color="#0072B2", label=f"rate of the neuron, T = {steps}")
plot.plot(x, jnp.maximum(x, 0), color="#D55E00", linestyle="--", label="ReLU")
plot.set(xlabel="input x", ylabel="spikes / step", ylim=(-0.05, 1.25))
plot.legend(frameon=False)
options.out.mkdir(parents=True, exist_ok=True)
figure.savefig(options.out / "firing_rate.png", dpi=120)
print(f"picture: {options.out / 'firing_rate.png'}")
