"""Draws the firing rates of deep networks, with and without the gain of their neuron, into docs/images/depth.png."""

from pathlib import Path

import jax
from flax import nnx

import spikejax as sx
from spikejax.visualize.canvas import BLACK, BLUE, GREEN, VERMILION, new_figure, whole_ticks

DEPTH, WIDTH, STEPS = 20, 256, 16
images = jax.random.normal(jax.random.key(1), (16, 64))


def rates(cell, first, gain):
    """The mean rate of each layer."""
    rngs, layers = nnx.Rngs(0), []
    for i in range(DEPTH):
        init = nnx.initializers.variance_scaling((gain if i else first) ** 2, "fan_in", "normal")
        layers += [nnx.Linear(WIDTH if i else 64, WIDTH, kernel_init=init, rngs=rngs), cell]
    return [layer.rate for layer in sx.nn.diagnose(sx.nn.Sequential(*layers), images, steps=STEPS).layers]


figure = new_figure(9, 3.6)
for axis, cell in zip(figure.subplots(1, 2, sharey=True), (sx.IF(), sx.LIF()), strict=True):
    name = type(cell).__name__
    for target, color, marker in ((0.3, GREEN, "s"), (0.2, BLUE, "o"), (0.1, VERMILION, "^")):
        first, gain = (sx.nn.lif_gain(cell, target, steps=STEPS, input_rms=rms) for rms in (1.0, None))
        label = f"lif_gain, rate {target}: {gain:.2f}"
        axis.plot(range(1, DEPTH + 1), rates(cell, first, gain), marker=marker, ms=4, lw=1.2, color=color, label=label)
    he = 2**0.5
    axis.plot(range(1, DEPTH + 1), rates(cell, he, he), marker="x", ms=4, lw=1.2, color=BLACK, label="he_normal: 1.41")
    axis.set(title=f"{name}, {DEPTH} layers of {WIDTH}, T = {STEPS}", xlabel="layer", ylim=(0, 0.62))
    whole_ticks(axis.xaxis)
    axis.legend(frameon=False, fontsize=8, title="gain of the weights", title_fontsize=8, ncols=2, loc="upper right")
figure.axes[0].set_ylabel("mean rate, spikes a step")
path = Path(__file__).parents[1] / "docs" / "images" / "depth.png"
figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
print(path)
