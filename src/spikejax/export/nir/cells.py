"""NIR's nodes as neurons."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from spikejax.cells import IF, LIF, ChargeFireReset, CubaLIF, LeakyIntegrator
from spikejax.export.nir.convention import just_above
from spikejax.typing import Array

IfGain = Literal["auto", "r", "r*dt"]
FieldValue = float | Array

FLOAT32_ROUNDING = 2e-7
"""Relative error of a number that went through float32 once or twice."""


@dataclass(frozen=True)
class NodeContext:
    """A node with its place in the graph.

    Args:
        name: its name in the graph.
        node: NIR's node.
        shape: shape of one sample that goes in, channels first.
        order: place in NIR of each feature of a flattened image; None where there is none, or both agree.
        dt: length of a step in seconds.
        if_gain: meaning of r of IF and I.
    """

    name: str
    node: Any
    shape: tuple[int, ...]
    order: np.ndarray | None
    dt: float
    if_gain: IfGain

    def error(self, field: str, value: object, limit: str, remedy: str) -> ValueError:
        """The error of a field of the node."""
        kind = type(self.node).__name__
        return ValueError(f"node {self.name!r} ({kind}): `{field}` must be {limit}, got {value}: {remedy}")

    def field(self, name: str) -> np.ndarray:
        """A parameter of the neurons, in double precision, in full."""
        value = np.asarray(getattr(self.node, name), np.float64)
        if value.size == 1:
            value = np.broadcast_to(value.reshape(()), self.shape)
        if value.shape != self.shape:
            raise self.error(name, f"shape {value.shape}", f"of shape {self.shape}", "every neuron has its own value")
        if not np.isfinite(value).all():
            raise self.error(
                name, f"{value[~np.isfinite(value)][0]}", "finite", "I and IF are the nodes without a leak"
            )
        return value

    def value(self, full: np.ndarray) -> FieldValue:
        """As fields of cells have it: a number where all neurons agree, else one value a channel, or a neuron."""
        values = np.moveaxis(full, 0, -1) if self.order is None else full[self.order]
        flat = values.reshape(-1, values.shape[-1])
        if (flat == flat[0, 0]).all():
            return short(float(flat[0, 0]))
        return jnp.asarray(flat[0] if (flat == flat[0]).all() else values, jnp.float32)

    def threshold(self, name: str = "v_threshold") -> FieldValue:
        """The next larger number: NIR fires above its threshold, spikejax at it."""
        return self.value(just_above(self.field(name)))


@dataclass(frozen=True)
class Read:
    """The neurons of a node: `cells` one after another, and the gain of what goes into each."""

    cells: tuple[ChargeFireReset, ...]
    gains: tuple[FieldValue, ...]


def neurons(context: NodeContext) -> Read:
    """The cells that compute what the node does in steps of dt.

    Raises:
        ValueError: a parameter is out of the range of spikejax's cells.
    """
    try:
        return READERS[type(context.node).__name__](context)
    except ValueError as error:
        if str(error).startswith("node "):
            raise
        raise ValueError(f"node {context.name!r} ({type(context.node).__name__}), in steps of dt: {error}") from error


def short(value: float) -> float:
    """The number of six digits that is `value` in float32, or else `value`."""
    digits = float(f"{value:.6g}")
    return digits if np.float32(digits) == np.float32(value) else value


def rounded(values: np.ndarray) -> np.ndarray:
    """The numbers of six digits, where the values are these but for the rounding of float32."""
    unit = 10.0 ** (np.floor(np.log10(np.maximum(abs(values), np.finfo(np.float32).tiny))) - 5)
    digits = np.round(values / unit) * unit
    return np.where(abs(digits - values) <= FLOAT32_ROUNDING / 2 * abs(values), digits, values)


def all_equal(a: np.ndarray, b: np.ndarray | float) -> bool:
    """Equal but for the rounding of float32."""
    return bool(np.isclose(a, b, rtol=FLOAT32_ROUNDING, atol=0).all())


def _in_steps(context: NodeContext, name: str) -> np.ndarray:
    """A time constant in steps, >= 1."""
    tau = context.field(name) / context.dt
    if (tau < 1 - FLOAT32_ROUNDING).any():
        least = f">= dt = {context.dt}"
        raise context.error(
            name, f"{tau.min() * context.dt:.6g}", least, "a step may not overshoot: give a smaller `dt`"
        )
    return rounded(tau)


def _gain(context: NodeContext, gain: np.ndarray) -> FieldValue:
    return context.value(rounded(gain))


def _integrator_gain(context: NodeContext) -> FieldValue:
    """By the equation r dt; r where the writer meant steps, which it is taken to have where r dt < 1 / 2."""
    r = context.field("r")
    by_equation = context.if_gain == "r*dt" or (context.if_gain == "auto" and bool((r >= 0.5 / context.dt).all()))
    return _gain(context, r * context.dt if by_equation else r)


def _if(context: NodeContext) -> Read:
    cell = IF(v_threshold=context.threshold(), v_reset=context.value(context.field("v_reset")))
    return Read((cell,), (_integrator_gain(context),))


def _i(context: NodeContext) -> Read:
    return Read((LeakyIntegrator(tau=math.inf, decay_input=False),), (_integrator_gain(context),))


def _leaky_gain(context: NodeContext, tau: np.ndarray, r: np.ndarray) -> tuple[bool, FieldValue]:
    """True if the input is divided by tau, and its gain besides."""
    return (False, 1.0) if all_equal(r, tau) and not all_equal(r, 1.0) else (True, _gain(context, r))


def _integrator(context: NodeContext, tau: np.ndarray, r: np.ndarray) -> tuple[LeakyIntegrator, FieldValue]:
    decay_input, gain = _leaky_gain(context, tau, r)
    return LeakyIntegrator(tau=context.value(tau), decay_input=decay_input), gain


def _without_v_leak(context: NodeContext) -> None:
    v_leak = context.field("v_leak")
    if v_leak.any():
        raise context.error(
            "v_leak", f"{v_leak.min()} to {v_leak.max()}", "0", "add v_leak / r to the bias of the weights before it"
        )


def _li(context: NodeContext) -> Read:
    _without_v_leak(context)
    cell, gain = _integrator(context, _in_steps(context, "tau"), context.field("r"))
    return Read((cell,), (gain,))


def _cuba_li(context: NodeContext) -> Read:
    """Two leaky integrators, the current and the membrane."""
    _without_v_leak(context)
    i, w_in = _integrator(context, _in_steps(context, "tau_syn"), context.field("w_in"))
    v, r = _integrator(context, _in_steps(context, "tau_mem"), context.field("r"))
    return Read((i, v), (w_in, r))


def _lif(context: NodeContext) -> Read:
    """LIF; where v_leak is not v_reset, the CubaLIF whose current is its input."""
    tau, r, v_leak, v_reset = (_in_steps(context, "tau"), *map(context.field, ("r", "v_leak", "v_reset")))
    shared: Any = {"tau": context.value(tau), "v_threshold": context.threshold(), "v_reset": context.value(v_reset)}
    if (v_leak == v_reset).all() and (tau > 1).all():
        decay_input, gain = _leaky_gain(context, tau, r)
        return Read((LIF(**shared, decay_input=decay_input),), (gain,))
    cell = CubaLIF(**shared, tau_syn=1.0, decay_input=True, r=_gain(context, r), v_rest=context.value(v_leak))
    return Read((cell,), (1.0,))


def _cuba_lif(context: NodeContext) -> Read:
    """With decay_input=False where r = tau_mem / dt, so that both gains are those of one step."""
    tau_syn, tau = _in_steps(context, "tau_syn"), _in_steps(context, "tau_mem")
    w_in, r = context.field("w_in"), context.field("r")
    decay_input = not all_equal(r, tau)
    cell = CubaLIF(
        tau_syn=context.value(tau_syn),
        tau=context.value(tau),
        decay_input=decay_input,
        w_in=_gain(context, w_in if decay_input else w_in / tau_syn),
        r=_gain(context, r) if decay_input else 1.0,
        v_rest=context.value(context.field("v_leak")),
        v_threshold=context.threshold(),
        v_reset=context.value(context.field("v_reset")),
    )
    return Read((cell,), (1.0,))


def _threshold(context: NodeContext) -> Read:
    """A CubaLIF that keeps nothing: its current is its input, its membrane the current."""
    v_reset = context.value(np.minimum(0.0, context.field("threshold") - 1))
    memoryless: Any = {"tau_syn": 1.0, "tau": 1.0, "decay_input": True}
    return Read((CubaLIF(**memoryless, v_threshold=context.threshold("threshold"), v_reset=v_reset),), (1.0,))


READERS: dict[str, Callable[[NodeContext], Read]] = {
    "I": _i,
    "IF": _if,
    "LI": _li,
    "LIF": _lif,
    "CubaLI": _cuba_li,
    "CubaLIF": _cuba_lif,
    "Threshold": _threshold,
}
