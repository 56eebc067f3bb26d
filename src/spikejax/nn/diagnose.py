"""Diagnosis of a network: layers that fire too little or too much, with advice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from spikejax.nn.init import solve
from spikejax.nn.sequential import Sequential
from spikejax.scan import Plan, plan, run
from spikejax.scan.chunk import ChunkRunner
from spikejax.sequence import Sequence, Static, Steps
from spikejax.typing import Array, Cell, Network, Path, State

MOST_SILENT, MOST_SATURATED, SATURATED = 0.6, 0.1, 0.9
"""Shares of neurons above which a layer is called silent or saturated, and the rate above which a neuron is."""


@dataclass(frozen=True)
class LayerActivity:
    """Activity of one layer of neurons.

    Attributes:
        name: its place in the network, such as "3" or "0.3".
        kind: the neuron.
        rate: mean output, spikes a step.
        silent: share of the neurons that never fire, in any sample.
        saturated: share of the neurons with a rate above 0.9, in the mean over the samples.
        v_mean: mean membrane potential after each step, in thresholds; NaN without a membrane.
        v_std: standard deviation of the same.
        v_top: 99th percentile of the same.
        factor: factor of its input that gives the desired rate; None if nothing is wrong, or no factor does.
        advice: the change to make; empty if nothing is wrong.
    """

    name: str
    kind: str
    rate: float
    silent: float
    saturated: float
    v_mean: float
    v_std: float
    v_top: float
    factor: float | None
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """Activity of all layers of neurons, from first to last; prints as a table, with advice below it.

    Attributes:
        layers: one a layer of neurons.
    """

    layers: tuple[LayerActivity, ...]

    def __str__(self) -> str:
        wide = max([5, *(len(a.name) for a in self.layers)])
        head = f"{'layer':>{wide}}  {'neuron':16}{'rate':>7}{'silent':>8}{'saturated':>11}"
        rows = [
            f"{a.name:>{wide}}  {a.kind:16}{a.rate:7.3f}{a.silent:8.0%}{a.saturated:11.0%}"
            f"{a.v_mean:23.2f}{a.v_std:6.2f}{a.v_top:7.2f}"
            for a in self.layers
        ]
        advice = [f"layer {a.name}: {a.advice}" for a in self.layers if a.advice]
        return "\n".join((f"{head}   v / threshold: mean   std top 1%", *rows, *(advice or ["nothing to change"])))


def diagnose(
    net: Cell,
    xs: ArrayLike,
    state: State = None,
    *,
    steps: int | None = None,
    rate: float = 0.2,
    key: Array | None = None,
) -> Diagnosis:
    """Runs a network once and says of each layer of neurons whether it fires, and what to change.

    A layer is called silent where more than 60 % of its neurons never fire, saturated where more than 10 % fire at more
    than 0.9 of the steps. For such a layer the neurons alone are run again on their own input, scaled, until their mean
    rate is `rate`; that factor is what to multiply the weights and the bias before it by, or to divide `v_threshold`
    by. Mend the first layer that is named, and look again: all after it depend on it.

    The network itself stays as it is. All steps run layer by layer, in memory.

    Args:
        net: a network, or a cell.
        xs: input `[T, N, *]`; with `steps`, one static input `[N, *]`.
        state: state to start from; None starts from `init_state`.
        steps: number of steps of a static input.
        rate: mean rate to aim at, spikes a step, > 0.
        key: a `jax.random.key` for cells that draw, where `state` is not given.

    Returns:
        One line a layer; `print` it.

    Raises:
        ValueError: the input does not fit the network, or there is no layer of neurons with a threshold.
    """
    x = jnp.asarray(xs)
    inputs = Steps(x) if steps is None else Static(x, steps)
    if state is None:
        state = net.init_state(inputs.shape, key=key)
    net = nnx.clone(net) if isinstance(net, nnx.Module) else net
    if not isinstance(net, Network):
        net, state = Sequential(net), (state,)
    probe = _ActivityProbe(plan(net, inputs.steps), rate)
    net.propagate(state, inputs, probe)
    if not probe.layers:
        raise ValueError("`net` has no layer of neurons with a threshold, such as sx.LIF()")
    return Diagnosis(tuple(probe.layers))


class _ActivityProbe(ChunkRunner):
    """Runs a network and looks at each of its layers of neurons on the way."""

    def __init__(self, plan: Plan, rate: float) -> None:
        super().__init__(plan)
        self.rate = rate
        self.layers: list[LayerActivity] = []

    def cell(self, path: Path, cell: Cell, state: State, xs: Sequence) -> tuple[State, Sequence]:
        if not hasattr(getattr(cell, "cell", cell), "v_threshold"):
            return super().cell(path, cell, state, xs)
        last, ys, activity = _observe(".".join(map(str, path)), cell, state, xs, self.rate)
        self.layers.append(activity)
        return last, Steps(ys)


def _observe(name: str, cell: Cell, state: State, xs: Sequence, target: float) -> tuple[State, Array, LayerActivity]:
    """The last state and the outputs of one layer of neurons, and its activity."""
    neuron: Any = getattr(cell, "cell", cell)
    record = ("membrane",) if hasattr(state, "v") else ()
    last, (ys, records) = _run(cell, xs, state, 1.0, record=record)
    size = np.abs(np.asarray(ys, np.float32))
    rates = size.mean((0, 1))
    v = np.asarray(next(iter(records.values())) / neuron.v_threshold if records else np.nan, np.float64)
    silent, saturated = float(np.mean(rates == 0)), float(np.mean(rates > SATURATED))
    factor, advice = None, ""
    if silent > MOST_SILENT and not np.any(np.asarray(xs.data)):
        advice = f"{silent:.0%} silent, because its input is 0: look at the layers before it first"
    elif silent > MOST_SILENT or saturated > MOST_SATURATED:
        rate_at = jax.jit(lambda factor: jnp.mean(abs(_run(cell, xs, state, factor)[1].astype(jnp.float32))))
        advice, factor = _advise(silent, saturated, target, rate_at)
    v_top = float(np.percentile(v, 99))
    facts = float(size.mean()), silent, saturated, float(np.mean(v)), float(np.std(v)), v_top
    return last, ys, LayerActivity(name, type(neuron).__name__, *facts, factor, advice)


def _run(cell: Cell, xs: Sequence, state: State, factor: float | Array, **options: Any) -> Any:
    return run(cell, xs.map(lambda x: factor * x), state, **options)


def _advise(
    silent: float, saturated: float, target: float, rate_at: Callable[[float], Array]
) -> tuple[str, float | None]:
    """The change to make, and the factor of the input that it amounts to."""
    fault = f"{silent:.0%} silent" if silent > MOST_SILENT else f"{saturated:.0%} saturated"
    try:
        factor = solve(lambda factor: float(rate_at(factor)), target)
    except ValueError:
        return (
            f"{fault}: no scale of the weights before it gives a rate of {target:g}; check its reset and leak",
            None,
        )
    by = f"{factor:.2g}" if factor > 1 else f"{1 / factor:.2g}"
    up, down = ("multiply", "divide") if factor > 1 else ("divide", "multiply")
    return f"{fault}: {up} the weights before it by about {by}, or {down} v_threshold by as much", factor
