"""Traced functions asked which column of a parameter each element of their result depends on.

A column is the part of a kernel on which one output of a linear layer depends: `W[:, j]`. Every element of an array has
the lowest and the highest column on which it depends, so that an operation that is not known is safe: its results
depend on everything between the lowest and the highest column of its operands.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from spikejax.internals import JaxprEqn, aval_of, bind_equation
from spikejax.jaxpr import inlined, interpret
from spikejax.kernels.elementwise import ELEMENTWISE
from spikejax.typing import Array, Shape

NONE = np.iinfo(np.int32).max
"""The lowest column of an element that depends on none; its highest one is -1."""

RESHAPING = frozenset(
    "reshape transpose broadcast_in_dim slice squeeze expand_dims rev concatenate pad copy copy_p".split()  # noqa: SIM905
)
"""Primitives that only put elements elsewhere."""

REDUCING = frozenset(
    "reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or argmax argmin".split()  # noqa: SIM905
)
"""Primitives that join the elements along the axes that their parameter `axes` names."""

POOLING = frozenset("reduce_window_sum reduce_window_max reduce_window_min".split())  # noqa: SIM905
"""Primitives that join the elements in windows."""


class Columns(NamedTuple):
    """The columns on which the elements of an array depend.

    Attributes:
        low: the lowest column, an integer for each element; `NONE` where there is none.
        high: the highest one; -1 where there is none.
    """

    low: Array | np.ndarray
    high: Array | np.ndarray

    @classmethod
    def of(cls, columns: np.ndarray) -> "Columns":
        """Elements that depend on one column each."""
        return cls(columns, columns)

    def any(self) -> bool:
        """True if an element depends on a column."""
        return bool((np.asarray(self.high) >= 0).any())

    def single(self) -> np.ndarray | None:
        """The one column of each element, 0 where there is none; None if an element depends on several."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return None if (low < high).any() else np.where(high < 0, 0, high)


def columns_of(function: Callable[..., Array], args: Sequence[Any], columns: Sequence[Columns | None]) -> Columns:
    """The columns on which the result of a function depends.

    Args:
        function: from arrays to an array.
        args: its arguments, or their shapes and dtypes.
        columns: those of each argument; None where it depends on no column.
    """
    program = jax.make_jaxpr(function)(*args)
    with jax.ensure_compile_time_eval():
        (out,) = interpret(program, columns, inlined(_apply))
    return out if isinstance(out, Columns) else _nothing(program.out_avals[0].shape)


def _apply(equation: JaxprEqn, inputs: list[Any]) -> Sequence[Columns | None]:
    """The columns of the results of one operation."""
    if not any(isinstance(a, Columns) for a in inputs):
        return [None] * len(equation.outvars)
    name, params = equation.primitive.name, equation.params
    needed, shapes = ([aval_of(a).shape for a in atoms] for atoms in (equation.invars, equation.outvars))
    operands = [a if isinstance(a, Columns) else _nothing(shape) for a, shape in zip(inputs, needed, strict=True)]
    if name in ELEMENTWISE:
        lows = [jnp.broadcast_to(a.low, shapes[0]) for a in operands]
        highs = [jnp.broadcast_to(a.high, shapes[0]) for a in operands]
        return [Columns(jnp.stack(lows).min(0), jnp.stack(highs).max(0))]
    if name in RESHAPING:
        sides = ([jnp.asarray(side, jnp.int32) for side in sides] for sides in zip(*operands, strict=True))
        return [Columns(*(bind_equation(equation, side)[0] for side in sides))]
    if name in REDUCING:
        low, high = operands[0]
        return [Columns(jnp.min(low, params["axes"]), jnp.max(high, params["axes"]))]
    if name == "dynamic_slice" and not any(isinstance(a, Columns) for a in inputs[1:]):
        sizes = params["slice_sizes"]
        axes = tuple(i for i, (size, whole) in enumerate(zip(sizes, needed[0], strict=True)) if size != whole)
        low, high = jnp.min(operands[0].low, axes, keepdims=True), jnp.max(operands[0].high, axes, keepdims=True)
        return [Columns(jnp.broadcast_to(low, sizes), jnp.broadcast_to(high, sizes))]
    if name in POOLING:
        low, high = (jnp.asarray(side, jnp.int32) for side in operands[0])
        keys = "window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation"
        window = [params[key] for key in keys]
        joined = lax.reduce_window(low, jnp.int32(NONE), lax.min, *window)
        return [Columns(joined, lax.reduce_window(high, jnp.int32(-1), lax.max, *window))]
    low = min(int(np.min(a.low, initial=NONE)) for a in operands)
    high = max(int(np.max(a.high, initial=-1)) for a in operands)
    return [Columns(np.full(shape, low, np.int32), np.full(shape, high, np.int32)) for shape in shapes]


def _nothing(shape: Shape) -> Columns:
    return Columns(np.full(shape, NONE, np.int32), np.full(shape, -1, np.int32))
