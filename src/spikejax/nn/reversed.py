"""A network that reads a sequence from its end."""

from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from spikejax.nn.cell_module import Layer
from spikejax.nn.container import Container
from spikejax.nn.sequential import Sequential
from spikejax.sequence import Sequence
from spikejax.typing import Array, LayerVisitor, Path, Shape, State, StepLimited, StepLimits


class Reversed(Container, StepLimited):
    """Layers that see the last step first; itself a cell, but for single steps.

        y[t] = z[T - 1 - t]      z = layers(x[T - 1], ..., x[0])

    With `lengths`, each sequence starts from its own last step. Beside a layer that reads forward it makes a
    bidirectional network: `Parallel(a, Reversed(b), join="concatenate")`. All steps run in one chunk. The state goes
    from late to early: after a run it is that of the first step, and another run starts from it at its own last step.

    Args:
        *layers: as of `Sequential`, and named so: `reversed[0]`, "1.0.spikes" for a record, which is in the order in
            which the layers see the steps.

    Raises:
        ValueError: there is no layer; by `run`, it has several chunks, or this stands in a loop; by `step`, always.
        TypeError: a layer is neither a cell, nor a module, nor a function.
    """

    def __init__(self, *layers: Layer) -> None:
        self.net = Sequential(*layers)

    def limits(self) -> StepLimits:
        """All steps of a run, however many."""
        return StepLimits(whole=True, reason="Reversed starts at the end of the sequence")

    def __len__(self) -> int:
        return len(self.net)

    def __getitem__(self, index: int) -> Any:
        """The layer at `index`."""
        return self.net[index]

    def init_state(self, shape: Shape, dtype: DTypeLike = jnp.float32, *, key: Array | None = None) -> State:
        """The states of all layers before the last step; see `Sequential`."""
        return self.net.init_state(shape, dtype, key=key)

    def step(self, state: State, x: Array) -> tuple[State, Array]:
        """Not possible: always raises `ValueError`."""
        raise ValueError("Reversed cannot take a single step, because it starts at the end of the sequence: use sx.run")

    def propagate(self, state: State, xs: Sequence, visitor: LayerVisitor, path: Path = ()) -> tuple[State, Sequence]:
        """Takes `xs` through every layer; see `spikejax.typing.Network`."""
        state, ys = self.net.propagate(state, visitor.reverse(path, xs), visitor, path)
        return state, visitor.reverse(path, ys)
