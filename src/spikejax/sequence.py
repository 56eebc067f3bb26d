"""Sequences over time: values of their own at every step, or one value that is shown at all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

PyTree: TypeAlias = Any
"""Arrays, or sequences, in any nesting of tuples, lists, dicts and other registered nodes."""

LoopCarry = TypeVar("LoopCarry")
Body = Callable[[Any, Any, Any], tuple[Any, Any]]
"""One iteration of a loop over time: `(carry, x, other)` to the next carry and what the iteration puts out."""


class Sequence(ABC):
    """The input or output of a layer over several steps, time first.

    Attributes:
        data: the array behind it.
        time_axis: axis of `data` that is time, as `jax.vmap(in_axes=...)` takes it; None where there is none.
        steps: number of steps T, known when a program is traced.
    """

    data: jax.Array
    time_axis: int | None
    steps: int

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one step, `(N, *)`."""

    @property
    def dtype(self) -> Any:
        """Data type of the values."""
        return self.data.dtype

    @abstractmethod
    def at(self, t: jax.Array | int) -> jax.Array:
        """The value of step `t`, `[N, *]`."""

    @abstractmethod
    def all(self) -> jax.Array:
        """The values of all steps, `[T, N, *]`."""

    @property
    @abstractmethod
    def rows(self) -> jax.Array | None:
        """The array `[T, N, *]` for a loop over the steps; None if the value is no part of what changes."""

    @abstractmethod
    def single(self, row: jax.Array | None) -> "Sequence":
        """A sequence of one step, from a row of `rows`."""

    @abstractmethod
    def first(self, steps: int) -> "Sequence":
        """The first `steps` steps."""

    @abstractmethod
    def after(self, steps: int) -> "Sequence":
        """The steps that follow the first `steps`."""

    @abstractmethod
    def map(self, function: Callable[[jax.Array], jax.Array]) -> "Sequence":
        """The results of `function`, of one step `[N, *]` each; the same at every step where the values are."""

    @abstractmethod
    def scan(self, body: Body, carry: LoopCarry, others: PyTree = None) -> tuple[LoopCarry, Any]:
        """Loops over the steps as `jax.lax.scan` does; a single step takes no loop.

        Args:
            body: one iteration, whose `x` is the value of a step `[N, *]`.
            carry: carry of the first iteration.
            others: arrays `[T, *]` in any pytree, of which each iteration gets its row.

        Returns:
            The last carry, and what the iterations put out, stacked.
        """

    @abstractmethod
    def scan_chunks(self, body: Body, carry: LoopCarry, others: PyTree, chunk: int) -> tuple[LoopCarry, Any]:
        """Loops over chunks as `scan` over steps: `x` is a sequence of `chunk` steps, `others` are `[T / chunk, *]`."""

    @abstractmethod
    def add_at(self, total: list[jax.Array], t: jax.Array | int, cotangent: list[jax.Array]) -> list[jax.Array]:
        """Adds the cotangent of step `t`, in `total` 0 so far, to that of `data`: the transpose of `at`."""

    @abstractmethod
    def transpose_all(self, cotangent: jax.Array) -> jax.Array:
        """The cotangent of `data` from that of all steps `[T, N, *]`: the transpose of `all`."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Steps(Sequence):
    """A value for every step.

    Attributes:
        data: the values `[T, N, *]`.
    """

    data: jax.Array
    time_axis = 0

    @property
    def steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of steps T."""
        return self.data.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step, `(N, *)`."""
        return self.data.shape[1:]

    def at(self, t: jax.Array | int) -> jax.Array:
        """The value of step `t`, `[N, *]`."""
        return lax.dynamic_index_in_dim(self.data, t, keepdims=False)

    def all(self) -> jax.Array:
        """The values of all steps, `[T, N, *]`."""
        return self.data

    @property
    def rows(self) -> jax.Array:
        """The values `[T, N, *]`."""
        return self.data

    def single(self, row: jax.Array) -> "Steps":  # pyright: ignore[reportIncompatibleMethodOverride]
        """A sequence of one step."""
        return Steps(row[None])

    def first(self, steps: int) -> "Steps":
        """The first `steps` steps."""
        return Steps(self.data[:steps])

    def after(self, steps: int) -> "Steps":
        """The steps that follow the first `steps`."""
        return Steps(self.data[steps:])

    def map(self, function: Callable[[jax.Array], jax.Array]) -> "Steps":
        """The results of `function`, of one step `[N, *]` each."""
        return Steps(jax.vmap(function)(self.data))

    def scan(self, body: Body, carry: LoopCarry, others: PyTree = None) -> tuple[LoopCarry, Any]:
        """Loops over the steps; see `Sequence.scan`."""
        return _scan(lambda carry, rows: body(carry, *rows), carry, (self.data, others), self.steps)

    def scan_chunks(self, body: Body, carry: LoopCarry, others: PyTree, chunk: int) -> tuple[LoopCarry, Any]:
        """Loops over chunks; see `Sequence.scan_chunks`."""
        parts = self.data.reshape(-1, chunk, *self.shape)
        return _scan(lambda carry, rows: body(carry, Steps(rows[0]), rows[1]), carry, (parts, others), len(parts))

    def add_at(self, total: list[jax.Array], t: jax.Array | int, cotangent: list[jax.Array]) -> list[jax.Array]:
        """The cotangent of step `t` in its place."""
        return [lax.dynamic_update_index_in_dim(a, g, t, 0) for a, g in zip(total, cotangent, strict=True)]

    def transpose_all(self, cotangent: jax.Array) -> jax.Array:
        """The cotangent itself."""
        return cotangent


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Static(Sequence):
    """One value that is shown at every step, and never copied.

    Attributes:
        data: the value `[N, *]`.
        steps: number of steps T.
    """

    data: jax.Array
    steps: int = field(metadata={"static": True})
    time_axis = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one step, `(N, *)`."""
        return self.data.shape

    def at(self, t: jax.Array | int) -> jax.Array:
        """The value, whatever the step."""
        return self.data

    def all(self) -> jax.Array:
        """The value repeated, `[T, N, *]`."""
        return jnp.broadcast_to(self.data, (self.steps, *self.data.shape))

    @property
    def rows(self) -> None:
        """Nothing: the value does not change."""
        return None

    def single(self, row: None) -> "Static":  # pyright: ignore[reportIncompatibleMethodOverride]
        """The value at one step."""
        return self.first(1)

    def first(self, steps: int) -> "Static":
        """The value at the first `steps` steps."""
        return Static(self.data, min(steps, self.steps))

    def after(self, steps: int) -> "Static":
        """The value at the steps that follow the first `steps`."""
        return Static(self.data, self.steps - steps)

    def map(self, function: Callable[[jax.Array], jax.Array]) -> "Static":
        """The result of `function`, which is the same at every step."""
        return Static(function(self.data), self.steps)

    def scan(self, body: Body, carry: LoopCarry, others: PyTree = None) -> tuple[LoopCarry, Any]:
        """Loops over the steps; see `Sequence.scan`."""
        return _scan(lambda carry, row: body(carry, self.data, row), carry, others, self.steps)

    def scan_chunks(self, body: Body, carry: LoopCarry, others: PyTree, chunk: int) -> tuple[LoopCarry, Any]:
        """Loops over chunks; see `Sequence.scan_chunks`."""
        part = self.first(chunk)
        return _scan(lambda carry, row: body(carry, part, row), carry, others, self.steps // chunk)

    def add_at(self, total: list[jax.Array], t: jax.Array | int, cotangent: list[jax.Array]) -> list[jax.Array]:
        """The sum: every step sees the same value."""
        return [a + g for a, g in zip(total, cotangent, strict=True)]

    def transpose_all(self, cotangent: jax.Array) -> jax.Array:
        """The sum over all steps."""
        return cotangent.sum(0)


def as_sequence(xs: Sequence | jax.Array) -> Sequence:
    """A sequence as it is; an array `[T, N, *]` as one."""
    return xs if isinstance(xs, Sequence) else Steps(jnp.asarray(xs))


def is_sequence(node: object) -> bool:
    """True for a sequence: where to stop in a pytree of them."""
    return isinstance(node, Sequence)


def apply_at_once(function: Callable[..., jax.Array], *sequences: Sequence) -> Sequence:
    """A function of batches on all steps at once: `[T, N, *]` goes in, and comes out, as `[T * N, *]`.

    Args:
        function: takes as many batches `[N, *]` as there are sequences, and gives one.
        *sequences: sequences of equal length.

    Returns:
        The results of all steps; static where every sequence is.
    """
    varying = [xs for xs in sequences if xs.time_axis is not None]
    if not varying:
        return Static(function(*(xs.data for xs in sequences)), sequences[0].steps)
    steps, batch = varying[0].data.shape[:2]
    ys = function(*(xs.all().reshape(steps * batch, *xs.shape[1:]) for xs in sequences))
    return Steps(ys.reshape(steps, batch, *ys.shape[1:]))


def _scan(body: Callable[[Any, Any], tuple[Any, Any]], carry: PyTree, rows: PyTree, count: int) -> tuple[Any, Any]:
    """`jax.lax.scan`, but for one iteration without a loop."""
    if count > 1:
        return lax.scan(body, carry, rows, length=count)
    carry, out = body(carry, jax.tree.map(lambda a: a[0], rows))
    return carry, jax.tree.map(lambda a: a[None], out)
