"""The neuron that a Loihi core computes."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.cells import Neuron
from spikejax.cells.current import SynapticCurrent
from spikejax.checks import check_number
from spikejax.export.netx.fixed import DECAY_BITS, SHIFT, add_wrapping, clamp, decayed, straight_through_round
from spikejax.typing import Array, Shape, State

MAX_THRESHOLD = (1 << 17) - 1
UNIT = 1 << DECAY_BITS


class LoihiLIF(Neuron):
    """Current-based LIF in Loihi's integers, bit by bit; trainable, by straight-through gradients.

        u = wrap(leak(u, i_decay) + 64 x)          x: sums of integer weights; wraps in 24 bits
        v = clamp(leak(v, v_decay) + u)            within +-(2**23 - 1)
        s = v > 64 threshold                       strictly above
        v = 0 where s
        leak(a, d) = sgn(a) ((|a| (4096 - d)) >> 12)

    The integers follow from the parameters: i_decay = round(4096 current_decay), v_decay = round(4096 voltage_decay),
    threshold = round(scale v_threshold). One unit of the membrane is 1 / (64 scale); surrogate gradients see
    (v - 64 threshold - 1) / (64 scale). The state holds whole numbers in float32, where they are exact.

    Args:
        current_decay: share of the current that is lost in a step, within [0, 1]; 1 passes the input on at once.
        voltage_decay: share of the membrane that is lost in a step, within [0, 1]; 0 is no leak.
        scale: whole numbers that make 1.0 in the weights and the threshold, > 0.
        v_threshold: potential above which the neuron fires, in units of 1.0.
        v_reset: 0, as the chip has no other.
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold.

    Raises:
        ValueError: a decay is outside [0, 1], `scale` is not > 0, or `v_reset` is not 0.

    Source: Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning", 2018; Lava's fixed-point
    LIF, lava-nc 0.10.0.
    """

    current_decay: float | Array = 1.0
    voltage_decay: float | Array = 0.0
    scale: float = 64.0

    def validate(self) -> None:
        """Raises ValueError unless the decays are shares, the scale is > 0 and the reset goes to 0."""
        super().validate()
        for name in ("current_decay", "voltage_decay"):
            check_number(name, getattr(self, name), ge=0, le=1, remedy="it is a share a step")
        check_number("scale", self.scale, gt=0)
        if not isinstance(self.v_reset, float | int) or self.v_reset != 0:
            raise ValueError(f"`v_reset` must be 0, got {self.v_reset!r}: Loihi's membranes are reset to 0")

    @property
    def i_decay(self) -> Array:
        """Decay of the current, whole 1/4096."""
        return straight_through_round(jnp.asarray(self.current_decay, jnp.float32) * UNIT)

    @property
    def v_decay(self) -> Array:
        """Decay of the membrane, whole 1/4096."""
        return straight_through_round(jnp.asarray(self.voltage_decay, jnp.float32) * UNIT)

    @property
    def threshold(self) -> Array:
        """The threshold's mantissa, a whole number."""
        return straight_through_round(jnp.asarray(self.v_threshold, jnp.float32) * self.scale)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """No current and no potential.

        Raises:
            ValueError: `dtype` is not float32, which alone holds the chip's integers exactly and passes gradients.
        """
        if jnp.dtype(dtype) != jnp.float32:
            raise ValueError(f"`dtype` must be float32, got {jnp.dtype(dtype)}: the state holds integers of 24 bits")
        return SynapticCurrent(v=super().init_state(shape, dtype).v, i=jnp.zeros(shape, dtype))

    def charge(self, state: State, x: Array) -> State:
        """Decays, adds the weights' sum to the current, and the current to the membrane."""
        i = add_wrapping(decayed(state.i, self.i_decay), x)
        return state._replace(v=clamp(decayed(state.v, self.v_decay) + i), i=i)

    def fire(self, h: State) -> Array:
        """Spikes where the membrane is strictly above the threshold."""
        unit = 1 << SHIFT
        return self.surrogate((h.v - (self.threshold * unit + 1)) / (unit * self.scale))
