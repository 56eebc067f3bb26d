"""The rule that remembers the inputs of a layer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from spikejax.checks import check_number
from spikejax.kernels.template import floats, why_not_fused, with_floats
from spikejax.plasticity.online.columns import Columns, columns_of
from spikejax.plasticity.online.influence import attach
from spikejax.plasticity.online.rule import LocalRule
from spikejax.plasticity.online.signal import Constants, Parameters, PureLayer, Signal, StepFunction
from spikejax.plasticity.online.step import CellInput, OnlineStep
from spikejax.typing import Array, State


class OTTT(LocalRule):
    """Online training through time: each input leaves a trace, the same for all neurons that it reaches.

        a[t] = lambda a[t-1] + x[t]
        dL/dW = 1/T sum over t of dloss[t]/dI[t] a[t]

    Carried from step to step are one trace an input `[N, *]` and one of 1 for the biases. Exact for one layer of
    neurons of one leak whose reset is soft and detached. Between the last cells and a neuron there may be any layers
    that are linear in their input but for a bias, the same at every step: several linear layers, norms in eval mode,
    average pools, branches that are added. Parameters of the cells get the gradient of the step alone.

    Args:
        leak: lambda, from 0 to 1; None takes it from the cell at every step: the slope of its charge in the membrane,
            mean over all neurons.

    Raises:
        ValueError: `leak` is not from 0 to 1, or None for a cell that is not in charge, fire and reset; a layer before
            a cell is not linear in its input, or not the same at every step.

    Source: Xiao, Meng, Zhang, He, Lin, "Online Training Through Time for Spiking Neural Networks", 2022, its
    variant A with an update after the last step. There the traces are attached to the membrane; here to the current,
    which is the same in neurons with one variable.
    """

    leak: float | Array | None = None

    def validate(self) -> None:
        """Raises ValueError unless `leak` is from 0 to 1."""
        if self.leak is not None:
            check_number("leak", self.leak, ge=0, le=1)

    def take(self, step: OnlineStep, at: CellInput) -> tuple[State, Array]:
        """The step, whose current sees the weights through the traces."""
        function = StepFunction(at.signal)
        if not any(function.parameters.values()):
            return at.cell.step(at.state, at.current)
        if not floats(at.state):
            raise self.refusal(f"layer {at.path} ({type(at.cell).__name__}) has no membrane to which a trace could add")
        self._check_linear(at.signal)
        leak, dtype = self._leak(at), floats(at.state)[0].dtype
        variables, sources = stop_gradient(function.constants)
        sources = {path: x.astype(dtype) for path, x in sources.items()}
        traces, count = step.before.get(at.path) or (jax.tree.map(jnp.zeros_like, sources), jnp.zeros((), dtype))
        faded = jax.tree.map(lambda trace: (leak * trace).astype(trace.dtype), (traces, count))
        constants = variables, sources, faded
        current = attach(_past(function), at.current, function.parameters, constants)
        step.after[at.path] = jax.tree.map(jnp.add, faded, (sources, jnp.ones_like(count)))
        return at.cell.step(at.state, current)

    def _leak(self, at: CellInput) -> Array | float:
        if self.leak is not None:
            return self.leak
        reason = why_not_fused(at.cell)
        if reason:
            raise ValueError(f"`leak` must be given, because that of layer {at.path} cannot be derived: {reason}")
        return slope_of_membrane(lambda cell, state, x: cell.charged(state, x), at)

    def _check_linear(self, signal: Signal) -> None:
        """Raises ValueError unless every layer is linear in its input and the same at every step."""
        for made in signal.layers():
            layer, inputs = made.layer, [before.value for before in made.inputs]
            if layer is None or is_steady_linear(layer, inputs):
                continue
            raise self.refusal(
                f"layer {layer.title} is not one linear function of its input at all steps, so that no trace of the "
                f"input holds for the layers with parameters around it (norms and dropout are in eval mode)"
            )


def is_steady_linear(layer: PureLayer, inputs: list[Array]) -> bool:
    """True if a layer is linear in its inputs, but for a bias, and the same at every step.

    Its slope then depends neither on the inputs nor on variables that change from step to step.
    """
    variables, structure = jax.tree.flatten(layer.variables)
    moving = [jnp.asarray(x, jnp.result_type(float, x)) for x in inputs]
    unit = [jnp.ones_like(x) for x in moving]

    def slope(*arrays: Array) -> Array:
        rest = structure.unflatten(arrays[len(moving) :])
        apply = lambda inputs: layer.apply(layer.parameters, rest, *inputs)  # noqa: E731
        return jax.jvp(apply, (list(arrays[: len(moving)]),), (unit,))[1]

    changing = [True] * len(moving) + list(layer.changed)
    of_each = [
        Columns.of(np.zeros(a.shape, np.int32)) if c else None
        for a, c in zip((*moving, *variables), changing, strict=True)
    ]
    return not columns_of(slope, [*moving, *variables], of_each).any()


def slope_of_membrane(step: Callable[[Any, State, Array], State], at: CellInput) -> Array:
    """The slope of `step` in the membrane, mean over all neurons; in the first variable where none is called v."""
    cell, current = stop_gradient(at.cell), stop_gradient(at.current)
    leaves = jax.tree_util.tree_leaves_with_path(at.state)
    paths = [path for path, leaf in leaves if jnp.issubdtype(leaf.dtype, np.inexact)]
    membrane = next((i for i, path in enumerate(paths) if is_membrane(path)), 0)

    def by_floats(variables: list[Array]) -> Array:
        return floats(step(cell, with_floats(at.state, variables), current))[membrane]

    variables = floats(at.state)
    unit = [jnp.ones_like(leaf) if i == membrane else jnp.zeros_like(leaf) for i, leaf in enumerate(variables)]
    return jax.jvp(by_floats, (variables,), (unit,))[1].mean()


def is_membrane(path: jax.tree_util.KeyPath) -> bool:
    """True for the path of a state variable called v."""
    return jax.tree_util.keystr(path[-1:], simple=True) == "v"


def _past(function: StepFunction) -> Callable[[Parameters, Any], Array]:
    """The current that the parameters make of the traces of earlier steps, J a + n b of a current J x + b.

    J x + b is the function, and n of it too much by n J x: one derivative along a - n x gives the rest.
    """

    def past(parameters: Parameters, constants: tuple[Any, dict[str, Array], tuple[dict[str, Array], Array]]) -> Array:
        variables, sources, (traces, count) = constants

        def current(sources: dict[str, Array]) -> Array:
            known: Constants = variables, sources
            return function(parameters, known)

        along = jax.tree.map(lambda trace, x: trace - count * x, traces, sources)
        y, change = jax.jvp(current, (sources,), (along,))
        return change + count * y

    return past
