"""How the steepness alpha of a surrogate decides whether gradients survive ten layers.

Ten times linear - IF with the Sigmoid surrogate, positive weights, T = 4: the norm of the gradient at the output of
every neuron layer, from the last to the first, for several alpha. With a flat surrogate (small alpha) gradients vanish.
Prints a table and draws it.

    python examples/gradient_through_depth.py --out runs/gradient-through-depth
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import spikejax as sx
from spikejax.monitor import layer_gradients

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("runs/gradient-through-depth"), help="folder of the picture")
parser.add_argument("--tiny", action="store_true", help="two values of alpha: only to see that it works")
options = parser.parse_args()
alphas = (0.1, 8.0) if options.tiny else (0.1, 0.5, 2.0, 4.0, 8.0)

LAYERS, WIDTH, STEPS = 10, 8, 4
keys = jax.random.split(jax.random.key(0), LAYERS + 1)
bound = WIDTH**-0.5
weights = [jnp.abs(jax.random.uniform(key, (WIDTH, WIDTH), minval=-bound, maxval=bound)) for key in keys[1:]]
x = jax.random.uniform(keys[0], (STEPS, 1, WIDTH))


def network(alpha: float) -> sx.nn.Sequential:
    """Ten times a product with positive weights and neurons."""
    cell = sx.IF(surrogate=sx.surrogate.Sigmoid(alpha))
    return sx.nn.Sequential(*(layer for weight in weights for layer in (partial(jnp.matmul, b=weight), cell)))


figure = Figure(figsize=(6, 4), layout="constrained")
plot = figure.subplots()
for alpha in alphas:
    gradients = layer_gradients(jnp.sum, network(alpha), x, "spikes")
    norms = [float(jnp.linalg.norm(gradient)) for gradient in reversed(gradients.values())]
    print(f"alpha {alpha:>4}: " + "  ".join(f"{norm:.1e}" for norm in norms))
    plot.semilogy(range(LAYERS), norms, marker="o", markersize=4, label=f"alpha = {alpha:g}")
plot.set(xlabel="layers below the output", ylabel="norm of dL/dS")
plot.legend(frameon=False)
options.out.mkdir(parents=True, exist_ok=True)
figure.savefig(options.out / "gradient_through_depth.png", dpi=120)
print(f"picture: {options.out / 'gradient_through_depth.png'}")
