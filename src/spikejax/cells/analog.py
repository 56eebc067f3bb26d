"""A neuron with spikes inside and analog values outside."""

from collections.abc import Callable
from typing import Literal

import jax

from spikejax.cells.leaky import LIF
from spikejax.typing import Array, State


class LIAF(LIF):
    """Leaky integrate and analog fire: spikes reset the membrane, the output is an activation of it.

        h = charge of LIF
        output = act(h - v_threshold)      threshold_related=True
        output = act(h)                    threshold_related=False
        s = Theta(h - v_threshold)         used in the reset alone

    The output is not binary, so layers that expect spikes, and chips, do not take it. SpikingJelly 2.0.0 gives it in
    single steps only: over many steps its LIAFNode puts out the spikes of its LIFNode.

    Args:
        act: activation, the name of an elementwise function in `jax.nn`, or such a function. Cells with a name compare
            equal, print and pickle by it.
        threshold_related: whether the activation sees the membrane less the threshold.
        tau: membrane time constant in steps, > 1.
        decay_input: True divides the input by tau too.
        v_threshold: potential at which the neuron is reset.
        v_reset: potential after a spike, and rest; None subtracts the threshold (soft reset).
        detach_reset: True stops gradients at the spike in the reset.
        surrogate: the surrogate gradient of the threshold, in the reset.

    Raises:
        ValueError: `tau` <= 1, or jax.nn has no function of that name.
        TypeError: `act` is neither a name nor a function.

    Source: Wu, Zhang, Lin, Li, Wang, Tang, "LIAF-Net: Leaky Integrate and Analog Fire Network for Lightweight and
    Efficient Spatiotemporal Information Processing", 2021, eq. 5 to 8. SpikingJelly's LIAFNode has no defaults for
    `act` and `threshold_related`.
    """

    act: str | Callable[[Array], Array] = "relu"
    threshold_related: bool = True

    def validate(self) -> None:
        """Raises unless `act` is a function, or the name of one, and the parameters are in range."""
        super().validate()
        if isinstance(self.act, str) and not callable(getattr(jax.nn, self.act, None)):
            raise ValueError(f"`act` must name a function of jax.nn, such as 'relu', got {self.act!r}")
        if not isinstance(self.act, str) and not callable(self.act):
            raise TypeError(f"`act` must be a function, or a name such as 'relu', got {self.act!r}")

    @property
    def output_kind(self) -> Literal["analog"]:
        """The kind of the output: any number."""
        return "analog"

    def fire(self, h: State) -> Array:
        """The activation of the charged membrane."""
        act = getattr(jax.nn, self.act) if isinstance(self.act, str) else self.act
        return act(h.v - self.v_threshold if self.threshold_related else h.v)

    def fired(self, h: State, s: Array) -> Array:
        """True where the membrane reaches the threshold, whatever the output."""
        return self.surrogate(h.v - self.v_threshold) >= 0.5

    def reset(self, h: State, s: Array) -> State:
        """The membrane after its spikes; the analog output `s` has no part in it."""
        return super().reset(h, self.surrogate(h.v - self.v_threshold))
