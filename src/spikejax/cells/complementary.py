"""LIF with a complementary path for gradients through time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells.base import Neuron
from spikejax.checks import check_tau
from spikejax.typing import Array, Shape, State


class Complementary(NamedTuple):
    """The state of a complementary LIF.

    Attributes:
        v: membrane potential `[N, *]`, in units of the threshold.
        m: complementary potential `[N, *]`, which counts recent spikes.
    """

    v: Array
    m: Array


class CLIF(Neuron):
    """Complementary LIF: recent spikes deepen the reset, on a path that carries gradients far back in time.

        h.v = v - v / tau + x
        h.m = m sigmoid(h.v / tau)
        m   = h.m + s
        v   = h.v - s (v_threshold + sigmoid(m))

    The input is not divided by tau, and the reset is soft.

    Args:
        tau: membrane time constant in steps, > 1.
        v_threshold: potential at which the neuron fires.
        v_reset: None, the soft reset; the complementary potential has no part in a hard one.
        detach_reset: True stops gradients at the spike in the reset of both variables.
        surrogate: the surrogate gradient of the threshold; the paper has `Rect()`.

    Raises:
        ValueError: `tau` <= 1, or `v_reset` is not None.

    Source: Huang, Lin, Ren, Fu, Zhou, Liu, Pan, Cheng, "CLIF: Complementary Leaky Integrate-and-Fire Neuron for Spiking
    Neural Networks", 2024, eq. 10 to 14. SpikingJelly's ComplementaryLIFNode has no `detach_reset`.
    """

    tau: float | Array = 2.0
    v_reset: None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def validate(self) -> None:
        """Raises ValueError unless `tau` > 1 and the reset is soft."""
        super().validate()
        check_soft(self)
        check_tau("tau", self.tau, gt=1)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The state before the first step: both potentials 0."""
        return Complementary(v=super().init_state(shape, dtype).v, m=jnp.zeros(shape, dtype))

    def charge(self, state: State, x: Array) -> State:
        """Leaks and adds the input; lets the complementary potential decay by the charged membrane."""
        v = state.v - state.v / self.tau + x
        return state._replace(v=v, m=state.m * jax.nn.sigmoid(v / self.tau))

    def reset(self, h: State, s: Array) -> State:
        """Both potentials after the spikes `s`."""
        if self.detach_reset:
            s = jax.lax.stop_gradient(s)
        m = h.m + s
        v = h.v - s * (self.v_threshold + jax.nn.sigmoid(m))
        return h._replace(v=v.astype(h.v.dtype), m=m.astype(h.m.dtype))


def check_soft(cell: Neuron) -> None:
    """Raises ValueError unless the neuron resets softly."""
    if cell.v_reset is not None:
        raise ValueError(
            f"`v_reset` must be None, got {cell.v_reset!r}: {type(cell).__name__} has the soft reset only, which "
            f"subtracts the threshold"
        )
