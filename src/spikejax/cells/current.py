"""A neuron driven by a synaptic current."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.base import check_broadcast
from spikejax.cells.nonlinear import RestingNeuron, first_membrane
from spikejax.checks import check_number, check_tau
from spikejax.typing import Array, Shape, State


class SynapticCurrent(NamedTuple):
    """The state of a neuron driven by a synaptic current.

    Attributes:
        v: membrane potential `[N, *]`, in units of the threshold.
        i: synaptic current `[N, *]`, in units of the membrane.
    """

    v: Array
    i: Array


class CubaLIF(RestingNeuron):
    """Current-based LIF: the input charges a synaptic current, the current the membrane.

        i   = i + (w_in x - i) / tau_syn             decay_input=True
        h.v = v + (r i - (v - v_rest)) / tau
        i   = i - i / tau_syn + w_in x               decay_input=False
        h.v = v - (v - v_rest) / tau + r i

    The membrane sees the new current; a spike leaves the current as it is. By its parameters it is

    - SpikingJelly's CUBALIFNode(c_decay, v_decay): `tau_syn=1 / (1 - c_decay)`, `tau=1 / (1 - v_decay)` (2 and 4 by
      its defaults, which are the defaults here too, but for its v_threshold of 0.5);
    - Lava's CUBA(du, dv): `tau_syn=1 / du`, `tau=1 / dv` (dv = 0 is `tau=float("inf")`), v_reset=0.0, without the
      bias; Lava fires above its threshold, not at it;
    - NIR's CubaLIF: `decay_input=True`, with its tau_syn, tau_mem, w_in, r over dt, v_rest = v_leak.

    Args:
        tau_syn: time constant of the current in steps, >= 1; 1 passes the input on at once.
        tau: membrane time constant in steps, >= 1; infinity integrates without a leak.
        decay_input: True divides what enters the current by tau_syn, and what enters the membrane by tau.
        w_in: gain of the input, finite.
        r: gain of the current, finite.
        v_rest: potential that the membrane decays to, finite.
        v_threshold: potential at which the neuron fires.
        v_reset: potential after a spike, < v_threshold; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: a time constant is < 1, or a gain or potential is not finite.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, eq. 1.5 with the synaptic current of eq. 3.1;
    Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning", 2018.
    """

    tau_syn: float | Array = 2.0
    tau: float | Array = 4.0
    decay_input: bool = False
    w_in: float | Array = 1.0
    r: float | Array = 1.0

    def validate(self) -> None:
        """Raises ValueError unless the time constants are >= 1 and the gains finite."""
        super().validate()
        for name in ("tau_syn", "tau"):
            check_tau(name, getattr(self, name), ge=1)
        for name in ("w_in", "r"):
            check_number(name, getattr(self, name))

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: `v` at `v_reset`, or 0 with the soft reset; no current."""
        check_broadcast(self, shape)
        return SynapticCurrent(v=first_membrane(self, shape, dtype), i=jnp.zeros(shape, dtype))

    def charge(self, state: State, x: Array) -> State:
        """Charges the current, then the membrane."""
        into_current = self.w_in * x / self.tau_syn if self.decay_input else self.w_in * x
        i = state.i - state.i / self.tau_syn + into_current
        into_membrane = self.r * i / self.tau if self.decay_input else self.r * i
        return state._replace(v=state.v - (state.v - self.v_rest) / self.tau + into_membrane, i=i)
