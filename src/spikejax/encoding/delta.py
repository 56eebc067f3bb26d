"""Changes to spikes."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from spikejax.checks import check_number, check_option
from spikejax.encoding.timed import Encoder, floating
from spikejax.pytree import Struct
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Shape


class LastInput(NamedTuple):
    """The state of an encoder of changes.

    Attributes:
        x: the value `[N, *]` that the next input is compared with.
    """

    x: Array


class DeltaModulation(Encoder, Struct):
    """Delta modulation: spikes where the input has changed by more than the threshold.

        d[t] = x[t] - r[t]
        s[t] = 1 where d[t] > threshold                     off: -1 where d[t] < -threshold
        r[t+1] = x[t]                                       since="step"
        r[t+1] = x[t] where s[t] != 0, else r[t]            since="spike"

    r[0] is 0, so that the first input fires as a change from nothing; to begin without that, put the first input into
    the state: `LastInput(x)`. A slow drift never fires with since="step", and fires whenever it adds up to the
    threshold with since="spike", as a pixel of an event camera does. Spikes have no gradient with respect to `x`.

    Args:
        threshold: change that fires, > 0, in units of the input.
        off: what a fall gives: "none"; "signed", spikes of -1; or "channels", spikes in channels of their own, so that
            the last axis `C` becomes `2 C`, rises first.
        since: what a change is measured against: the last "step", or the input at the last "spike".

    Raises:
        ValueError: `threshold` is not > 0, or another argument is unknown.
        TypeError: the input is not floating point.

    Source: Lichtsteiner, Posch and Delbruck, "A 128x128 120 dB 15 us latency asynchronous temporal contrast vision
    sensor", 2008, for since="spike"; snnTorch's `spikegen.delta` is since="step".
    """

    threshold: float
    off: Literal["none", "signed", "channels"] = "none"
    since: Literal["step", "spike"] = "step"

    def validate(self) -> None:
        """Raises ValueError unless the threshold is a change and the ways are known."""
        check_number("threshold", self.threshold, gt=0, remedy="it is the change that fires")
        for name, known in (("off", ("none", "signed", "channels")), ("since", ("step", "spike"))):
            check_option(name, getattr(self, name), known)

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> LastInput:
        """A last input of 0, for inputs of `shape` `[N, *]`; `key` is not needed."""
        return LastInput(jnp.zeros(shape, dtype))

    def step(self, state: LastInput, x: Array) -> tuple[LastInput, Array]:
        """The spikes of one step, `x` `[N, *]`."""
        x = floating(x, "")
        value = x.astype(state.x.dtype)
        sign = self._sign(value - state.x)
        last = value if self.since == "step" else jnp.where(sign != 0, value, state.x)
        return LastInput(last), self._spikes(sign, x)

    def steps(self, state: LastInput, xs: Sequence) -> tuple[LastInput, Steps]:
        """The spikes of many steps, at once with since="step"."""
        if self.since == "spike":
            state, spikes = xs.scan(lambda state, x, _: self.step(state, x), state)
            return state, Steps(spikes)
        x = floating(xs.all(), "")
        values = jnp.concatenate([state.x[None], x.astype(state.x.dtype)])
        return LastInput(values[-1]), Steps(self._spikes(self._sign(values[1:] - values[:-1]), x))

    def _sign(self, change: Array) -> Array:
        """1 for a rise that counts, -1 for a fall, where falls count."""
        change = lax.stop_gradient(change)
        rise = (change > self.threshold).astype(jnp.int8)
        return rise if self.off == "none" else rise - (change < -self.threshold).astype(jnp.int8)

    def _spikes(self, sign: Array, x: Array) -> Array:
        if self.off == "channels":
            sign = jnp.concatenate([sign > 0, sign < 0], -1)
        return sign.astype(x.dtype)
