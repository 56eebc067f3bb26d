"""The one op: charge, fire and reset over time, with a derivative of its own."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from spikejax.cells import ChargeFireReset
from spikejax.checks import check_option
from spikejax.internals import varying_together
from spikejax.kernels import adjoint
from spikejax.kernels.backends import BACKENDS, select_backend
from spikejax.kernels.blocks import blocks_of
from spikejax.kernels.cpu import CPU
from spikejax.kernels.elementwise import NotElementwiseError
from spikejax.kernels.linear import linear_call
from spikejax.kernels.packed import known_run, pack_run
from spikejax.kernels.template import (
    Cotangents,
    Floats,
    as_cotangent,
    emit,
    floats,
    has_gradient,
    why_not_fused,
    with_floats,
)
from spikejax.sequence import Sequence, as_sequence
from spikejax.typing import Array, Cell, State

RESIDUALS = ("h", "x", "packed")
BACKWARDS = ("scan", "associative")


class Fused(NamedTuple):
    """What a fused run gives.

    Attributes:
        state: the last state.
        ys: outputs `[T, N, *]`.
        states: the states after each step `[T, N, *]`, where they were to be kept.
    """

    state: State
    ys: Array
    states: State | None


Outs = tuple[State, Array, State | None]
"""The last state, the outputs, and the charged states where these are kept."""


@dataclass(frozen=True)
class How:
    """What is fixed when a fused run is traced.

    Attributes:
        structure: of `(cell, state, xs)`.
        keep: whether the states after each step are put out.
        backend: name of the back end.
        residuals: what the backward pass keeps.
        backward: how it goes through time.
    """

    structure: Any
    keep: bool
    backend: str
    residuals: str
    backward: str


def fused_scan(
    cell: Cell,
    state: State,
    xs: Sequence | Array,
    *,
    residuals: str = "h",
    backward: str = "scan",
    backend: str | None = None,
) -> tuple[State, Array]:
    """Runs a cell of the form charge, fire, reset over time as one op.

        h[t] = charge(state[t-1], x[t])      s[t] = fire(h[t])      state[t] = reset(h[t], s[t])

    For the backward pass it keeps the charged states h alone, from which all else follows; without a gradient it keeps
    nothing. The values and gradients are those of a `lax.scan` over `cell.step`. Forward mode and `vmap` work too.

    Args:
        cell: the cell; its array fields, the state and the input have gradients.
        state: as `cell.init_state` gives it.
        xs: input: an array `[T, N, *]` or a `Sequence`.
        residuals: what the backward pass keeps: "h"; "x", nothing but the input, from which it computes h again;
            "packed", h in bfloat16 and a bit a spike, for cells whose output is 0 or 1.
        backward: how the backward pass goes through time: "scan", step by step, or "associative", in about log2(T)
            stages, for cells whose equations are elementwise.
        backend: a name of `BACKENDS`: "llvm" on a CPU; "triton" or "mosaic" on a GPU; "xla"; by default the one that
            `explain_backend` names.

    Returns:
        The last state, and the outputs `[T, N, *]`.

    Raises:
        ValueError: `cell` is not of that form, or not of the form that `residuals` or `backward` asks for; the input
            and the state differ in shape; an option is unknown.
    """
    return fused(cell, state, as_sequence(xs), keep=False, residuals=residuals, backward=backward, backend=backend)[:2]


def fused(
    cell: Cell,
    state: State,
    xs: Sequence,
    *,
    keep: bool,
    residuals: str = "h",
    backward: str = "scan",
    backend: str | None = None,
) -> Fused:
    """`fused_scan`, with the states after each step where `keep`."""
    check_option("residuals", residuals, RESIDUALS)
    check_option("backward", backward, BACKWARDS)
    check_option("backend", backend, (None, *BACKENDS))
    reason = why_not_fused(cell)
    if reason or not isinstance(cell, ChargeFireReset):
        raise ValueError(f"`cell` has no fused kernel, because {reason}: use method='scan'")
    state, xs = jax.tree.map(jnp.asarray, (state, xs))
    _, y = jax.eval_shape(lambda cell, state, xs: cell.step(state, xs.at(0)), cell, state, xs)
    if residuals == "packed" and cell.output_kind != "spikes":
        raise ValueError(
            f"`residuals` 'packed' keeps a bit a spike, and the output of {type(cell).__name__} is not 0 or 1 but "
            f"{cell.output_kind!r}: use residuals='h'"
        )
    if backward == "associative":
        _check_elementwise(cell, state, xs)
    missing = CPU.missing(blocks_of(cell, state, xs)) if backend == "llvm" else None
    if missing:
        raise ValueError(f"`backend` 'llvm' has no kernel for {type(cell).__name__}, because {missing}; or use 'xla'")
    backend = backend or select_backend(cell, state, xs).backend or "xla"
    leaves, structure = jax.tree.flatten((cell, state, xs))
    how = How(structure, keep, backend, residuals, backward)
    last, ys, hs = _fused(how, varying_together(leaves))
    return Fused(last, ys.astype(y.dtype), jax.vmap(lambda h: emit(cell, h)[0])(hs) if keep else None)


def _check_elementwise(cell: ChargeFireReset, state: State, xs: Sequence) -> None:
    """Raises ValueError where the associative backward pass would be wrong."""
    try:
        blocks_of(cell, state, xs)
    except NotElementwiseError as error:
        raise ValueError(
            f"`backward` 'associative' treats each neuron on its own, and {type(cell).__name__} does not: {error}; "
            f"use backward='scan'"
        ) from error


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _fused(how: How, leaves: list[Array]) -> Outs:
    problem, backend = how.structure.unflatten(leaves), BACKENDS[how.backend]
    return backend.forward(*problem) if how.keep else (*backend.infer(*problem), None)


def _fused_jvp(how: How, primals: Any, tangents: Any) -> tuple[Outs, Outs]:
    (leaves,), (tangents,) = primals, tangents
    tangents = [t for leaf, t in zip(leaves, tangents, strict=True) if has_gradient(leaf)]
    active = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]
    backend = BACKENDS[how.backend]
    problem = how.structure.unflatten(leaves)
    if how.residuals == "packed" and not how.keep:
        last, ys, kept = backend.packed(*problem)
        out = last, ys, None
    else:
        last, ys, hs = backend.forward(*problem)
        kept = {"h": lambda: hs, "x": lambda: None, "packed": lambda: pack_run(hs, ys)}[how.residuals]()
        out = last, ys, hs if how.keep else None

    def push(residuals: Any, tangents: Floats) -> Floats:
        leaves, _ = residuals
        values = floats(leaves)

        def from_active(changed: Floats) -> Floats:
            new = dict(zip(active, changed, strict=True))
            given = with_floats(leaves, [new.get(i, value) for i, value in enumerate(values)])
            return floats(_step_by_step(how, *how.structure.unflatten(given)))

        return jax.jvp(from_active, ([values[i] for i in active],), (tangents,))[1]

    def pull(residuals: Any, cotangents: Floats) -> Floats:
        leaves, kept = residuals
        cell, state, xs = how.structure.unflatten(leaves)
        count = len(floats(state))
        last, ys, of_hs = cotangents[:count], cotangents[count], cotangents[count + 1 :]
        given = Cotangents(last, ys, of_hs if how.keep else None)
        parts = _backward(how, cell, state, xs, kept, given)
        found = [g for part in parts for g in part]
        return [found[i] for i in active]

    tangent = linear_call(push, pull, (leaves, kept), [tangents[i] for i in active])
    return out, as_cotangent(out, tangent)


def _backward(
    how: How, cell: ChargeFireReset, state: State, xs: Sequence, kept: Any, cotangents: Cotangents
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of cell, state and input, from what was kept."""
    backend = BACKENDS[how.backend]
    backward = adjoint.backward if how.backward == "associative" else backend.backward
    if how.residuals == "packed":
        known, start, hs, cotangents = known_run(cell, state, kept, cotangents)
        g_cell, g_state, g_xs = backward(known, start, xs, hs, cotangents)
        return g_cell, g_state[:-1], g_xs
    return backward(cell, state, xs, kept, cotangents)


_fused.defjvp(_fused_jvp, symbolic_zeros=True)


def _step_by_step(how: How, cell: ChargeFireReset, state: State, xs: Sequence) -> Outs:
    """The op as one plain scan, which JAX differentiates forward."""

    def step(state: State, x: Array, _: None) -> tuple[State, Any]:
        h = cell.charged(state, x)
        state, s = emit(cell, h)
        return state, (s, h if how.keep else None)

    state, (ys, hs) = xs.scan(step, state)
    return state, ys, hs
