"""Outputs over time to one number a neuron, and to a class."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.losses.checks import as_float, check_time_first, valid_steps
from spikejax.typing import Array


def first_spike_index(spikes: Array) -> Array:
    """Marks the first spike of each neuron: True there, False everywhere else.

    Args:
        spikes: `[T, N, *]`; anything but 0 is a spike.

    Returns:
        `[T, N, *]`, bool.

    SpikingJelly: `first_spike_index`, with time last.
    """
    fired = jnp.asarray(spikes) != 0
    return fired & (jnp.cumsum(fired, 0) == 1)


def first_spike_time(spikes: Array, lengths: ArrayLike | None = None) -> Array:
    """Steps before the first spike of each neuron; T for one that never fires.

        time = sum over t of product over u <= t of (1 - spikes[u])

    The formula counts the steps without a spike up to then. It is a polynomial of the spikes and has a gradient: to let
    the neuron fire earlier, raise its input at the steps up to the first spike, by what each would save. So a loss of
    the time trains a network through the surrogates of its neurons, and needs none of its own.

    Args:
        spikes: `[T, N, *]`, 0 and 1, or between for neurons without a sharp threshold (`spiking=False`).
        lengths: valid steps of each sequence `[N]`; None counts all T. Without a spike in it, the time of a sequence is
            its length.

    Returns:
        Times `[N, *]`, whole numbers in float32 at least.

    Raises:
        ValueError: `lengths` does not fit `spikes`, or a concrete value leaves [0, 1].
    """
    spikes = as_float(spikes)
    valid = True if lengths is None else valid_steps(spikes, lengths)[0]
    spikes = jnp.where(valid, spikes, 0)
    check_number("spikes", spikes, ge=0, le=1, remedy="of membranes or counts it is no time")
    return (jnp.cumprod(1 - spikes, 0) * valid).sum(0)


def decode_first_spike(outs: Array, lengths: ArrayLike | None = None) -> Array:
    """The class of the output neuron that fires first; of equals, and where none fires, the lowest.

        class[n] = argmin over c of first_spike_time(outs)[n, c]

    A class has no gradient: train with `-first_spike_time(outs)` as logits.

    Args:
        outs: output spikes `[T, N, C]`.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Returns:
        Classes `[N]`, integers.

    Raises:
        ValueError: `outs` has other axes, or `lengths` does not fit.
    """
    check_time_first(outs, "[T, N, C]")
    return first_spike_time(outs, lengths).argmin(-1)


def membrane_maximum(membranes: Array, lengths: ArrayLike | None = None) -> Array:
    """The highest potential that each neuron reaches.

        v_max = max over t of membranes[t]

    The gradient goes to the step of the maximum (shared evenly by equal ones), with no surrogate: for output neurons
    that do not fire, such as `sx.LeakyIntegrator`.

    Args:
        membranes: `[T, N, *]`.
        lengths: valid steps of each sequence `[N]`; None counts all T.

    Returns:
        `[N, *]`, in float32 at least.

    Raises:
        ValueError: `lengths` does not fit `membranes`.

    Source: Gütig and Sompolinsky, "The tempotron: a neuron that learns spike timing-based decisions", 2006.
    """
    values = as_float(membranes)
    return (values if lengths is None else jnp.where(valid_steps(values, lengths)[0], values, -jnp.inf)).max(0)
