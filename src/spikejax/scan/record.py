"""Records of a run: every step, or a reduction over time."""

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Names
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from spikejax.scan.probes import Probes
from spikejax.typing import Array, PyTree

REDUCTIONS = ("sum", "mean", "max")
"""Reductions of a record over time."""

Record: TypeAlias = str | Names[str] | Mapping[str, str | Callable[[Array], Array] | None]
"""Names of records. A mapping gives the reduction of each: None for every step, a name of `REDUCTIONS`, or a function
of the steps `[k, N, *]` of a chunk that keeps time as the first axis."""


class Recorder:
    """Reduces the records of each chunk as asked for, and joins them over the chunks.

    Args:
        record: as `run` takes it.
        lengths: valid steps of each sequence `[N]`, or None.

    Raises:
        ValueError: a reduction is unknown, or does not go with `lengths`.
    """

    def __init__(self, record: Record | None, lengths: Array | None) -> None:
        asked = (record,) if isinstance(record, str) else record or ()
        self.ways: dict[str, Any] = dict(asked) if isinstance(asked, Mapping) else dict.fromkeys(asked)
        self.names, self.lengths = tuple(self.ways), lengths
        self.unbatched: set[str] = set()
        for name, way in self.ways.items():
            if way is not None and not callable(way) and way not in REDUCTIONS:
                known = ", ".join(map(repr, REDUCTIONS))
                raise ValueError(f"`record`[{name!r}] must be None, {known} or a function of [k, N, *], got {way!r}")
            if callable(way) and lengths is not None:
                raise ValueError(
                    f"`record`[{name!r}] is a function, which does not know of `lengths`: record every step, or reduce "
                    f"over time by name"
                )

    def way(self, full: str) -> Any:
        """The reduction of the record with this full name: its own, or that of its kind."""
        return self.ways[full] if full in self.ways else self.ways[full.rsplit(".", 1)[-1]]

    def split(self, probes: Probes, start: int | Array) -> tuple[dict[str, Any], dict[str, Any]]:
        """The records of a chunk that begins at step `start`: those that stay step by step, and the others reduced."""
        self.unbatched |= probes.unbatched
        by_step, reduced = {}, {}
        for name, values in probes.records.items():
            way = self.way(name)
            if way is None:
                by_step[name] = values
            elif not isinstance(way, str):
                by_step[name] = _made(name, way, values)
            else:
                reduced[name] = jax.tree.map(partial(self._reduce, name, way, start), values)
        return by_step, reduced

    def join(self, before: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        """The reductions over all steps before, and over those of one chunk more."""
        joins = {name: jnp.maximum if self.way(name) == "max" else jnp.add for name in new}
        return {name: jax.tree.map(joins[name], before[name], value) for name, value in new.items()}

    def nothing(self, shapes: Mapping[str, Any]) -> dict[str, Any]:
        """The reductions over no step, of these shapes."""

        def rest(name: str, a: jax.ShapeDtypeStruct) -> Array:
            return jnp.full(a.shape, _lowest(a) if self.way(name) == "max" else 0, a.dtype)

        return {name: jax.tree.map(partial(rest, name), value) for name, value in shapes.items()}

    def finish(self, reduced: Mapping[str, Any], count: int) -> dict[str, Any]:
        """The reductions over all `count` steps, or the `lengths`."""

        def mean(name: str, a: Array) -> Array:
            if self.lengths is None or name in self.unbatched:
                return a / count
            return a / self.lengths.reshape(-1, *(1,) * (a.ndim - 1))

        return {
            name: jax.tree.map(partial(mean, name), value) if self.way(name) == "mean" else value
            for name, value in reduced.items()
        }

    def _reduce(self, name: str, way: str, start: int | Array, a: Array) -> Array:
        if way != "max":
            a = a.astype(jnp.promote_types(a.dtype, jnp.float32))
        neutral = _lowest(a) if way == "max" else 0
        if self.lengths is not None and name not in self.unbatched:
            valid = (start + jnp.arange(a.shape[0]))[:, None] < self.lengths
            a = jnp.where(valid.reshape(valid.shape + (1,) * (a.ndim - 2)), a, neutral)
        return a.max(0) if way == "max" else a.sum(0)


def _lowest(a: Array | jax.ShapeDtypeStruct) -> Any:
    """The lowest value of its dtype."""
    return -jnp.inf if jnp.issubdtype(a.dtype, jnp.floating) else jnp.iinfo(a.dtype).min


def _made(name: str, function: Callable[[Array], Array], values: PyTree) -> PyTree:
    """The result of a function of the steps of a chunk, checked to be as many."""
    made, steps = function(values), jax.tree.leaves(values)[0].shape[0]
    for leaf in jax.tree.leaves(made):
        if jnp.ndim(leaf) < 1 or leaf.shape[0] != steps:
            raise ValueError(
                f"`record`[{name!r}] must keep the {steps} steps of a chunk in the first axis, got shape "
                f"{jnp.shape(leaf)}: reduce the others only, or over time by 'mean'"
            )
    return made
