"""Draws a spike through a learnt delay, and a delay that is learnt, into docs/images/learned-delay.png."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import spikejax as sx
from spikejax.nn import LearnedDelay, set_sigma
from spikejax.visualize.canvas import BLUE, GREEN, VERMILION, new_figure

LONGEST, TARGET = 12, 8.0
spike = jnp.zeros((20, 1, 1)).at[2].set(1)

figure = new_figure(9.0, 3.4)
left, right = figure.subplots(1, 2)
for sigma, color in ((3.0, BLUE), (1.0, VERMILION), (0.3, GREEN)):
    layer = LearnedDelay(1, LONGEST, delay=jnp.array([5.0]), sigma=sigma)
    left.plot(sx.run(layer, spike)[1].ravel(), marker="o", markersize=4, color=color, label=f"sigma = {sigma:g}")
left.axvline(2, color="0.6", linestyle=":")
left.set(title="a spike at step 2, delay 5", xlabel="step", ylabel="output")
left.legend(frameon=False)

layer = LearnedDelay(1, LONGEST, delay=jnp.array([1.0]))
want = jnp.roll(spike, int(TARGET), 0)
graph, params, rest = nnx.split(layer, nnx.Param, ...)
optimizer = optax.adam(0.3)
moments = optimizer.init(params)


@jax.jit
def step(params, moments, sigma):
    """One step of Adam on the squared error."""

    def loss(params):
        layer = nnx.merge(graph, params, rest, copy=True)
        set_sigma(layer, sigma)
        return ((sx.run(layer, spike)[1] - want) ** 2).sum()

    updates, moments = optimizer.update(jax.grad(loss)(params), moments, params)
    return optax.apply_updates(params, updates), moments


sigmas = np.geomspace(LONGEST / 2, 0.3, 60)
delays = []
for sigma in sigmas:
    delays.append(jax.tree.leaves(params)[0][0])
    params, moments = step(params, moments, sigma)
right.plot(delays, color=BLUE, label="delay")
right.plot(sigmas, color=VERMILION, linestyle="--", label="sigma")
right.axhline(TARGET, color="0.6", linestyle=":")
right.set(title=f"a delay on its way to {TARGET:g}", xlabel="step of training", ylabel="steps")
right.legend(frameon=False)
path = Path(__file__).parents[1] / "docs" / "images" / "learned-delay.png"
figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
print(path, delays[-1])
