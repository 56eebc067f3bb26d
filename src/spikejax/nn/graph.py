"""Layers wired in any way without loops."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.nn.adapter import (
    CellModule,
    Container,
    Layer,
    adapt,
    apply,
    apply_over_time,
    is_stateless,
    shape_after,
    shape_of,
)
from spikejax.nn.sequential import below
from spikejax.typing import Array, Network, Shape, State, Stateless, Static, Through
from spikejax.typing import Sequence as Steps


class Graph(Container):
    """Layers that take the outputs of any layers before them; itself a cell.

        value[0] = x        value[i + 1] = layers[i](*(value[j] for j in inputs[i]))        y = value[-1]

    As `Sequential`, but for the wiring: `Graph([conv, lif, jnp.add], [[0], [1], [2, 0]])` adds the input to what comes
    out of the neurons. A layer of several inputs is a function or module of as many batches `[N, *]`; a cell has one.

    Args:
        layers: cells, networks, `nnx.Module`s and functions.
        inputs: for each layer, where its inputs come from: 0 is the input of the network, i + 1 the output of layer i;
            only of layers before it.

    Raises:
        ValueError: there is no layer, an index is out of range, or a cell has more than one input.
        TypeError: a layer is neither a cell, nor a module, nor a function.
    """

    def __init__(self, layers: Sequence[Layer | Callable[..., Array]], inputs: Sequence[Sequence[int]]) -> None:
        if not layers or len(layers) != len(inputs):
            raise ValueError(
                f"`layers` and `inputs` must have one entry a layer, at least one, got {len(layers)} and {len(inputs)}"
            )
        self.layers = nnx.List([adapt(layer, str(i)) for i, layer in enumerate(layers)])
        self.inputs = tuple(map(tuple, inputs))
        for i, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
            if not sources or not all(0 <= j <= i for j in sources):
                raise ValueError(f"`inputs`[{i}] must be indices from 0 to {i}, of what is before it, got {sources}")
            if not is_stateless(layer) and len(sources) > 1:
                raise ValueError(f"`inputs`[{i}] must be one index, because layer {i} is a cell, got {sources}")

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Any:
        """The layer at `index`; a neuron comes back as the cell it was given as, with its present parameters."""
        layer = self.layers[index]
        return layer.cell if isinstance(layer, CellModule) else layer

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The states of all layers before the first step, for inputs of `shape` `[N, *]`; see `Sequential`."""
        values: list[Any] = [jax.ShapeDtypeStruct(shape, dtype)]
        states = []
        for i, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
            xs = [values[j] for j in sources]
            if is_stateless(layer):
                states.append(())
                values.append(shape_of(layer, lambda layer, *xs, name=str(i): apply(layer, name, *xs), *xs))
            else:
                own_key = None if key is None else jax.random.fold_in(key, i)
                states.append(layer.init_state(xs[0].shape, dtype, key=own_key))
                values.append(shape_after(layer, states[-1], xs[0]))
        return tuple(states)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step in time, `x` `[N, *]` through every layer."""
        values, states = [jnp.asarray(x)], []
        for i, (layer, sources, old) in enumerate(zip(self.layers, self.inputs, state, strict=True)):
            xs = [values[j] for j in sources]
            new, y = ((), apply(layer, str(i), *xs)) if is_stateless(layer) else layer.step(old, xs[0])
            states.append(new)
            values.append(y)
        return tuple(states), values[-1]

    def propagate(self, state: State, xs: Steps, through: Through) -> tuple[State, Any]:
        """Takes `xs` through every layer; see `spikejax.typing.Network`."""
        values, states = [xs], []
        for i, (layer, sources, old) in enumerate(zip(self.layers, self.inputs, state, strict=True)):
            given = [values[j] for j in sources]
            if isinstance(layer, Network):
                new, y = layer.propagate(old, given[0], below(i, through))
            elif not is_stateless(layer):
                new, y = through((i,), self[i], old, given[0])
            elif len(given) == 1:
                new, y = through((i,), Stateless(layer, partial(apply_over_time, layer, str(i))), (), given[0])
            else:
                new, y = (), _join(layer, str(i), given)
            states.append(new)
            values.append(y)
        return tuple(states), values[-1]

    def hoist(self, x: Array) -> tuple[Array, "Graph"]:
        """Nothing stands before the first cell for certain: layers on the static input stay static in `propagate`."""
        return x, self


def _join(layer: Any, name: str, given: list[Any]) -> Any:
    """A layer of several inputs on all steps at once."""
    if all(isinstance(xs, Static) for xs in given):
        return Static(apply(layer, name, *(xs.value for xs in given)), given[0].steps)
    steps = next(xs.shape[0] for xs in given if not isinstance(xs, Static))
    flat = []
    for xs in given:
        whole = jnp.broadcast_to(xs.value, (steps, *xs.value.shape)) if isinstance(xs, Static) else xs
        flat.append(whole.reshape(-1, *whole.shape[2:]))
    y = apply(layer, name, *flat)
    return y.reshape(steps, -1, *y.shape[1:])
