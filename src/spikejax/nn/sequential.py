"""The chain of layers."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from spikejax.encoding.timed import Encoder
from spikejax.nn.cell_module import Layer, as_given, as_module
from spikejax.nn.container import Container
from spikejax.nn.layer import apply, init_layer, propagate_layer, step_layer
from spikejax.sequence import Sequence
from spikejax.typing import Array, Cell, LayerVisitor, Network, Path, Profile, Shape, State


class Sequential(Container):
    """Layers one after another; itself a cell.

        x[t] = layers[n-1](... layers[1](layers[0](x[t])))

    Cells carry a state from step to step; all else (NNX layers, functions) is stateless in time and sees the steps of
    a chunk as one large batch `[k * N, *]`. The state is a tuple with one entry a layer, empty for stateless ones,
    so `state[1].v` is the membrane of `layers[1]`.

    Args:
        *layers: cells, networks, `nnx.Module`s and functions of one batch `[N, *]`. Array fields of cells become
            `nnx.Param`s of the network.

    Raises:
        ValueError: there is no layer.
        TypeError: a layer is neither a cell, nor a module, nor a function.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("`layers` must not be empty: Sequential needs at least one layer")
        self.layers = nnx.List([as_module(layer, str(i)) for i, layer in enumerate(layers)])

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Any:
        """The layer at `index`; a neuron comes back as the cell it was given as, with its present parameters."""
        return as_given(self.layers[index])

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The states of all layers before the first step.

        Args:
            shape: shape of the input of one step, `[N, *]`.
            dtype: dtype of the states.
            key: random key for cells that draw (encoders), folded in with each layer's index.

        Raises:
            ValueError: a layer does not accept the shape that reaches it, or a random cell gets no key.
        """
        states = []
        x = jax.ShapeDtypeStruct(shape, dtype)
        for i, layer in enumerate(self.layers):
            state, x = init_layer(layer, i, (x,), dtype, key)
            states.append(state)
        return tuple(states)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """One step in time, `x` `[N, *]` through every layer."""
        y = jnp.asarray(x)
        states = []
        for i, (layer, old) in enumerate(zip(self.layers, state, strict=True)):
            new, y = step_layer(layer, i, old, y)
            states.append(new)
        return tuple(states), y

    def propagate(self, state: State, xs: Sequence, visitor: LayerVisitor, path: Path = ()) -> tuple[State, Sequence]:
        """Takes `xs` through every layer; see `spikejax.typing.Network`."""
        states = []
        for i, (layer, old) in enumerate(zip(self.layers, state, strict=True)):
            new, xs = propagate_layer(layer, i, old, visitor, path, xs)
            states.append(new)
        return tuple(states), xs

    def profile(self, platform: str) -> Profile:
        """Facts for the planner; the stateless layers before the first cell can be hoisted."""
        return replace(super().profile(platform), encodes=self._encodes(platform), hoist=self._hoist)

    def _encodes(self, platform: str) -> bool:
        """True if its first cell is an encoder."""
        first = next((layer for layer in self.layers if isinstance(layer, Cell)), None)
        return first.profile(platform).encodes if isinstance(first, Network) else isinstance(as_given(first), Encoder)

    def _hoist(self, x: Array) -> tuple[Array, "Sequential"]:
        """Applies the stateless layers before the first cell; the rest has the same names and states."""
        rest = list(self.layers)
        for i, layer in enumerate(rest):
            if isinstance(layer, Sequential):
                x, rest[i] = layer._hoist(x)
                break
            if isinstance(layer, Cell):
                break
            x, rest[i] = apply(layer, str(i), x), identity
        return x, Sequential(*rest)


def identity(x: Array) -> Array:
    """The place of a layer that has been hoisted out of the loop over time."""
    return x
