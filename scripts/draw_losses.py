"""Draws similarities of spike trains, the penalty of rates, and synchrony into docs/images/losses.png."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from spikejax import losses
from spikejax.visualize.canvas import BLUE, VERMILION, new_figure

rng = np.random.default_rng(0)
labels = np.repeat([0, 1, 2], 6)
patterns = rng.random((30, 3, 20)) < 0.2
trains = np.where(rng.random((30, 18, 20)) < 0.35, rng.random((30, 18, 20)) < 0.2, patterns[:, labels])
flat = np.moveaxis(trains, 0, 1).reshape(18, -1).astype(np.float32)
norm = np.linalg.norm(flat, axis=1, keepdims=True)
similarity = np.asarray(losses.kernel_product(flat / norm, flat / norm))
loss = float(losses.spike_similarity(jnp.asarray(trains), labels))

figure = new_figure(11, 3.4)
grid = figure.add_gridspec(1, 3, width_ratios=(1, 1.1, 1.5))
axis = figure.add_subplot(grid[0])
image = axis.imshow(similarity, cmap="cividis", vmin=0, vmax=1)
figure.colorbar(image, ax=axis, shrink=0.8)
axis.set(title=f"spike_similarity = {loss:.2f}", xlabel="sample, by class", ylabel="sample, by class")
axis.set_xticks([0, 6, 12])
axis.set_yticks([0, 6, 12])

axis = figure.add_subplot(grid[1])
rates = np.linspace(0, 0.6, 121)
penalty = [float(losses.firing_rate_penalty(jnp.full((1, 1, 1), rate), 0.1, 0.3)) for rate in rates]
axis.plot(rates, penalty, color=BLUE)
axis.axvspan(0.1, 0.3, color=BLUE, alpha=0.12)
axis.text(0.2, 0.06, "free", ha="center", color=BLUE)
axis.set(title="firing_rate_penalty(spikes, 0.1, 0.3)", xlabel="mean rate of a neuron", ylabel="penalty")

inner = grid[2].subgridspec(2, 1, hspace=0.1)
alone = rng.random((60, 1, 30)) < 0.1
together = (rng.random((60, 1, 1)) < 0.1) & (rng.random((60, 1, 30)) < 0.9) | (rng.random((60, 1, 30)) < 0.01)
for row, (spikes, color) in enumerate(((alone, BLUE), (together, VERMILION))):
    axis = figure.add_subplot(inner[row])
    steps, neurons = np.nonzero(spikes[:, 0])
    axis.scatter(steps, neurons, marker="|", s=9, color=color, linewidths=1)
    value = float(losses.synchrony_penalty(jnp.asarray(spikes)))
    axis.set(title=f"synchrony_penalty = {value:.2f}", ylabel="neuron", xlim=(-1, 60))
    axis.set_xlabel("time step" if row else "")
    axis.tick_params(labelbottom=bool(row))
path = Path(__file__).parents[1] / "docs" / "images" / "losses.png"
figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
print(path)
