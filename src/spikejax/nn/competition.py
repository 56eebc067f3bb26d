"""Neurons that compete: who fires silences the others."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.cells import Neuron
from spikejax.checks import check_type
from spikejax.nn.cell_module import as_given, as_module
from spikejax.typing import Array, Shape, State


class WinnerTakeAll(nnx.Module):
    """Neurons of which at most one fires at a step, and resets them all; itself a cell.

        h[t] = charge(state[t-1], x[t])
        s[t] = fire(h[t]) for the neuron whose h is furthest above its threshold, 0 for all others
        state[t] = reset(h[t], 1 where any neuron has fired, else 0)

    Lateral inhibition without delay and without weights: for one winner at a time, as competitive learning needs it.
    The neurons of a layer are the last axis; in images every place has a competition of its own.

    Args:
        cell: a spiking neuron in charge, fire and reset, such as `sx.LIF()`.

    Raises:
        TypeError: `cell` is no such neuron.

    Source: Maass, "On the computational power of winner-take-all", 2000; the inhibition of Diehl and Cook,
    "Unsupervised learning of digit recognition using spike-timing-dependent plasticity", 2015, at its strongest.
    """

    def __init__(self, cell: Neuron) -> None:
        check_type("cell", cell, Neuron, "a spiking neuron such as sx.LIF()")
        self.module = as_module(cell, "cell")

    @property
    def cell(self) -> Any:
        """The neuron with the present values of its parameters."""
        return as_given(self.module)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The neuron's own state before the first step, for inputs of `shape` `[N, *]`."""
        return self.module.init_state(shape, dtype, key=key)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step in time, `x` `[N, *]`."""
        cell = self.cell
        h = cell.charged(state, jnp.asarray(x))
        above = h.v - cell.v_threshold
        first = jnp.argmax(above, axis=-1, keepdims=True) == jnp.arange(above.shape[-1])
        spikes = cell.fire(h) * first
        fired = jnp.broadcast_to(jnp.max(spikes, axis=-1, keepdims=True), spikes.shape)
        return cell.reset(h, fired), spikes
