"""Layers that carry a state from step to step."""

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from spikejax.cells import ChargeFireReset
from spikejax.export import chain
from spikejax.export.onnx.equations import UntranslatableError, channels_first, translate
from spikejax.export.onnx.graph import OnnxGraph, Tensor, Value
from spikejax.export.onnx.layers import dense
from spikejax.jaxpr import reads
from spikejax.kernels.template import why_not_fused
from spikejax.typing import Array, State

States = dict[str, Value]
"""State variables by name: tensors with their channels second, constants `[1, *]` with their channels last."""


class Stateful(Protocol):
    """A layer with a state."""

    def first(self) -> States:
        """The state before the first step, for one sample, channels last."""
        ...

    def step(self, graph: OnnxGraph, states: States, x: Tensor) -> tuple[States, Value]:
        """Adds one step to the graph: the next state, and the output."""
        ...


def stateful(graph: OnnxGraph, layer: chain.LayerSpec, *, stepwise: bool) -> Stateful | None:
    """The states and the step of `layer`; None for a stateless one.

    Args:
        graph: where it is noted that a cell cannot be written.
        layer: of `chain`.
        stepwise: True if states come from outside, so that all of them must be of the neurons.
    """
    if isinstance(layer, chain.DelaySpec):
        return DelayLine(layer)
    if not isinstance(layer, chain.NeuronSpec):
        return None
    try:
        reason = why_not_fused(layer.cell)
        if reason is not None:
            raise UntranslatableError(reason)
        cell = TracedNeurons(layer.cell, layer.inputs, stepwise=stepwise)
        cell.try_out(graph)
        return cell if layer.feedback is None else FeedbackNeurons(cell, layer.feedback)
    except UntranslatableError as error:
        limit = "in charge, fire and reset, of equations that have operators"
        graph.find("error", "cell", type(layer.cell).__name__, limit, str(error))
        return Unwritten()


class TracedNeurons:
    """A cell in charge, fire and reset, traced for one sample.

    Args:
        cell: the cell with its parameters.
        features: shape of one sample, channels last.
        stepwise: True if states come from outside.

    Raises:
        UntranslatableError: the cell draws random numbers, or, stepwise, counts its steps.
    """

    def __init__(self, cell: ChargeFireReset, features: tuple[int, ...], *, stepwise: bool) -> None:
        cell = jax.tree.map(lambda a: a.astype(jnp.float32), cell)
        x = jnp.zeros((1, *features), jnp.float32)
        state = cell.init_state(x.shape, key=jax.random.key(0))
        paths, self.structure = jax.tree_util.tree_flatten_with_path(state)
        self.states: States = {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}
        self.shared = {name for name, leaf in self.states.items() if leaf.shape != x.shape}
        if any(jnp.issubdtype(self.states[name].dtype, jax.dtypes.prng_key) for name in self.shared):
            raise UntranslatableError("it draws random numbers, as chips do not: export the neuron without its noise")
        for name in self.shared if stepwise else ():
            if self._matters(name, cell, state, x):
                raise UntranslatableError(f"they depend on `{name}`, which all neurons share: use form='unrolled'")
        self.program = jax.make_jaxpr(cell.step)(state, x)
        self.stepwise = stepwise

    def _matters(self, name: str, cell: ChargeFireReset, state: State, x: Array) -> bool:
        """True if a shared variable, such as a counter of steps, has an effect on the neurons."""

        def seen(state: State, x: Array) -> tuple[list[Array], Array]:
            state, y = cell.step(state, x)
            named = zip(self.states, jax.tree.leaves(state), strict=True)
            return [leaf for other, leaf in named if other not in self.shared], y

        return reads(seen, state, x)[list(self.states).index(name)]

    def first(self) -> States:
        """The state of a sample before the first step; stepwise, without what does not matter."""
        hidden = self.shared if self.stepwise else ()
        return {name: np.asarray(leaf) for name, leaf in self.states.items() if name not in hidden}

    def step(self, graph: OnnxGraph, states: States, x: Tensor) -> tuple[States, Value]:
        """Adds the equations."""
        known = {name: states.get(name, first) for name, first in self.states.items()}
        *new, y = translate(graph, self.program, [*known.values(), x])
        return {name: leaf for name, leaf in zip(known, new, strict=True) if name in states}, y

    def try_out(self, graph: OnnxGraph) -> None:
        """Raises UntranslatableError unless the equations can be written."""
        shape = self.program.in_avals[-1].shape
        x = Tensor("x", (1, shape[-1], *shape[1:-1]), graph.dtype)
        scratch = OnnxGraph(graph.dtype, graph.opset)
        self.step(scratch, {name: first if name in self.shared else x for name, first in self.first().items()}, x)


class FeedbackNeurons:
    """A cell that receives its own last output through a dense layer."""

    def __init__(self, cell: TracedNeurons, feedback: chain.DenseSpec) -> None:
        self.cell, self.feedback = cell, feedback

    def first(self) -> States:
        """The cell's, and an output of 0."""
        return {**self.cell.first(), "y": np.zeros((1, *self.feedback.outputs), np.float32)}

    def step(self, graph: OnnxGraph, states: States, x: Tensor) -> tuple[States, Value]:
        """Adds feedback and cell."""
        last = states["y"]
        if isinstance(last, Tensor):
            x = graph.add("Add", x, dense(graph, self.feedback, last, "feedback"))
        elif self.feedback.bias is not None:  # the first step: last is 0
            x = graph.add("Add", x, graph.constant(self.feedback.bias, "feedback.bias"))
        new, y = self.cell.step(graph, {name: state for name, state in states.items() if name != "y"}, x)
        return new | {"y": y}, y


class DelayLine:
    """A delay: its last inputs, the oldest first, of which only the names are shifted."""

    def __init__(self, layer: chain.DelaySpec) -> None:
        self.layer = layer
        self.longest = int(layer.delay.max())

    def first(self) -> States:
        """Zeros, one array for each step of the longest delay."""
        zeros = np.zeros((1, *self.layer.inputs), np.float32)
        return {f"past{k}": zeros for k in range(self.longest)}

    def step(self, graph: OnnxGraph, states: States, x: Tensor) -> tuple[States, Value]:
        """Adds what chooses for each feature its delay, where they differ."""
        known: list[Value] = [*states.values(), x]
        y: Value = np.zeros(())
        for delay in sorted(set(self.layer.delay.ravel().tolist())):
            then = known[self.longest - delay]
            if not isinstance(then, Tensor):
                continue
            mask = channels_first(
                (self.layer.delay == delay).astype(np.float32).reshape((1,) * len(self.layer.inputs) + (-1,))
            )
            part = graph.add("Mul", then, graph.constant(mask, "delayed")) if mask.ndim else then
            y = graph.add("Add", y, part) if isinstance(y, Tensor) else part
        return dict(zip(states, known[1:], strict=True)), y


class Unwritten:
    """Stands for a cell that cannot be written, so that what follows can be looked at."""

    def first(self) -> States:
        """Nothing."""
        return {}

    def step(self, graph: OnnxGraph, states: States, x: Tensor) -> tuple[States, Value]:
        """The input."""
        return {}, x
