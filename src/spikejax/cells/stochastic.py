"""Escape noise: spikes drawn by chance around any neuron."""

from collections.abc import Callable
from dataclasses import field
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from spikejax.cells.base import ChargeFireReset, check_broadcast
from spikejax.checks import check_elements, check_type
from spikejax.surrogate import SurrogateFunction
from spikejax.typing import Array, Cell, Shape, State, Surrogate


class StochasticState(NamedTuple):
    """The state of a neuron with escape noise: the draw of step t follows from the key and t alone.

    Attributes:
        cell: the state of the neuron itself.
        key: a `jax.random.key`, shape `()`, the same at every step.
        t: steps taken so far, uint32, shape `()`.
        uniform: the numbers of the last charge, from [0, 1), `[N, *]`, at least float32.
    """

    cell: State
    key: Array
    t: Array
    uniform: Array

    shared = ("key", "t")

    @property
    def v(self) -> Array:
        """The membrane of the neuron."""
        return self.cell.v


class Stochastic(ChargeFireReset):
    """A neuron with escape noise: it fires by chance, the likelier the higher its membrane.

        P(s = 1) = escape(u)      u = h.v - v_threshold, or another argument that the neuron gives its surrogate

    Gradients are those of the neuron's surrogate, which by default is the slope of P: its `primitive` is the
    probability.

    Args:
        cell: the neuron, with a `surrogate`, any `ChargeFireReset`; it may be a wrapper itself.
        escape: from u `[N, *]` to probabilities; None takes the primitive of the neuron's surrogate.

    Raises:
        ValueError: the escape function, or the surrogate's primitive, leaves [0, 1], or there is no primitive.
        TypeError: `cell` is no `ChargeFireReset`, or has no surrogate.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, section 9.1 (escape noise): a hazard rate
    rho(u) in steps of length 1 is `escape = lambda u: 1 - jnp.exp(-rho(u))`, eq. 9.8.
    """

    cell: ChargeFireReset = field(kw_only=False)
    escape: Callable[[Array], Array] | None = field(default=None, kw_only=False)

    def validate(self) -> None:
        """Raises ValueError unless the escape function gives probabilities, TypeError for a cell without spikes."""
        check_type("cell", self.cell, ChargeFireReset, "a neuron such as sx.LIF(), in charge, fire and reset")
        surrogate = surrogate_of(self.cell)
        name = f"{type(surrogate).__name__}.primitive" if self.escape is None else "escape"
        u = np.concatenate((-np.logspace(-3, 3, 50), [0.0], np.logspace(-3, 3, 50)))
        try:
            escape = self.escape or surrogate.primitive
            with jax.ensure_compile_time_eval():
                p = jax.vmap(escape)(jnp.asarray(u, jnp.float32))
        except NotImplementedError as error:
            raise ValueError(f"{error}; or give `escape`, the probability of a spike") from error
        check_elements(
            name, p, lambda p: (p >= 0) & (p <= 1), "within [0, 1]", "it is the probability of a spike: give `escape`"
        )

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> StochasticState:
        """The state before the first step.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: dtype of the neuron's state.
            key: a `jax.random.key`.

        Raises:
            ValueError: `key` is None.
        """
        if key is None:
            raise ValueError(
                "`key` must be given, because Stochastic draws its spikes: pass "
                "state=net.init_state(shape, key=jax.random.key(0)) to run"
            )
        check_broadcast(self, shape)
        draws, inner = jax.random.split(key)
        uniform = jnp.zeros(shape, jnp.promote_types(dtype, jnp.float32))
        return StochasticState(self.cell.init_state(shape, dtype, key=inner), draws, jnp.zeros((), jnp.uint32), uniform)

    @property
    def output_kind(self) -> Literal["spikes", "counts", "analog"]:
        """As of the neuron."""
        return self.cell.output_kind

    def charge(self, state: StochasticState, x: Array) -> StochasticState:
        """The neuron's charge, and the numbers that decide whether it fires."""
        uniform = jax.random.uniform(jax.random.fold_in(state.key, state.t), x.shape, state.uniform.dtype)
        return state._replace(cell=self.cell.charge(state.cell, x), t=state.t + 1, uniform=uniform)

    def fire(self, h: StochasticState) -> Array:
        """Spikes, drawn."""
        return self._noisy(h).fire(h.cell)

    def fired(self, h: StochasticState, s: Array) -> Array:
        """True where the neuron fired, by the same draw."""
        return self._noisy(h).fired(h.cell, s)

    def reset(self, h: StochasticState, s: Array) -> StochasticState:
        """The neuron's reset after the spikes `s`."""
        return h._replace(cell=self._noisy(h).reset(h.cell, s))

    def _noisy(self, h: StochasticState) -> ChargeFireReset:
        """The neuron with a surrogate that decides by the numbers of this step."""
        surrogate = surrogate_of(self.cell)
        return _with_surrogate(
            self.cell, _Draw(surrogate, self.escape, h.uniform, spiking=getattr(surrogate, "spiking", True))
        )


class _Draw(SurrogateFunction):
    """A surrogate whose spikes are drawn: 1 where a uniform number lies below the probability."""

    surrogate: Surrogate
    escape: Callable[[Array], Array] | None
    uniform: Array

    def spike(self, u: Array) -> Array:
        """The drawn spikes."""
        return self.uniform < (self.escape or self.surrogate.primitive)(u.astype(self.uniform.dtype))

    def derivative(self, u: Array) -> Array:
        """The slope of the neuron's surrogate."""
        return self.surrogate.derivative(u)

    def primitive(self, u: Array) -> Array:
        """The probability."""
        return (self.escape or self.surrogate.primitive)(u)


def surrogate_of(cell: Cell) -> Surrogate:
    """The surrogate of a neuron, or of the neuron that a wrapper holds.

    Raises:
        TypeError: there is none.
    """
    surrogate, wrapped = getattr(cell, "surrogate", None), getattr(cell, "cell", None)
    if surrogate is None and isinstance(wrapped, ChargeFireReset):
        return surrogate_of(wrapped)
    if surrogate is None:
        raise TypeError(
            f"`cell` must be a neuron with a `surrogate`, got {cell!r}: without a threshold none is crossed"
        )
    return surrogate


def _with_surrogate(cell: ChargeFireReset, surrogate: Surrogate) -> ChargeFireReset:
    """The same neuron with another surrogate, at any depth of wrappers."""
    wrapped = None if hasattr(cell, "surrogate") else getattr(cell, "cell", None)
    return (
        cell.replace(surrogate=surrogate) if wrapped is None else cell.replace(cell=_with_surrogate(wrapped, surrogate))
    )
