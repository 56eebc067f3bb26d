"""One row a cell: how to build it, and its equations a second time, in float64 NumPy.

The laws of test_laws.py hold for every row. A cell with more than one state variable writes its own `step`,
and leaves `slopes` out, since the product through the reset in reference.py is that of one variable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import spikejax as sx

TAU = 2.5
TAUS = (1.5, 2.5, 4.0, 8.0)
W = 0.3
V_THRESHOLD = 1.0
STEPS, BATCH, FEATURES = 13, 2, len(TAUS)


class Triangle(sx.surrogate.SurrogateFunction):
    """A user's own surrogate: a derivative and nothing else."""

    def derivative(self, u):
        return jnp.maximum(0, 1 - abs(u))


class SquareIF(sx.Neuron):
    """A user's own neuron: a charge and nothing else."""

    def charge(self, state, x):
        return state._replace(v=state.v + x**2)


class Variant(NamedTuple):
    """How a neuron resets, and what gradients see."""

    v_reset: float | None = 0.0
    detach_reset: bool = False
    surrogate: sx.surrogate.SurrogateFunction = sx.surrogate.Sigmoid()

    @property
    def v_rest(self) -> float:
        return self.v_reset or 0.0

    def __str__(self) -> str:
        return f"{type(self.surrogate).__name__}-vr{self.v_reset}-det{int(self.detach_reset)}"


RESETS = (0.0, 0.2, None)
VARIANTS = tuple(
    Variant(v_reset, detach, surrogate)
    for v_reset in RESETS
    for detach in (False, True)
    for surrogate in (sx.surrogate.Sigmoid(), sx.surrogate.ATan())
)
HARD, SOFT = VARIANTS[4], Variant(None, True, Triangle())


def surrogate_slope(surrogate: sx.surrogate.SurrogateFunction, u: np.ndarray) -> np.ndarray:
    match surrogate:
        case sx.surrogate.Sigmoid(alpha=alpha):
            return alpha / 4 / np.cosh(alpha * u / 2) ** 2
        case sx.surrogate.ATan(alpha=alpha):
            return 2 * alpha / (4 + (np.pi * alpha * u) ** 2)
        case Triangle():
            return np.where(abs(u) < 1, 1 - abs(u), 0)
    raise NotImplementedError(surrogate)


class Step(NamedTuple):
    """What one NumPy step gives: the next state, the charged membrane, the output."""

    state: tuple[np.ndarray, ...]
    h: np.ndarray
    s: np.ndarray


@dataclass(frozen=True)
class Row:
    """One cell.

    Attributes:
        cell: the class.
        build: the cell of a variant.
        step: one step `(state, x, variant)` in NumPy.
        slopes: `(v, x, v_rest)` to dH/dV, dH/dX, and dH/dp of the array parameter p.
        parameter: name of p.
        golden: name among the golden values.
        fires: whether the output is a spike; else it is the membrane.
        note: tells rows of one class apart.
    """

    cell: type
    build: Callable[[Variant], Any]
    step: Callable[[tuple[np.ndarray, ...], np.ndarray, Variant], Step]
    slopes: Callable[[np.ndarray, np.ndarray, float], tuple[Any, Any, Any]] | None = None
    parameter: str | None = None
    golden: str | None = None
    fires: bool = True
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.cell.__name__}{self.note and '-' + self.note}"

    @property
    def variants(self) -> tuple[Variant, ...]:
        return (*VARIANTS[::2], SOFT) if self.fires else (HARD,)


def neuron(charge: Callable[[np.ndarray, np.ndarray, float], np.ndarray]):
    """The NumPy step of a spiking neuron of one variable."""

    def step(state: tuple[np.ndarray, ...], x: np.ndarray, variant: Variant) -> Step:
        h = charge(state[0], x, variant.v_rest)
        s = np.where(h >= V_THRESHOLD, 1.0, 0.0)
        v = h - V_THRESHOLD * s if variant.v_reset is None else np.where(s == 1, variant.v_reset, h)
        return Step((v,), h, s)

    return step


def leaky(rate: Any, decay_input: bool):
    """Charge and slopes, the last towards `rate` = 1 / tau, of the leaky membrane."""

    def charge(v, x, rest):
        return (1 - rate) * v + rate * rest + (rate * x if decay_input else x)

    def slopes(v, x, rest):
        return 1 - rate, rate if decay_input else 1.0, rest - v + (x if decay_input else 0.0)

    return charge, slopes


def chain(slopes, factor):
    """`slopes` with the last towards p, where d rate / dp is `factor`."""

    def chained(v, x, rest):
        dv, dx, drate = slopes(v, x, rest)
        return dv, dx, drate * factor

    return chained


def lif(decay_input: bool) -> Row:
    charge, slopes = leaky(1 / TAU, decay_input)
    return Row(
        sx.LIF,
        lambda v: sx.LIF(tau=TAU, decay_input=decay_input, **v._asdict()),
        neuron(charge),
        slopes,
        golden=f"LIF_di{int(decay_input)}",
        note="" if decay_input else "undecayed-input",
    )


def lif_of_many_taus() -> Row:
    tau = np.array(TAUS)
    charge, slopes = leaky(1 / tau, decay_input=True)
    return Row(
        sx.LIF,
        lambda v: sx.LIF(tau=jnp.array(TAUS), **v._asdict()),
        neuron(charge),
        chain(slopes, -1 / tau**2),
        parameter="tau",
        note="tau-a-neuron",
    )


def plif(decay_input: bool) -> Row:
    rate = 1 / (1 + np.exp(-W))
    charge, slopes = leaky(rate, decay_input)
    return Row(
        sx.ParametricLIF,
        lambda v: sx.ParametricLIF(w=jnp.array(W), decay_input=decay_input, **v._asdict()),
        neuron(charge),
        chain(slopes, rate * (1 - rate)),
        parameter="w",
        golden=f"PLIF_di{int(decay_input)}",
        note="" if decay_input else "undecayed-input",
    )


def integrator(decay_input: bool) -> Row:
    charge, slopes = leaky(1 / TAU, decay_input)

    def step(state, x, variant):
        v = charge(state[0], x, 0.0)
        return Step((v,), v, v)

    return Row(
        sx.LeakyIntegrator,
        lambda v: sx.LeakyIntegrator(tau=TAU, decay_input=decay_input),
        step,
        lambda v, x, rest: slopes(v, x, 0.0),
        fires=False,
        note="" if decay_input else "undecayed-input",
    )


ROWS = (
    Row(
        sx.IF,
        lambda v: sx.IF(**v._asdict()),
        neuron(lambda v, x, rest: v + x),
        lambda v, x, rest: (1.0, 1.0, 0.0),
        golden="IF",
    ),
    lif(decay_input=True),
    lif(decay_input=False),
    lif_of_many_taus(),
    plif(decay_input=True),
    plif(decay_input=False),
    integrator(decay_input=True),
    integrator(decay_input=False),
)
CUSTOM = Row(
    SquareIF,
    lambda v: SquareIF(**v._asdict()),
    neuron(lambda v, x, rest: v + x * x),
    lambda v, x, rest: (1.0, 2 * x, 0.0),
)
ALL = (*ROWS, CUSTOM)
