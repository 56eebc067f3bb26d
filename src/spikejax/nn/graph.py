"""Layers wired in any way, loops included."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as List
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.nn.cell_module import Layer, as_given, as_module
from spikejax.nn.container import Container
from spikejax.nn.layer import init_layer, propagate_layer, step_layer
from spikejax.sequence import Sequence, Steps
from spikejax.typing import Array, Cell, LayerVisitor, Path, Shape, State


class Graph(Container):
    """Layers that take the outputs of any others; itself a cell.

        value[0] = x        value[i + 1] = layers[i](*(value[j] for j in inputs[i]))        y = value[-1]

    As `Sequential`, but for the wiring: `Graph([conv, lif, jnp.add], [[0], [1], [2, 0]])` adds the input to what comes
    out of the neurons. A layer of several inputs is a function or module of as many batches `[N, *]`; a cell has one.

    A value that is not there yet, because the layer itself or a later one gives it, is that of the step before, and 0
    at the first step: `Graph([jnp.add, lif], [[0, 2], [1]])` adds to x[t] what the neurons put out at t - 1. Only the
    layers of such loops, and those between them, go step by step; all before and after them take whole chunks.

    The state is a tuple with one entry a layer, and with loops one more: a dict from j to the last value[j] `[N, *]`.

    Args:
        layers: cells, networks, `nnx.Module`s and functions.
        inputs: for each layer, where its inputs come from: 0 is the input of the network, i + 1 the output of layer i.

    Attributes:
        before: indices of the layers that stand before all loops.
        loop: of those from the first loop to the last, which go step by step.
        after: of those after them.

    Raises:
        ValueError: there is no layer, an index is out of range, a cell has more than one input, or, by `init_state`,
            shapes do not fit.
        TypeError: a layer is neither a cell, nor a module, nor a function.
    """

    def __init__(self, layers: List[Layer], inputs: List[List[int]]) -> None:
        if not layers or len(layers) != len(inputs):
            raise ValueError(
                f"`layers` and `inputs` must have one entry a layer, at least one, got {len(layers)} and {len(inputs)}"
            )
        self.layers = nnx.List([as_module(layer, str(i)) for i, layer in enumerate(layers)])
        self.inputs = tuple(map(tuple, inputs))
        for i, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
            if not sources or not all(0 <= j <= len(layers) for j in sources):
                raise ValueError(
                    f"`inputs`[{i}] must be indices from 0, the input, to {len(layers)}, the last output, got {sources}"
                )
            if isinstance(layer, Cell) and len(sources) > 1:
                raise ValueError(f"`inputs`[{i}] must be one index, because layer {i} is a cell, got {sources}")
        self.late = tuple(sorted({j for i, sources in enumerate(self.inputs) for j in sources if j > i}))
        self.before, self.loop, self.after = self._parts()

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Any:
        """The layer at `index`; a neuron comes back as the cell it was given as, with its present parameters."""
        return as_given(self.layers[index])

    def _parts(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The layers before the loops, those from the first loop to the last, and those after them."""
        readers = {i for i, sources in enumerate(self.inputs) if any(j > i for j in sources)}
        ends = readers | {j - 1 for j in self.late}
        from_loop = _closure(ends, lambda i: (k for k, sources in enumerate(self.inputs) if i + 1 in sources))
        to_loop = _closure(ends, lambda i: (j - 1 for j in self.inputs[i] if j))
        every = range(len(self.layers))
        loop = from_loop & to_loop
        return tuple(sorted(set(every) - from_loop)), tuple(sorted(loop)), tuple(sorted(from_loop - loop))

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The states of all layers before the first step, for inputs of `shape` `[N, *]`; see `Sequential`."""
        values: dict[int, Any] = {0: jax.ShapeDtypeStruct(shape, dtype)}
        states: dict[int, State] = {}
        known: dict[int, Any] = {}
        for _ in range(len(self) + 2 if self.late else 1):  # with loops, until the shapes settle
            known = dict(values)
            for i, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
                known_input = next((values[j] for j in sources if j in values), None)
                if known_input is not None:  # until it is known, a value has the shape of the others beside it
                    xs = tuple(values.get(j, known_input) for j in sources)
                    states[i], values[i + 1] = init_layer(layer, i, xs, dtype, key)
            if known == values:
                break
        if self.late and (known != values or len(values) <= len(self)):
            raise ValueError(
                f"`inputs` {self.inputs} leave open what shape goes round: join what comes back with something of the "
                f"same shape, as in [jnp.add, lif] with inputs [[0, 2], [1]]"
            )
        late = ({j: jnp.zeros(values[j].shape, dtype) for j in self.late},) if self.late else ()
        return (*(states[i] for i in range(len(self))), *late)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step in time, `x` `[N, *]` through every layer."""
        late = state[-1] if self.late else {}
        values, states = [jnp.asarray(x)], []
        for i, (layer, sources, old) in enumerate(zip(self.layers, self.inputs, state, strict=False)):
            new, y = step_layer(layer, i, old, *(late[j] if j > i else values[j] for j in sources))
            states.append(new)
            values.append(y)
        new = ({j: values[j].astype(old.dtype) for j, old in late.items()},) if self.late else ()
        return (*states, *new), values[-1]

    def propagate(self, state: State, xs: Sequence, visitor: LayerVisitor, path: Path = ()) -> tuple[State, Sequence]:
        """Takes `xs` through every layer; see `spikejax.typing.Network`."""
        values, states = {0: xs}, dict(enumerate(state))
        self._propagate(self.before, values, states, visitor, path, {})
        if self.loop:
            loop_state = {i: states[i] for i in (*self.loop, len(self))}
            inputs = {j: values[j] for i in self.loop for j in self.inputs[i] if j in values}
            loop_state, outputs = visitor.loop(path, self.pure("propagate_loop"), loop_state, inputs)
            states |= loop_state
            values |= outputs
        self._propagate(self.after, values, states, visitor, path, {})
        return tuple(states.values()), values[len(self)]

    def propagate_loop(
        self, state: State, inputs: dict[int, Sequence], visitor: LayerVisitor, path: Path
    ) -> tuple[State, dict[int, Sequence]]:
        """One step of the layers of the loops, from the values of others to those that layers after them need."""
        values, states, late = dict(inputs), dict(state), state[len(self)]
        self._propagate(self.loop, values, states, visitor, path, {j: Steps(y[None]) for j, y in late.items()})
        states[len(self)] = {j: values[j].at(0).astype(y.dtype) for j, y in late.items()}
        needed = {len(self), *(j for i in self.after for j in self.inputs[i])}
        return states, {i + 1: values[i + 1] for i in self.loop if i + 1 in needed}

    def _propagate(
        self,
        indices: Iterable[int],
        values: dict[int, Sequence],
        states: dict[int, State],
        visitor: LayerVisitor,
        path: Path,
        late: Mapping[int, Sequence],
    ) -> None:
        """Takes the layers at `indices` through the chunk, adding to `values` and `states`."""
        for i in indices:
            xs = (late[j] if j > i else values[j] for j in self.inputs[i])
            states[i], values[i + 1] = propagate_layer(self.layers[i], i, states[i], visitor, path, *xs)


def _closure(start: set[int], following: Callable[[int], Iterable[int]]) -> set[int]:
    """`start` with all that follows."""
    closure, new = set(start), set(start)
    while new:
        new = {k for i in new for k in following(i)} - closure
        closure |= new
    return closure
