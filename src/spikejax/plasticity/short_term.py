"""Short-term plasticity: synapses that tire and recover."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.checks import check_number, check_tau
from spikejax.pytree import Struct
from spikejax.typing import Array, Shape


class Resources(NamedTuple):
    """The state of a short-term synapse.

    Attributes:
        u: share of the resources that the next spike will use `[N, *]`.
        r: share of the resources that is left `[N, *]`.
    """

    u: Array
    r: Array


class TsodyksMarkram(Struct):
    """Short-term depression and facilitation of spikes on their way to a synapse; itself a cell.

        u' = u[t-1] exp(-1/tau_facilitation)            r' = 1 - (1 - r[t-1]) exp(-1/tau_depression)
        u[t] = u' + U (1 - u') s[t]
        y[t] = u[t] r' s[t]                             r[t] = r' - y[t]

    Put it before the synapse, `Sequential(TsodyksMarkram(), nnx.Linear(64, 10, rngs=rngs), sx.LIF())`; each input has
    resources of its own. Depression prevails where tau_depression is the longer one, else facilitation.

    Args:
        U: share of the resources that a first spike uses, within (0, 1].
        tau_facilitation: time in which u decays, in steps, > 0.
        tau_depression: time in which the resources recover, in steps, > 0.

    Raises:
        ValueError: an argument leaves its range.

    Source: Tsodyks, Pawelzik and Markram, "Neural networks with dynamic synapses", 1998, eqs. 2.1-2.5, with the
    release as an instant.
    """

    U: float | Array = 0.5
    tau_facilitation: float | Array = 1.0
    tau_depression: float | Array = 100.0

    def validate(self) -> None:
        """Raises ValueError unless 0 < U <= 1 and the time constants are > 0."""
        check_number("U", self.U, gt=0, le=1)
        for name in ("tau_facilitation", "tau_depression"):
            check_tau(name, getattr(self, name), gt=0)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> Resources:
        """Rested synapses, for spikes of `shape` `[N, *]`; `key` is not needed."""
        return Resources(jnp.zeros(shape, dtype), jnp.ones(shape, dtype))

    def step(self, state: Resources, x: Array) -> tuple[Resources, Array]:
        """One step: spikes `x` `[N, *]` to the share of each that arrives, within [0, 1]."""
        u = state.u * jnp.exp(-1 / jnp.asarray(self.tau_facilitation))
        r = 1 - (1 - state.r) * jnp.exp(-1 / jnp.asarray(self.tau_depression))
        u = u + self.U * (1 - u) * x
        y = u * r * x
        return Resources(u.astype(state.u.dtype), (r - y).astype(state.r.dtype)), y.astype(x.dtype)
