"""The size of weights at which layers of neurons pass their firing rate on."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from spikejax.checks import check_integer, check_number
from spikejax.pytree import Struct
from spikejax.scan import run
from spikejax.typing import Array, Cell, StepLimited

NEURONS = 2048
"""Number of neurons that are simulated."""

ROUNDS = 6
"""Number of layers through which the statistics of the spikes are followed."""


def lif_gain(
    cell: Cell, rate: float = 0.2, *, steps: int = 32, input_rms: float | None = None, key: Array | None = None
) -> float:
    """The gain of weights at which layers of a neuron pass on the firing rate that they receive.

        W = gain / sqrt(fan_in) N(0, 1),  so that a layer whose input fires at `rate` fires at `rate`

    Measured by simulation, for any spiking cell, in mean-field theory: with many independent weights, the current of a
    neuron is Gaussian, partly the same at every step and partly new at each,

        x_j[t] = gain (sqrt(q) z_j + sqrt(m - q) xi_j[t]),    m = <s^2>,    q = <mean over t of s>^2

    where m and q are those of the spikes of the layer before, so that they reproduce themselves from layer to layer.
    It takes these spikes for independent in time, given each neuron's rate. The same arguments give the same gain. Use
    it as `nnx.initializers.variance_scaling(gain**2, "fan_in", "normal")`.

    The lower the rate, the less depth keeps it: a layer that came out a little weak is followed by a weaker one. 0.2 is
    kept well.

    Args:
        cell: a spiking neuron, such as `sx.LIF()`.
        rate: mean output to keep, spikes a step, > 0.
        steps: time steps T that the network will run, >= 1: membranes take time to charge.
        input_rms: root of the mean square of a static input, > 0, instead of spikes: for the first layer of a network
            that sees images.
        key: a `jax.random.key` for cells that draw; the simulation itself has its own, fixed.

    Returns:
        The gain.

    Raises:
        TypeError: `cell` puts out no spikes.
        ValueError: a number is out of range, or no gain makes the cell fire at that rate.

    Source: He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015, the idea; the Gaussian currents of mean-field
    theory, as Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli, "Exponential expressivity in deep neural networks
    through transient chaos", 2016. Here the neuron's response is measured.
    """
    if not isinstance(cell, Cell) or getattr(cell, "output_kind", "spikes") == "analog":
        raise TypeError(f"`cell` must be a spiking neuron such as sx.LIF(), got {type(cell).__name__}")
    check_number("rate", rate, gt=0, remedy="it is a rate in spikes a step")
    if input_rms is not None:
        check_number("input_rms", input_rms, gt=0)
    most = cell.limits().most if isinstance(cell, StepLimited) else None
    steps = steps if most is None else most
    check_integer("steps", steps)
    respond = _response(cell, steps, key)
    if input_rms is not None:
        return solve(lambda gain: float(respond(gain, input_rms**2, input_rms**2)[0]), rate)
    square, persistent, gain = rate, rate**2, 1.0
    for _ in range(ROUNDS):
        gain = solve(lambda gain, m=square, q=persistent: float(respond(gain, m, q)[0]), rate)
        _, square, persistent = map(float, respond(gain, square, persistent))
    return gain


def solve(rate_at: Callable[[float], float], rate: float) -> float:
    """The factor of the input, between 1e-3 and 1e3, at which the mean output reaches `rate`.

    Raises:
        ValueError: no factor does.
    """
    low, high = math.log(1e-3), math.log(1e3)
    reached = rate_at(math.exp(high))
    if reached < rate:
        raise ValueError(f"`rate` {rate:g} is out of reach: however large its input, the cell puts out {reached:.3g}")
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (low, middle) if rate_at(math.exp(middle)) >= rate else (middle, high)
    return math.exp((low + high) / 2)


def _response(cell: Cell, steps: int, key: Array | None) -> Callable[..., tuple[Array, Array, Array]]:
    """From gain, mean square and persistent part of the input, to mean size, mean square and persistent part."""
    shapes = cell.feature_shapes().values() if isinstance(cell, Struct) else ()
    features = np.broadcast_shapes(*shapes)
    shape = (max(1, NEURONS // math.prod(features)), *features)
    state = cell.init_state(shape, key=key)
    one, other = jax.random.split(jax.random.key(0))
    same, new = jax.random.normal(one, shape), jax.random.normal(other, (steps, *shape))

    @jax.jit
    def respond(gain: Array, square: Array, persistent: Array) -> tuple[Array, Array, Array]:
        xs = gain * (jnp.sqrt(persistent) * same + jnp.sqrt(jnp.maximum(square - persistent, 0)) * new)
        _, outs = run(cell, xs, state)
        outs = outs.astype(jnp.float32)
        mean_square, of_means = jnp.mean(outs**2), jnp.mean(outs.mean(0) ** 2)
        # Of few steps the mean scatters as well; what of its square is due to that does not persist.
        lasting = (steps * of_means - mean_square) / (steps - 1) if steps > 1 else of_means
        return jnp.mean(abs(outs)), mean_square, jnp.clip(lasting, 0, mean_square)

    return respond
