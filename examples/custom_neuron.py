"""A neuron of one's own, in one equation.

Shows that a model writes only how the input charges the membrane; threshold, reset, surrogate gradient and the way
through time are inherited. SquareIF squares its input, `h = v + x^2`.

    python examples/custom_neuron.py
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

import spikejax as sx
from spikejax.typing import Array, State


class SquareIF(sx.Neuron):
    """Integrates the square of its input: `h = v + x^2`."""

    def charge(self, state: State, x: Array) -> State:
        """Adds the squared input."""
        return state._replace(v=state.v + x**2)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tiny", action="store_true", help="few training steps: only to see that it works")
updates = 3 if parser.parse_args().tiny else 60

# Four steps by hand: the second input lifts the membrane over the threshold of 1.
xs = np.array([0.7452, 0.8062, 0.6730, 0.0942], np.float32)[:, None]  # [T, N]
_, (spikes, records) = sx.run(SquareIF(), xs, record="membrane")
print("membrane", " ".join(f"{v:.4f}" for v in records["membrane"][:, 0]), " spikes", np.asarray(spikes[:, 0], int))

# Each of 50 neurons learns the weight of its input with which it fires at a wanted rate.
drive = jax.random.uniform(jax.random.key(0), (100, 1, 50))  # [T, N, neurons]
wanted = jnp.linspace(0.1, 0.6, 50)


@jax.jit
@jax.value_and_grad
def loss(weights: Array) -> Array:
    """Mean squared difference from the wanted rates."""
    _, spikes = sx.run(SquareIF(surrogate=sx.surrogate.ATan()), weights * drive)
    return jnp.mean((spikes.mean((0, 1)) - wanted) ** 2)


weights = jnp.ones(50)
first, _ = loss(weights)
for _ in range(updates):
    weights -= 20 * loss(weights)[1]
last, _ = loss(weights)
print(f"root of the mean squared error of the firing rates: {first**0.5:.3f} before, {last**0.5:.3f} after training")
