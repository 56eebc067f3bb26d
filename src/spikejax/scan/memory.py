"""How much memory training through time takes, known before anything runs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from spikejax.scan.run import run
from spikejax.typing import Array, Cell


class Memory(NamedTuple):
    """What a compiled program takes, in bytes.

    Attributes:
        scratch: what it takes besides its arguments and results: residuals, sequences between layers.
        arguments: parameters, state and input.
        results: gradients and outputs.
    """

    scratch: int
    arguments: int
    results: int


def memory_estimate(cell: Cell, xs: Any, state: Any = None, *, gradient: bool = True, **how: Any) -> Memory:
    """The memory of one run and of its gradient, from shapes alone: compiles, but computes nothing.

    The figures are those of the compiler, so they hold for the platform that JAX uses, and for what XLA fuses there.
    They are of the gradient of the mean output in the parameters, or in the input of a cell that has none; another loss
    changes them by what it keeps itself.

    Args:
        cell: a cell or a network.
        xs: input as `run` takes it, or a `jax.ShapeDtypeStruct` in its place.
        state: state to start from, as in `run`.
        gradient: False is for the run alone.
        **how: as in `run`: steps, chunk, remat, method, residuals, backward, lengths, record.

    Raises:
        ValueError, TypeError: as `run`.
    """
    leaves, structure = jax.tree.flatten(cell)
    trained = [bool(jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)) for leaf in leaves]

    def mean(parameters: list[Any], others: list[Any], xs: Any, state: Any) -> tuple[Array, Any]:
        first, second = iter(parameters), iter(others)
        given = structure.unflatten([next(first) if own else next(second) for own in trained])
        last, ys = run(given, xs, state, **how)
        return jnp.mean(ys if how.get("record") is None else ys[0]), last

    parameters, others = ([a for a, own in zip(leaves, trained, strict=True) if own is side] for side in (True, False))
    function = jax.grad(mean, 0 if parameters else 2, has_aux=True) if gradient else mean
    found: Any = jax.jit(function).lower(parameters, others, xs, state).compile().memory_analysis()
    return Memory(found.temp_size_in_bytes, found.argument_size_in_bytes, found.output_size_in_bytes)
