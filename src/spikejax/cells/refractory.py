"""An absolute refractory period around any neuron."""

from dataclasses import field
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.base import ChargeFireReset, check_broadcast
from spikejax.checks import check_number, check_type
from spikejax.typing import Array, Shape, State, batched


class RefractoryState(NamedTuple):
    """The state of a neuron with a refractory period.

    Attributes:
        cell: the state of the neuron itself.
        wait: steps that it has still to pause `[N, *]`, in the dtype of its membrane.
    """

    cell: State
    wait: Array

    @property
    def v(self) -> Array:
        """The membrane of the neuron."""
        return self.cell.v


class Refractory(ChargeFireReset):
    """A neuron with an absolute refractory period: after a spike it neither charges nor fires for some steps.

        h = charge(state, x)       s = fire(h)       where wait = 0
        h = state                  s = 0             where wait > 0
        wait = steps where the neuron fired, else max(wait - 1, 0)

    While it waits, the state of the neuron `[N, *]` stays as the reset left it, whatever the input, so that spikes
    are at least `steps + 1` apart; the pauses of nested wrappers add up. Gradients pass through the pause to the state
    before it, and through no spike within it.

    Args:
        cell: the neuron, any `ChargeFireReset`; it may be a wrapper itself.
        steps: length of the pause in steps, an integer >= 0, or an array of such, one a neuron; 0 is `cell` itself.

    Raises:
        ValueError: `steps` is negative or no integer.
        TypeError: `cell` is no `ChargeFireReset`.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, section 1.3.1 (absolute refractoriness).
    """

    cell: ChargeFireReset = field(kw_only=False)
    steps: int | Array = field(kw_only=False)

    def validate(self) -> None:
        """Raises ValueError unless `steps` counts, TypeError where `cell` cannot be wrapped."""
        check_type("cell", self.cell, ChargeFireReset, "a neuron such as sx.LIF(), in charge, fire and reset")
        check_number("steps", self.steps, ge=0, whole=True)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> RefractoryState:
        """The state before the first step: that of the neuron, which does not wait."""
        check_broadcast(self, shape)
        return RefractoryState(self.cell.init_state(shape, dtype, key=key), jnp.zeros(shape, dtype))

    @property
    def output_kind(self) -> Literal["spikes", "counts", "analog"]:
        """As of the neuron."""
        return self.cell.output_kind

    def charge(self, state: RefractoryState, x: Array) -> RefractoryState:
        """Charges the neurons that do not wait."""
        return state._replace(cell=_hold(state.wait, state.cell, self.cell.charge(state.cell, x)))

    def fire(self, h: RefractoryState) -> Array:
        """Spikes of the neurons that do not wait."""
        s = self.cell.fire(h.cell)
        return jnp.where(h.wait > 0, jnp.zeros_like(s), s)

    def fired(self, h: RefractoryState, s: Array) -> Array:
        """True where the neuron fired and does not wait."""
        return self.cell.fired(h.cell, s) & (h.wait <= 0)

    def reset(self, h: RefractoryState, s: Array) -> RefractoryState:
        """Resets the neurons that do not wait; a spike starts the pause."""
        pause = jnp.asarray(jax.lax.stop_gradient(self.steps), h.wait.dtype)
        wait = jnp.where(self.fired(h, s), pause, jnp.maximum(jax.lax.stop_gradient(h.wait) - 1, 0))
        return RefractoryState(_hold(h.wait, h.cell, self.cell.reset(h.cell, s)), wait)


def _hold(wait: Array, old: State, new: State) -> State:
    """`new`, but `old` for neurons that wait; values that samples share, such as random keys, go on."""
    choose = lambda is_batched, old, new: jnp.where(wait > 0, old, new) if is_batched else new  # noqa: E731
    return jax.tree.map(choose, batched(old), old, new)
