"""Draws what six encoders make of the same values into docs/images/encoders.png."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import spikejax as sx
from spikejax import encoding
from spikejax.visualize.canvas import BLACK, BLUE, VERMILION, new_figure, whole_ticks

STEPS = 32
ramp = jnp.linspace(0, 1, 24)[None]
bits = jnp.floor(ramp * 255) / 256
one = jnp.array([[0.35]])
key = jax.random.key(0)
t = np.arange(STEPS * 2)
signal = np.sin(t / 6) * np.exp(-t / 60)


def spikes_of(encoder, x):
    """Spikes `[STEPS, neurons]` of one sample."""
    return np.asarray(sx.run(encoder, x, encoder.init_state(x.shape, key=key), steps=STEPS)[1]).reshape(STEPS, -1)


panels = {
    "Poisson(): often where large": spikes_of(encoding.Poisson(), ramp),
    "Latency(16): early where large": spikes_of(encoding.Latency(16), ramp),
    'Latency(16, "log")': spikes_of(encoding.Latency(16, "log"), ramp),
    "WeightedPhase(8): the bits": spikes_of(encoding.WeightedPhase(8), bits),
    "GaussianTuning of 0.35, beta = 0.5": spikes_of(encoding.GaussianTuning(12, 16, beta=0.5), one),
}
figure = new_figure(11, 5.6)
axes = figure.subplots(2, 3).ravel()
for axis, (title, spikes) in zip(axes, panels.items(), strict=False):
    steps, neurons = np.nonzero(spikes)
    count = spikes.shape[1]
    alone = title.startswith("Gaussian")
    axis.scatter(steps, neurons if alone else neurons / (count - 1), marker="|", s=26, color=BLUE, linewidths=1.4)
    axis.set(title=title, xlabel="time step", ylabel="neuron" if alone else "value", xlim=(-1, STEPS))
    if alone:
        axis.set_ylim(-0.6, count - 0.4)
        whole_ticks(axis.yaxis)

axis = axes[-1]
_, changes = sx.run(encoding.DeltaModulation(0.25, off="signed", since="spike"), jnp.asarray(signal)[:, None, None])
axis.plot(t, signal, color=BLACK, linewidth=1.2)
for sign, color, place, name in ((1, BLUE, 1.25, "on"), (-1, VERMILION, -1.25, "off")):
    times = np.nonzero(np.asarray(changes)[:, 0, 0] == sign)[0]
    axis.scatter(times, np.full(len(times), place), marker="|", s=60, color=color, linewidths=1.6)
    axis.annotate(name, (STEPS * 2 + 1, place), color=color, ha="left", va="center")
axis.set(
    title='DeltaModulation(0.25, since="spike")', xlabel="time step", ylabel="input", xlim=(-2, 73), ylim=(-1.6, 1.6)
)
path = Path(__file__).parents[1] / "docs" / "images" / "encoders.png"
figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
print(f"{len(panels) + 1} encoders: {path}")
