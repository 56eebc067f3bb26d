"""One row a cell: how to build it, and its equations a second time, in float64 NumPy.

The laws of test_laws.py hold for every row. Every parameter is an array with one value a neuron.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
from tests.cells import equations as eq
from tests.cells.equations import Step
from tests.cells.variants import HARD, HARD_DETACHED, SMOOTH_HARD, SMOOTH_SOFT, SOFT, SOFT_DETACHED, Shows, Variant

import spikejax as sx

STEPS, BATCH, FEATURES = 5, 4, 4
V_THRESHOLD = (1.0, 0.9, 1.1, 1.2)
V_RESET = (0.2, 0.0, -0.1, 0.1)
TAU = (2.5, 1.5, 4.0, 8.0)


class SquareIF(sx.Neuron):
    """A user's own neuron: a charge and nothing else."""

    def charge(self, state, x):
        return state._replace(v=state.v + x**2)


@dataclass(frozen=True, eq=False)
class Row:
    """One cell.

    Attributes:
        cell: the class.
        step: one step `(state, x, p, t)` in NumPy, `p` with all parameters, `t` the index of the step.
        parameters: values of the parameters, one a neuron, or `[T, FEATURES]`.
        options: constants such as decay_input.
        slopes: `(v, x, p)` to dH/dV, dH/dX, and dH/dp of the first parameter; None for more than one variable.
        resets: of "hard" and "soft", those that it has; a cell without spikes has none.
        output: "spikes" (0 and 1), "counts" (integers) or "analog".
        drive: mean and amplitude of the input.
        surrogates: in place of the variants', `spiking` to the surrogate.
        note: tells rows of one class apart.
        shows: which variants are run in which ways.
    """

    cell: type
    step: Callable[[tuple[np.ndarray, ...], np.ndarray, Any, int], Step]
    parameters: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    slopes: Callable[[np.ndarray, np.ndarray, Any], tuple[Any, Any, Any]] | None = None
    resets: tuple[str, ...] = ("hard", "soft")
    output: str = "spikes"
    drive: tuple[float, float] = (0.7, 1.2)
    surrogates: Callable[[bool], Any] | None = None
    note: str = ""
    shows: Shows = field(kw_only=True)

    def __post_init__(self) -> None:
        assert all(variant in self.variants for variant in self.shows[1:]), f"{self.name} shows what it has not"

    @property
    def name(self) -> str:
        return f"{self.cell.__name__}{self.note and '-' + self.note}"

    @property
    def variants(self) -> tuple[Variant, ...]:
        all_of_them = (HARD, HARD_DETACHED, SOFT, SOFT_DETACHED)
        return tuple(v for v in all_of_them if (("hard" if v.hard else "soft") in self.resets)) or (HARD,)

    @property
    def variant(self) -> Variant:
        """The one that laws about all else than the reset take."""
        return self.variants[0]

    @property
    def smooth(self) -> tuple[Variant, ...]:
        both = (SMOOTH_HARD, SMOOTH_SOFT)
        return tuple(v for v in both if (("hard" if v.hard else "soft") in self.resets)) or (SMOOTH_HARD,)

    def common(self, variant: Variant, value: Callable[[tuple[float, ...]], Any]) -> dict[str, Any]:
        """Threshold and reset, as far as the cell has them."""
        if not self.resets:
            return {}
        surrogate = self.surrogates(variant.surrogate.spiking) if self.surrogates else variant.surrogate
        given = {"detach_reset": variant.detach_reset, "surrogate": surrogate}
        if "v_threshold" not in self.parameters:
            given["v_threshold"] = value(V_THRESHOLD)
        if "v_reset" in self.cell.__dataclass_fields__:
            given["v_reset"] = value(V_RESET) if variant.hard else None
        return given

    def build(self, variant: Variant, value: Callable[[Any], Any] = jnp.array) -> Any:
        """The cell, its parameters made by `value` of one value a neuron."""
        parameters = {name: value(values) for name, values in self.parameters.items()}
        return self.cell(**self.options, **parameters, **self.common(variant, value))

    def namespace(self, variant: Variant) -> SimpleNamespace:
        """What `step` sees: options, parameters and reset."""
        arrays = {name: np.array(values) for name, values in self.parameters.items()}
        return SimpleNamespace(**self.options, **(self.common(variant, np.array) | arrays))


UNDECAYED = {"decay_input": False}


def leaky(
    cell: type, step: Any, more: dict[str, Any] | None = None, *, shows: tuple[Shows, Shows], **others: Any
) -> tuple[Row, Row]:
    """Rows with and without a decaying input."""
    parameters = {"tau": TAU} | (more or {})
    return (
        Row(cell, step, parameters, {"decay_input": True}, **{"drive": (1.0, 1.8), **others}, shows=shows[0]),
        Row(cell, step, parameters, UNDECAYED, **others, note="undecayed-input", shows=shows[1]),
    )


QUADRATIC = {"v_c": (0.8, 0.7, 0.9, 0.6), "a0": (1.0, 0.5, 0.8, 1.2)}
EXPONENTIAL = {"delta_T": (1.0, 0.5, 0.8, 0.4), "theta_rh": (0.8, 0.7, 0.9, 0.6)}
REST = {"v_rest": (0.0, -0.1, 0.1, -0.2)}
ADAPTATION = {"tau_w": (2.0, 3.0, 5.0, 10.0), "a": (0.1, 0.2, -0.1, 0.3), "b": (0.3, 0.1, 0.2, 0.4)}
THRESHOLD = {"tau_a": (5.0, 10.0, 3.0, 20.0), "beta": (1.7, 0.8, 0.5, 1.2)}
TERNARY: dict[str, Any] = {"drive": (0.1, 2.6)}
ROWS = (
    Row(
        sx.IF,
        eq.neuron(lambda v, x, p: v + x),
        slopes=lambda v, x, p: (1.0, 1.0, 0.0),
        shows=Shows("at once", HARD, HARD_DETACHED, SOFT),
    ),
    *leaky(
        sx.LIF,
        eq.neuron(eq.leak),
        slopes=eq.leak_slopes,
        shows=(Shows("chunk=1", HARD_DETACHED, SOFT, SOFT_DETACHED), Shows("chunk=3", SOFT, SOFT_DETACHED, HARD)),
    ),
    Row(
        sx.ParametricLIF,
        eq.neuron(eq.parametric_leak),
        {"w": (0.3, -0.4, 0.0, -1.0)},
        {"decay_input": True},
        slopes=eq.parametric_slopes,
        drive=(1.0, 1.8),
        shows=Shows("chunk=3, remat", SOFT_DETACHED, HARD, HARD_DETACHED),
    ),
    Row(
        sx.ParametricLIF,
        eq.neuron(eq.parametric_leak),
        {"w": (0.3, -0.4, 0.0, -1.0)},
        UNDECAYED,
        slopes=eq.parametric_slopes,
        note="undecayed-input",
        shows=Shows("chunk=T, remat", HARD, HARD_DETACHED, SOFT),
    ),
    *leaky(
        sx.LeakyIntegrator,
        eq.integrator,
        slopes=eq.leak_slopes,
        resets=(),
        output="analog",
        shows=(Shows("checkpoint", HARD, HARD, HARD), Shows("chunk=1, remat", HARD, HARD, HARD)),
    ),
    Row(
        sx.QIF,
        eq.neuron(eq.quadratic),
        {"tau": TAU} | QUADRATIC | REST,
        slopes=eq.quadratic_slopes,
        drive=(1.0, 1.6),
        shows=Shows("chunk>T", SOFT_DETACHED, HARD, HARD_DETACHED),
    ),
    Row(
        sx.EIF,
        eq.neuron(eq.exponential),
        {"tau": TAU} | EXPONENTIAL | REST,
        slopes=eq.exponential_slopes,
        shows=Shows("at once", HARD, HARD_DETACHED, SOFT),
    ),
    Row(
        sx.Izhikevich,
        eq.adaptive(eq.quadratic),
        {"tau": TAU} | QUADRATIC | REST | ADAPTATION,
        drive=(0.9, 1.4),
        shows=Shows("chunk=1", HARD_DETACHED, SOFT, SOFT_DETACHED),
    ),
    Row(
        sx.AdEx,
        eq.adaptive(eq.exponential),
        {"tau": TAU} | EXPONENTIAL | REST | ADAPTATION,
        drive=(1.0, 1.6),
        shows=Shows("chunk=3", SOFT, SOFT_DETACHED, HARD),
    ),
    Row(
        sx.ALIF,
        eq.alif,
        {"tau": TAU} | THRESHOLD,
        UNDECAYED,
        shows=Shows("chunk=3, remat", SOFT_DETACHED, HARD, HARD_DETACHED),
    ),
    *leaky(
        sx.CubaLIF,
        eq.cuba,
        {"tau_syn": (2.0, 1.0, 3.0, 1.5), "w_in": (1.0, 0.8, 1.2, 0.9), "r": (1.0, 1.5, 0.7, 1.2)} | REST,
        drive=(0.9, 2.0),
        shows=(
            Shows("chunk=T, remat", HARD, HARD_DETACHED, SOFT),
            Shows("checkpoint", HARD_DETACHED, SOFT, SOFT_DETACHED),
        ),
    ),
    Row(
        sx.KLIF,
        eq.klif,
        {"tau": TAU, "k": (1.0, 1.3, 0.8, 1.5)},
        {"decay_input": True},
        drive=(1.0, 1.6),
        shows=Shows("chunk=1, remat", SOFT, SOFT_DETACHED, HARD),
    ),
    Row(
        sx.KLIF,
        eq.klif,
        {"tau": TAU, "k": (1.0, 1.3, 0.8, 1.5)},
        {"scale_reset": True, **UNDECAYED},
        note="scaled",
        shows=Shows("chunk>T", SOFT_DETACHED, HARD, HARD_DETACHED),
    ),
    Row(
        sx.LIAF,
        eq.liaf,
        {"tau": TAU},
        {"threshold_related": True, **UNDECAYED},
        output="analog",
        shows=Shows("at once", HARD, HARD_DETACHED, SOFT),
    ),
    Row(
        sx.LIAF,
        eq.liaf,
        {"tau": TAU},
        {"threshold_related": False, "decay_input": True, "act": "relu"},
        output="analog",
        note="unrelated",
        shows=Shows("chunk=1", HARD_DETACHED, SOFT, SOFT_DETACHED),
    ),
    Row(sx.CLIF, eq.clif, {"tau": TAU}, resets=("soft",), shows=Shows("chunk=3", SOFT, SOFT_DETACHED, SOFT)),
    Row(
        sx.ILIF,
        eq.ilif,
        {"tau": TAU},
        resets=("soft",),
        output="counts",
        surrogates=lambda spiking: sx.surrogate.MultiLevelSpikeCount(3, spiking=spiking),
        shows=Shows("chunk=3, remat", SOFT_DETACHED, SOFT, SOFT_DETACHED),
    ),
    Row(
        sx.TernaryIF,
        eq.ternary(lambda v, x, p: v + x),
        output="counts",
        **TERNARY,
        shows=Shows("chunk=T, remat", HARD, HARD_DETACHED, SOFT),
    ),
    Row(
        sx.TernaryLIF,
        eq.ternary(eq.leak),
        {"tau": TAU},
        UNDECAYED,
        output="counts",
        **TERNARY,
        shows=Shows("checkpoint", HARD_DETACHED, SOFT, SOFT_DETACHED),
    ),
    Row(
        sx.ResonateAndFire,
        eq.resonate,
        {"b": (-0.2, -0.1, -0.3, 0.0), "omega": (1.0, 0.5, 2.0, 1.5), "dt": (1.0, 0.8, 1.2, 0.5)},
        shows=Shows("chunk=1, remat", SOFT, SOFT_DETACHED, HARD),
    ),
    Row(
        sx.GatedLIF,
        eq.gated,
        {
            "alpha": (0.1, -0.2, 0.3, 1.0),
            "beta": (-0.2, 0.4, 0.0, 1.0),
            "gamma": (0.3, -1.0, 0.5, 0.0),
            "tau": (-1.1, 0.5, 1.0, 0.0),
            "linear_decay": (-2.7, -2.0, -3.0, -2.5),
            "v_subreset": (0.0, 0.5, -0.5, 1.0),
            "v_threshold": (0.0, 0.5, 1.0, -0.5),
            "conduct": np.linspace(-1.0, 1.0, STEPS * FEATURES).reshape(STEPS, FEATURES),
        },
        resets=("soft",),
        drive=(0.4, 1.2),
        shows=Shows("chunk>T", SOFT_DETACHED, SOFT, SOFT_DETACHED),
    ),
    Row(
        sx.NoisyLIF,
        eq.noisy,
        {"tau": TAU, "noise_scale": (0.1, 0.2, 0.05, 0.3)},
        UNDECAYED,
        shows=Shows("at once", HARD, HARD_DETACHED, SOFT),
    ),
)
CUSTOM = Row(
    SquareIF,
    eq.neuron(lambda v, x, p: v + x * x),
    slopes=lambda v, x, p: (1.0, 2 * x, 0.0),
    shows=Shows("chunk=1", HARD_DETACHED, SOFT, SOFT_DETACHED),
)
ALL = (*ROWS, CUSTOM)
