"""The memory that training through time takes, known before anything runs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.scan.run import run
from spikejax.typing import Array, Cell, State


class Memory(NamedTuple):
    """The memory of a compiled program, in bytes.

    Attributes:
        scratch: memory besides its arguments and results: residuals, sequences between layers.
        arguments: parameters, state and input.
        results: gradients and outputs.
    """

    scratch: int
    arguments: int
    results: int


def memory_estimate(
    cell: Cell, xs: ArrayLike | jax.ShapeDtypeStruct, state: State = None, *, gradient: bool = True, **options: Any
) -> Memory:
    """The memory of one run and of its gradient, from shapes alone: compiles, but computes nothing.

    The figures are those of the compiler, so they hold for the platform that JAX uses, and for what XLA fuses there.
    They are of the gradient of the mean output in the parameters, or in the input of a cell that has none; another loss
    changes them by what it keeps itself.

    Args:
        cell: a cell or a network.
        xs: input as `run` takes it, or a `jax.ShapeDtypeStruct` in its place.
        state: state to start from, as in `run`.
        gradient: False is for the run alone.
        **options: as in `run`: steps, chunk, remat, method, residuals, backward, lengths, record.

    Raises:
        ValueError, TypeError: as `run`.
    """
    leaves, structure = jax.tree.flatten(cell)
    trained = [bool(jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)) for leaf in leaves]

    def mean(parameters: list[Array], others: list[Array], xs: Array, state: State) -> tuple[Array, Any]:
        first, second = iter(parameters), iter(others)
        net = structure.unflatten([next(first) if is_trained else next(second) for is_trained in trained])
        last, ys = run(net, xs, state, **options)
        return jnp.mean(ys if options.get("record") is None else ys[0]), last

    parameters, others = (
        [a for a, is_trained in zip(leaves, trained, strict=True) if is_trained is side] for side in (True, False)
    )
    function = jax.grad(mean, 0 if parameters else 2, has_aux=True) if gradient else mean
    memory: Any = jax.jit(function).lower(parameters, others, xs, state).compile().memory_analysis()
    return Memory(memory.temp_size_in_bytes, memory.argument_size_in_bytes, memory.output_size_in_bytes)
