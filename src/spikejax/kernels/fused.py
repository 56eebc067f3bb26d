"""Charge, fire and reset over time as one op, with its own derivatives."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from spikejax.cells import ChargeFireReset
from spikejax.checks import check_option
from spikejax.internals import varying_together
from spikejax.kernels.adjoint import associative_backward
from spikejax.kernels.backends import BACKENDS, select_backend
from spikejax.kernels.blocks import block_equations
from spikejax.kernels.cpu import CPU
from spikejax.kernels.elementwise import NotElementwiseError
from spikejax.kernels.linear import linear_call
from spikejax.kernels.packed import known_run, pack_run
from spikejax.kernels.template import (
    Cotangents,
    Floats,
    as_cotangent,
    fire_reset,
    floats,
    has_gradient,
    why_not_fused,
    with_floats,
)
from spikejax.sequence import Sequence, as_sequence
from spikejax.typing import Array, Cell, State

RESIDUALS = ("h", "x", "packed")
BACKWARDS = ("scan", "associative")


class FusedRun(NamedTuple):
    """The results of a fused run.

    Attributes:
        state: the last state.
        ys: outputs `[T, N, *]`.
        states: the states after each step `[T, N, *]`, if they were asked for.
    """

    state: State
    ys: Array
    states: State | None


_Results = tuple[State, Array, State | None]
"""The last state, the outputs, and the charged states if they were asked for."""


@dataclass(frozen=True)
class FusedOptions:
    """The options of a fused run, fixed when it is traced.

    Attributes:
        structure: structure of `(cell, state, xs)`.
        return_states: True if the charged states are results.
        backend: name of the back end.
        residuals: a name of `RESIDUALS`.
        backward: a name of `BACKWARDS`.
    """

    structure: Any
    return_states: bool
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

    It saves only the charged states h for the backward pass, since everything else follows from them; a run without a
    gradient saves nothing. The values and gradients are those of a `lax.scan` over `cell.step`. Forward mode and
    `vmap` work too.

    Args:
        cell: the cell; its array fields, the state and the input have gradients.
        state: as `cell.init_state` gives it.
        xs: input: an array `[T, N, *]` or a `Sequence`.
        residuals: values saved for the backward pass: "h"; "x", only the input, from which h is computed again;
            "packed", h in bfloat16 and a bit a spike, for cells whose output is 0 or 1.
        backward: order of the backward pass: "scan", step by step, or "associative", in about log2(T) stages, for cells
            whose equations are elementwise.
        backend: a name of `BACKENDS`: "llvm" on a CPU; "triton" or "mosaic" on a GPU; "xla"; by default the one that
            `explain_backend` names.

    Returns:
        The last state, and the outputs `[T, N, *]`.

    Raises:
        ValueError: `cell` is not of that form, or not of the form that `residuals` or `backward` asks for; the input
            and the state differ in shape; an option is unknown.
    """
    return fused(
        cell, state, as_sequence(xs), return_states=False, residuals=residuals, backward=backward, backend=backend
    )[:2]


def fused(
    cell: Cell,
    state: State,
    xs: Sequence,
    *,
    return_states: bool,
    residuals: str = "h",
    backward: str = "scan",
    backend: str | None = None,
) -> FusedRun:
    """`fused_scan`, which also returns the states after each step if `return_states`."""
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
            f"`residuals` 'packed' saves a bit a spike, and the output of {type(cell).__name__} is not 0 or 1 but "
            f"{cell.output_kind!r}: use residuals='h'"
        )
    if backward == "associative":
        _check_elementwise(cell, state, xs)
    missing = CPU.missing(block_equations(cell, state, xs)) if backend == "llvm" else None
    if missing:
        raise ValueError(f"`backend` 'llvm' has no kernel for {type(cell).__name__}, because {missing}; or use 'xla'")
    backend = backend or select_backend(cell, state, xs).backend or "xla"
    leaves, structure = jax.tree.flatten((cell, state, xs))
    options = FusedOptions(structure, return_states, backend, residuals, backward)
    last, ys, hs = _fused(options, varying_together(leaves))
    states = jax.vmap(lambda h: fire_reset(cell, h)[0])(hs) if return_states else None
    return FusedRun(last, ys.astype(y.dtype), states)


def _check_elementwise(cell: ChargeFireReset, state: State, xs: Sequence) -> None:
    """Raises ValueError if the associative backward pass would be wrong."""
    try:
        block_equations(cell, state, xs)
    except NotElementwiseError as error:
        raise ValueError(
            f"`backward` 'associative' treats each neuron on its own, and {type(cell).__name__} does not: {error}; "
            f"use backward='scan'"
        ) from error


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _fused(options: FusedOptions, leaves: list[Array]) -> _Results:
    problem, backend = options.structure.unflatten(leaves), BACKENDS[options.backend]
    return backend.forward(*problem) if options.return_states else (*backend.infer(*problem), None)


def _fused_jvp(
    options: FusedOptions, primals: tuple[list[Array]], tangents: tuple[list[Any]]
) -> tuple[_Results, _Results]:
    (leaves,), (all_tangents,) = primals, tangents
    float_tangents = [t for leaf, t in zip(leaves, all_tangents, strict=True) if has_gradient(leaf)]
    active = [i for i, t in enumerate(float_tangents) if not isinstance(t, SymbolicZero)]
    backend = BACKENDS[options.backend]
    problem = options.structure.unflatten(leaves)
    if options.residuals == "packed" and not options.return_states:
        last, ys, saved = backend.packed(*problem)
        out = last, ys, None
    else:
        last, ys, hs = backend.forward(*problem)
        saved = {"h": lambda: hs, "x": lambda: None, "packed": lambda: pack_run(hs, ys)}[options.residuals]()
        out = last, ys, hs if options.return_states else None

    def jvp(residuals: tuple[list[Array], Any], tangents: Floats) -> Floats:
        leaves, _ = residuals
        values = floats(leaves)

        def from_active(active_values: Floats) -> Floats:
            new = dict(zip(active, active_values, strict=True))
            changed = with_floats(leaves, [new.get(i, value) for i, value in enumerate(values)])
            return floats(_step_by_step(options, *options.structure.unflatten(changed)))

        return jax.jvp(from_active, ([values[i] for i in active],), (tangents,))[1]

    def transpose(residuals: tuple[list[Array], Any], cotangents: Floats) -> Floats:
        leaves, saved = residuals
        cell, state, xs = options.structure.unflatten(leaves)
        count = len(floats(state))
        last, ys, of_hs = cotangents[:count], cotangents[count], cotangents[count + 1 :]
        of_run = Cotangents(last, ys, of_hs if options.return_states else None)
        parts = _backward(options, cell, state, xs, saved, of_run)
        of_leaves = [g for part in parts for g in part]
        return [of_leaves[i] for i in active]

    tangent = linear_call(jvp, transpose, (leaves, saved), [float_tangents[i] for i in active])
    return out, as_cotangent(out, tangent)


def _backward(
    options: FusedOptions, cell: ChargeFireReset, state: State, xs: Sequence, saved: Any, cotangents: Cotangents
) -> tuple[Floats, Floats, Floats]:
    """The cotangents of the cell, of the state and of the input, from the saved residuals."""
    backward = associative_backward if options.backward == "associative" else BACKENDS[options.backend].backward
    if options.residuals == "packed":
        known, start, hs, cotangents = known_run(cell, state, saved, cotangents)
        g_cell, g_state, g_xs = backward(known, start, xs, hs, cotangents)
        return g_cell, g_state[:-1], g_xs
    return backward(cell, state, xs, saved, cotangents)


_fused.defjvp(_fused_jvp, symbolic_zeros=True)


def _step_by_step(options: FusedOptions, cell: ChargeFireReset, state: State, xs: Sequence) -> _Results:
    """The op as one plain scan, which JAX differentiates forward."""

    def step(state: State, x: Array, _: None) -> tuple[State, Any]:
        h = cell.charged(state, x)
        state, s = fire_reset(cell, h)
        return state, (s, h if options.return_states else None)

    state, (ys, hs) = xs.scan(step, state)
    return state, ys, hs
