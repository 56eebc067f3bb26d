"""A cell over time, taken apart for a kernel that works on blocks of neurons."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AbstractMesh

from spikejax.cells import ChargeFireReset
from spikejax.jaxpr import reads, split_program
from spikejax.kernels.elementwise import BlockFunction, NotElementwiseError, Rewrites
from spikejax.kernels.template import Floats, emit, floats, has_gradient, with_floats
from spikejax.sequence import Sequence
from spikejax.typing import Array, Shape, State


class Layout:
    """Which arrays of a cell and its state stand for single neurons.

    A cell's parameters are its own, one value a neuron once broadcast, or tables, whose first axis is time. A state's
    variables are its own, one value a neuron, or shared: random keys, counters.
    """

    def __init__(self, cell: ChargeFireReset, state: State, shape: Shape) -> None:
        leaves, aligned = jax.tree.leaves(cell), cell.feature_shapes().values()
        self._cell, self._state, self._shape = cell, state, shape
        self._is_param = [has_gradient(a) and np.shape(a) == own for a, own in zip(leaves, aligned, strict=True)]
        self._is_own = [has_gradient(a) and a.shape == shape for a in jax.tree.leaves(state)]

    def of_cell(self, cell: ChargeFireReset) -> tuple[Floats, list[Array]]:
        """Its parameters, each broadcast to all neurons, and its tables."""
        params, tables = _partition(self._is_param, cell)
        return [jnp.broadcast_to(a, self._shape) for a in params], tables

    def of_state(self, state: State) -> tuple[Floats, list[Array]]:
        """Its own variables and its shared ones."""
        return _partition(self._is_own, state)

    def cell(self, params: Floats, tables: list[Array]) -> ChargeFireReset:
        """The cell with these parameters and tables."""
        return _join(self._is_param, self._cell, params, tables)

    def state(self, own: Floats, shared: list[Array]) -> State:
        """The state with these variables."""
        return _join(self._is_own, self._state, own, shared)


OverSteps = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes of a function of one step one of all steps: `jax.vmap`, at once, or one after another."""


class Drives(NamedTuple):
    """What follows from time alone, `[T, N, *]`: operands of the charge, and of what comes after it."""

    charge: list[Array]
    emit: list[Array]


class Blocks(NamedTuple):
    """The equations of a cell as functions of blocks of neurons, their way back, and what they need besides.

    Attributes:
        layout: which arrays stand for single neurons.
        charge: `(drives, (params, state, x))` to h.
        emit: `(drives, (params, h))` to the state after it and the output.
        charge_back: `(drives, (params, state, x), g_h)` to the cotangents of the others' floating-point leaves.
        emit_back: `(drives, (params, h), (g_state, g_s))`, likewise.
        reads_back: which drives of the charge `charge_back` reads, and whether it reads x.
        has_tables: whether there are parameters over time, with gradients.
        x: shape and dtype of the input of one step.
        s: likewise of its output.
        drives: from the tables, the first shared variables, and `jax.vmap` or its like, to the drives of all steps.
        shared: from the tables and the first shared variables to the shared ones after each charge `[T, *]`, and after
            the last step.
    """

    layout: Layout
    charge: BlockFunction
    emit: BlockFunction
    charge_back: BlockFunction
    emit_back: BlockFunction
    reads_back: list[bool]
    has_tables: bool
    x: jax.ShapeDtypeStruct
    s: jax.ShapeDtypeStruct
    drives: Callable[[list[Array], list[Array], OverSteps], Drives]
    shared: Callable[[list[Array], list[Array]], tuple[list[Array], list[Array]]]

    def rewritten(self, rewrites: Rewrites) -> "Blocks":
        """The same equations with further primitives computed by `rewrites`."""
        names = "charge", "emit", "charge_back", "emit_back"
        return self._replace(**{name: getattr(self, name).rewritten(rewrites) for name in names})


def blocks_of(cell: ChargeFireReset, state: State, xs: Sequence) -> Blocks:
    """Takes `cell` apart, to run over `xs` from `state`.

    Raises:
        NotElementwiseError: an equation does more than treat each neuron on its own.
    """
    leaves, structure = jax.tree.flatten((cell, state, xs))
    found = _taken_apart(structure, tuple((a.shape, a.dtype) for a in leaves), jax.config.read("jax_enable_x64"))
    if isinstance(found, str):
        raise NotElementwiseError(found)
    return found


@lru_cache(maxsize=256)
def _taken_apart(structure: Any, arrays: tuple[Any, ...], wide: bool) -> Blocks | str:
    """`blocks_of`, which needs shapes and dtypes alone, or what is wrong; `wide` numbers change what is traced."""
    try:
        # A block is not split among devices, and what is kept for later calls must not depend on how this one runs.
        with jax.disable_jit(False), jax.sharding.use_abstract_mesh(AbstractMesh((), ())):
            return _take_apart(*structure.unflatten([jax.ShapeDtypeStruct(*array) for array in arrays]))
    except NotElementwiseError as error:
        return str(error)


def _take_apart(cell: ChargeFireReset, state: State, xs: Sequence) -> Blocks:
    x = jax.ShapeDtypeStruct(xs.shape, xs.dtype)
    layout, steps = Layout(cell, state, x.shape), xs.steps
    (params, tables), (own, shared) = jax.eval_shape(
        lambda cell, state: (layout.of_cell(cell), layout.of_state(state)), cell, state
    )
    of_charge, of_emit = jax.eval_shape(lambda *trees: trees, (params, own, x), (params, own))

    def charge(known: Any, varying: Any) -> tuple[Floats, list[Array]]:
        (tables, shared), (params, own, x) = known, varying
        return layout.of_state(layout.cell(params, tables).charged(layout.state(own, shared), x))

    def after(known: Any, varying: Any) -> tuple[tuple[Floats, Array], list[Array]]:
        (tables, shared), (params, h) = known, varying
        state, s = emit(layout.cell(params, tables), layout.state(h, shared))
        own, shared = layout.of_state(state)
        return (own, s), shared

    charge_before, charge_rest = _split(charge, (tables, shared), of_charge)
    emit_before, emit_rest = _split(after, (tables, shared), of_emit)

    def over_time(tables: list[Array], shared: list[Array]) -> Any:
        """The shared variables: after the last step, before each step and after each charge."""

        def advance(shared: list[Array], _: None) -> Any:
            charged = charge((tables, shared), _zeros(of_charge))[1]
            return after((tables, charged), _zeros(of_emit))[1], (shared, charged)

        last, (before, charged) = lax.scan(advance, shared, None, length=steps)
        return last, before, charged

    def drives(tables: list[Array], shared: list[Array], over_steps: OverSteps) -> Drives:
        _, before, charged = over_time(tables, shared)

        def at_all_steps(function: Callable[[Any], list[Array]], shared: list[Array]) -> list[Array]:
            def at_step(_: Array, shared: list[Array]) -> list[Array]:
                return [jnp.broadcast_to(a, x.shape) for a in function((tables, shared))]

            return over_steps(at_step)(jnp.arange(steps), shared)

        return Drives(at_all_steps(charge_before, before), at_all_steps(emit_before, charged))

    all_drives = jax.eval_shape(partial(drives, over_steps=jax.vmap), tables, shared)
    driven = jax.tree.map(lambda a: jax.ShapeDtypeStruct(x.shape, a.dtype), all_drives)
    own_out, s = jax.eval_shape(emit_rest, driven.emit, of_emit)
    if [a.dtype for a in own_out] != [a.dtype for a in own]:
        raise NotElementwiseError("its reset changes the dtype of the state")
    charge_back, emit_back = _back(charge_rest), _back(emit_rest)
    to_charge_back, to_emit_back = (driven.charge, of_charge, own_out), (driven.emit, of_emit, (own_out, s))
    read_back = reads(charge_back, *to_charge_back)[: len(jax.tree.leaves((driven.charge, of_charge)))]
    return Blocks(
        layout=layout,
        charge=BlockFunction(charge_rest, x.shape, driven.charge, of_charge),
        emit=BlockFunction(emit_rest, x.shape, driven.emit, of_emit),
        charge_back=BlockFunction(charge_back, x.shape, *to_charge_back),
        emit_back=BlockFunction(emit_back, x.shape, *to_emit_back),
        reads_back=read_back[: len(driven.charge)] + read_back[-1:],
        has_tables=bool(floats(tables)),
        x=x,
        s=s,
        drives=drives,
        shared=lambda tables, shared: over_time(tables, shared)[::-2],
    )


def _split(function: Callable[..., Any], known: Any, varying: Any) -> tuple[Callable, Callable]:
    """`split_program` of what `function` gives first, once what it gives second is seen to follow from `known`."""
    count = len(jax.tree.leaves(known))
    if any(reads(lambda *given: function(*given)[1], known, varying)[count:]):
        raise NotElementwiseError("the variables that its neurons share depend on single neurons")
    return split_program(lambda *given: function(*given)[0], known, varying)


def _back(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], tuple[Floats, Floats]]:
    """From cotangents of what `function(drives, varying)` gives to those of its floating-point arguments."""

    def back(drives: Any, varying: Any, cotangents: Any) -> tuple[Floats, Floats]:
        def forward(of_drives: Floats, of_varying: Floats) -> Any:
            return function(with_floats(drives, of_drives), with_floats(varying, of_varying))

        return jax.vjp(forward, floats(drives), floats(varying))[1](cotangents)

    return back


def _partition(chosen: list[bool], tree: Any) -> tuple[list[Any], list[Any]]:
    leaves = list(zip(chosen, jax.tree.leaves(tree), strict=True))
    return [a for yes, a in leaves if yes], [a for yes, a in leaves if not yes]


def _join(chosen: list[bool], like: Any, yes: list[Any], no: list[Any]) -> Any:
    first, second = iter(yes), iter(no)
    leaves = [next(first) if own else next(second) for own in chosen]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
