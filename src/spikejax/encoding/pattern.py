"""Spikes in patterns that repeat: given ones, and the bits of a number."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from spikejax.checks import check_integer, check_number
from spikejax.encoding.timed import StepIndex, Timed, within
from spikejax.pytree import Struct
from spikejax.typing import Array, Shape


@dataclass(frozen=True, init=False, eq=False)
class Periodic(Timed):
    """Repeats fixed spikes, whatever the input.

        s[t] = spikes[t mod T]

    The input must have the shape of one step of the spikes, and gives the dtype; its values are not looked at. The
    spikes are a constant of the network, not a parameter.

    Args:
        spikes: `[T, N, *]`, or `[T, *]` to be the same for every sample; finite.

    Raises:
        ValueError: `spikes` has no time step or no axis besides time, or is not finite; an input of another shape.

    SpikingJelly: `PeriodicEncoder`.
    """

    spikes: np.ndarray

    def __init__(self, spikes: ArrayLike) -> None:
        values = np.array(spikes)
        if values.ndim < 2 or not values.shape[0]:
            raise ValueError(
                f"`spikes` must be [T, N, *], time first, with at least one step, got shape {values.shape}"
            )
        check_number("spikes", values, remedy="give 0 and 1")
        values.flags.writeable = False
        object.__setattr__(self, "spikes", values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Periodic):
            return NotImplemented
        return self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __repr__(self) -> str:
        return f"Periodic(spikes={self.spikes.dtype}{list(self.spikes.shape)})"

    @property
    def _content(self) -> tuple[Shape, str, bytes]:
        return self.spikes.shape, self.spikes.dtype.str, self.spikes.tobytes()

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> StepIndex:
        """Step 0, for inputs of `shape` `[N, *]`."""
        self._fit(tuple(shape))
        return super().init_state(shape, dtype, key=key)

    def checked(self, x: Array) -> Array:
        """The input as it is."""
        return jnp.asarray(x)

    def encode(self, t: Array, x: Array) -> Array:
        """The spikes of step `t`."""
        self._fit(x.shape)
        now = jnp.asarray(self.spikes)[t % len(self.spikes)]
        return jnp.broadcast_to(now, x.shape).astype(x.dtype)

    def _fit(self, shape: Shape) -> None:
        one_step = self.spikes.shape[1:]
        if shape not in (one_step, (*shape[:1], *one_step)):
            raise ValueError(
                f"`spikes` of shape {self.spikes.shape} does not fit an input of shape {shape}, time apart"
            )


class WeightedPhase(Timed, Struct):
    """Weighted phase coding: the bits of the value, one a step, the most significant first.

        s[t] = bit k of x = floor(2^k x) mod 2,    k = (t mod K) + 1

    A spike at phase k weighs 2^-k: over one period the weighted spikes sum to x, rounded down to K bits. After K steps
    it begins again. Spikes have no gradient with respect to `x`. Values outside [0, 1 - 2^-K] are refused where they
    can be seen, that is outside `jit`; inside it, only their bits below the point are encoded.

    Args:
        K: phases of a period, an integer from 1 to 24, the bits of a float32.

    Raises:
        ValueError: `K` is out of range; a value outside [0, 1 - 2^-K] when it is encoded.

    Source: Kim et al., "Deep neural networks with weighted spikes", 2018.

    SpikingJelly: `WeightedPhaseEncoder`.
    """

    K: int

    def validate(self) -> None:
        """Raises ValueError unless K is a number of bits."""
        check_integer("K", self.K, le=24, remedy="it is the number of bits of a value, and float32 has 24")

    @property
    def weights(self) -> np.ndarray:
        """The weight of a spike in each phase, `[K]`: 2^-1 to 2^-K."""
        return 0.5 ** np.arange(1, self.K + 1)

    def checked(self, x: Array) -> Array:
        """The input, within [0, 1 - 2^-K]."""
        high = 1 - 0.5**self.K
        return within(x, high, f"{self.K} bits reach no further: scale the input, as in x * {high:g}")

    def encode(self, t: Array, x: Array) -> Array:
        """The spikes of step `t`."""
        value = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        bits = jnp.ldexp(value, (t % self.K).astype(jnp.int32) + 1)
        return (jnp.floor(bits) % 2).astype(x.dtype)
