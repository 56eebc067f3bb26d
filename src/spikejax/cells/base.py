"""The template of all neuron models: charge, fire, reset."""

from dataclasses import field
from typing import Literal, NamedTuple, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike

from spikejax.checks import check_elements, check_number, check_type
from spikejax.pytree import Struct
from spikejax.surrogate import Sigmoid, SurrogateFunction
from spikejax.typing import Array, Shape, State, Surrogate


class Membrane(NamedTuple):
    """The state of a cell with one variable.

    Attributes:
        v: membrane potential `[N, *]`, in units of the threshold.
    """

    v: Array


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class ChargeFireReset(Struct):
    """A cell in three elementwise equations; fields are given by keyword.

        h[t] = charge(state[t-1], x[t])      the state after the input, before a spike
        s[t] = fire(h[t])                    the output
        state[t] = reset(h[t], s[t])

    `h` has the structure of the state, so the sequence of `h` is enough to recompute spikes, states and gradients.
    """

    @property
    def output_kind(self) -> Literal["spikes", "counts", "analog"]:
        """The kind of the output: 0 and 1, integers, or any number."""
        surrogate = getattr(self, "surrogate", None)
        if surrogate is None or not getattr(surrogate, "spiking", True):
            return "analog"
        counts = isinstance(surrogate, SurrogateFunction) and type(surrogate).spike is not SurrogateFunction.spike
        return "counts" if counts else "spikes"

    def __init_subclass__(cls, **kwargs: bool) -> None:
        super().__init_subclass__(kw_only=True, **kwargs)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: membranes at rest.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: dtype of the state; float32 unless asked otherwise, whatever the dtype of the input.
            key: ignored here; random cells draw from it.

        Raises:
            ValueError: a per-neuron parameter does not broadcast to `shape`.
        """
        check_broadcast(self, shape)
        return Membrane(v=jnp.zeros(shape, dtype))

    def charge(self, state: State, x: Array) -> State:
        """`h`: the state after the input `x`, before the spike."""
        raise NotImplementedError(f"{type(self).__name__} must define `charge(self, state, x)`")

    def fire(self, h: State) -> Array:
        """The output, from the charged state."""
        raise NotImplementedError(f"{type(self).__name__} must define `fire(self, h)`")

    def reset(self, h: State, s: Array) -> State:
        """The state after the output `s`."""
        raise NotImplementedError(f"{type(self).__name__} must define `reset(self, h, s)`")

    def fired(self, h: State, s: Array) -> Array:
        """True where the output `s` means a spike: by default, where it is at least 1/2 in size."""
        return abs(s) >= 0.5

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step in time.

        Args:
            state: as `init_state` gives it.
            x: input current `[N, *]`, of the shape that the state was made for.

        Returns:
            The next state, in its own dtype, and the output `[N, *]`, in the dtype of `x` (of the state, where
            `x` is not floating point).

        Raises:
            ValueError: `x` and the state differ in shape, or a per-neuron parameter does not broadcast to it.
        """
        x, state = jax.tree.map(jnp.asarray, (x, state))
        first = jax.tree.leaves(state)[0]
        if x.shape != first.shape:
            raise ValueError(
                f"`x` has shape {x.shape}, but the state was made for {first.shape}: use init_state({x.shape})"
            )
        check_broadcast(self, x.shape)
        h = self.charged(state, x)
        s = self.fire(h)
        return self.reset(h, s), s.astype(x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else first.dtype)

    def charged(self, state: State, x: Array) -> State:
        """`charge` in the dtypes of the state: a charge such as v + x**2 rounds as the membrane does, not as x."""
        charged = self.charge(state, x.astype(jax.tree.leaves(state)[0].dtype))
        return jax.tree.map(_in_dtype_of, state, charged)


def check_broadcast(cell: Struct, shape: Shape) -> None:
    """Raises ValueError unless all parameters broadcast to inputs of `shape`, aligned to the last axes."""
    for name, axes in cell.feature_shapes().items():
        if len(axes) > len(shape) or any(a not in (1, b) for a, b in zip(axes[::-1], shape[::-1], strict=False)):
            raise ValueError(
                f"`{name}` has shape {axes}, which does not broadcast to inputs of shape {tuple(shape)}: "
                f"give one value, or one a neuron, aligned to the last axes"
            )


class Neuron(ChargeFireReset):
    """Base of the spiking neurons: threshold and reset; a model writes `charge`.

        s = Theta(h.v - v_threshold)
        v = (1 - s) h.v + s v_reset        hard reset: v_reset is a number
        v = h.v - s v_threshold            soft reset: v_reset is None

    SpikingJelly's tutorial gives 1.0 as the default of `v_reset`; it is 0.0, there as here.

    Args:
        v_threshold: membrane potential at which the neuron fires.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold instead.
        detach_reset: True stops gradients at the spike in the reset (not at the output).
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: a threshold or reset is not finite, or `v_reset` >= `v_threshold`.
        TypeError: a field is neither a number nor an array, or `surrogate` is no surrogate.
    """

    v_threshold: float | Array = 1.0
    v_reset: float | Array | None = 0.0
    detach_reset: bool = False
    surrogate: Surrogate = Sigmoid()

    def validate(self) -> None:
        """Raises ValueError unless the thresholds are finite and in order, TypeError for a wrong surrogate."""
        check_surrogate(self.surrogate)
        check_number("v_threshold", self.v_threshold)
        if self.v_reset is not None:
            check_number("v_reset", self.v_reset, remedy="use v_reset=None for the soft reset")
            if not isinstance(self.v_threshold, Tracer):
                v_threshold = np.asarray(self.v_threshold)
                limit = f"< v_threshold = {self.v_threshold!r}"
                check_elements("v_reset", self.v_reset, lambda v: v < v_threshold, limit, "the neuron would never rest")

    @property
    def v_rest(self) -> float | Array:
        """The potential of the first membrane, to which leaky models decay: `v_reset`; 0 with the soft reset."""
        return 0.0 if self.v_reset is None else self.v_reset

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: `v` at `v_reset`, or 0 with the soft reset."""
        check_broadcast(self, shape)
        return Membrane(v=jnp.broadcast_to(jnp.asarray(self.v_rest, dtype), shape))

    def fire(self, h: State) -> Array:
        """Spikes, 0 or 1, of the charged membrane."""
        return self.surrogate(h.v - self.v_threshold)

    def reset(self, h: State, s: Array) -> State:
        """The membrane after the spikes `s`."""
        if self.detach_reset:
            s = jax.lax.stop_gradient(s)
        v = h.v - s * self.v_threshold if self.v_reset is None else (1 - s) * h.v + s * self.v_reset
        return h._replace(v=v.astype(h.v.dtype))


def _in_dtype_of(old: Array, new: Array) -> Array:
    """`new` in the dtype of `old`; random keys have no other."""
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def check_surrogate(surrogate: object) -> None:
    """Raises TypeError unless `surrogate` is an object with the methods of one."""
    description = "an object such as sx.surrogate.Sigmoid(), with `derivative` and `primitive`"
    check_type("surrogate", surrogate, Surrogate, description)
