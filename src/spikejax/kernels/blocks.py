"""The equations of a cell over time, decomposed for kernels on blocks of neurons."""

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
from spikejax.kernels.template import Floats, Tree, fire_reset, floats, has_gradient, with_floats
from spikejax.sequence import Sequence
from spikejax.typing import Array, Shape, State


class NeuronLayout:
    """The arrays of a cell and its state, by whether they hold a value for each neuron.

    The parameters of a cell have one value a neuron once broadcast; its tables have time as their first axis. The
    variables of a state have one value a neuron; all neurons share the others, such as random keys and counters.
    """

    def __init__(self, cell: ChargeFireReset, state: State, shape: Shape) -> None:
        leaves, aligned = jax.tree.leaves(cell), cell.feature_shapes().values()
        self._cell, self._state, self._shape = cell, state, shape
        self._is_parameter = [has_gradient(a) and np.shape(a) == full for a, full in zip(leaves, aligned, strict=True)]
        self._is_variable = [has_gradient(a) and a.shape == shape for a in jax.tree.leaves(state)]

    def of_cell(self, cell: ChargeFireReset) -> tuple[Floats, list[Array]]:
        """The parameters of a cell, each broadcast to all neurons, and its tables."""
        params, tables = _partition(self._is_parameter, cell)
        return [jnp.broadcast_to(a, self._shape) for a in params], tables

    def of_state(self, state: State) -> tuple[Floats, list[Array]]:
        """The variables of a state, and the arrays that neurons share."""
        return _partition(self._is_variable, state)

    def cell(self, params: Floats, tables: list[Array]) -> ChargeFireReset:
        """The cell with these parameters and tables."""
        return _join(self._is_parameter, self._cell, params, tables)

    def state(self, variables: Floats, shared: list[Array]) -> State:
        """The state with these variables and shared arrays."""
        return _join(self._is_variable, self._state, variables, shared)


OverSteps = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A transformation of a function of one step to one of all steps, at once, as `jax.vmap`, or one after another."""


class Drives(NamedTuple):
    """Values that follow from time alone, `[T, N, *]`: operands of the charge, and of fire and reset."""

    charge: list[Array]
    fire_reset: list[Array]


class BlockEquations(NamedTuple):
    """The equations of a cell as functions of blocks of neurons, with their vector-Jacobian products and operands.

    Attributes:
        layout: the arrays with a value for each neuron.
        charge: `(drives, (params, state, x))` to h.
        fire_reset: `(drives, (params, h))` to the state after it and the output.
        charge_vjp: `(drives, (params, state, x), g_h)` to the cotangents of the floating-point leaves.
        fire_reset_vjp: `(drives, (params, h), (g_state, g_s))`, likewise.
        vjp_reads: for each drive of the charge, and for x, True if `charge_vjp` reads it.
        has_tables: True if parameters vary over time.
        x: shape and dtype of the input of one step.
        s: likewise of its output.
        drives: a function of the tables, the first shared arrays, and `jax.vmap` or its like, to the drives of all
            steps.
        shared: a function of the tables and the first shared arrays to the shared arrays after each charge `[T, *]`,
            and after the last step.
    """

    layout: NeuronLayout
    charge: BlockFunction
    fire_reset: BlockFunction
    charge_vjp: BlockFunction
    fire_reset_vjp: BlockFunction
    vjp_reads: list[bool]
    has_tables: bool
    x: jax.ShapeDtypeStruct
    s: jax.ShapeDtypeStruct
    drives: Callable[[list[Array], list[Array], OverSteps], Drives]
    shared: Callable[[list[Array], list[Array]], tuple[list[Array], list[Array]]]

    def rewritten(self, rewrites: Rewrites) -> "BlockEquations":
        """The same equations with further primitives computed by `rewrites`."""
        names = "charge", "fire_reset", "charge_vjp", "fire_reset_vjp"
        return self._replace(**{name: getattr(self, name).rewritten(rewrites) for name in names})


def block_equations(cell: ChargeFireReset, state: State, xs: Sequence) -> BlockEquations:
    """Decomposes a cell that runs over `xs` from `state`.

    Raises:
        NotElementwiseError: an equation does more than treat each neuron on its own.
    """
    leaves, structure = jax.tree.flatten((cell, state, xs))
    arrays = tuple((a.shape, a.dtype) for a in leaves)
    blocks = _decomposed(structure, arrays, jax.config.read("jax_enable_x64"))
    if isinstance(blocks, str):
        raise NotElementwiseError(blocks)
    return blocks


@lru_cache(maxsize=256)
def _decomposed(structure: Any, arrays: tuple[Any, ...], wide: bool) -> BlockEquations | str:
    """`block_equations` for shapes and dtypes, or the reason for which it fails; `wide` numbers change the programs."""
    try:
        # A block is not split among devices, and the cached programs must not depend on how this call runs.
        with jax.disable_jit(False), jax.sharding.use_abstract_mesh(AbstractMesh((), ())):
            return _decompose(*structure.unflatten([jax.ShapeDtypeStruct(*array) for array in arrays]))
    except NotElementwiseError as error:
        return str(error)


def _decompose(cell: ChargeFireReset, state: State, xs: Sequence) -> BlockEquations:
    x = jax.ShapeDtypeStruct(xs.shape, xs.dtype)
    layout, steps = NeuronLayout(cell, state, x.shape), xs.steps
    (params, tables), (variables, shared) = jax.eval_shape(
        lambda cell, state: (layout.of_cell(cell), layout.of_state(state)), cell, state
    )
    of_charge, of_fire_reset = jax.eval_shape(lambda *trees: trees, (params, variables, x), (params, variables))

    def charge(known: Tree, varying: Tree) -> tuple[Floats, list[Array]]:
        (tables, shared), (params, variables, x) = known, varying
        return layout.of_state(layout.cell(params, tables).charged(layout.state(variables, shared), x))

    def after(known: Tree, varying: Tree) -> tuple[tuple[Floats, Array], list[Array]]:
        (tables, shared), (params, h) = known, varying
        state, s = fire_reset(layout.cell(params, tables), layout.state(h, shared))
        variables, shared = layout.of_state(state)
        return (variables, s), shared

    charge_before, charge_rest = _split(charge, (tables, shared), of_charge)
    fire_reset_before, fire_reset_rest = _split(after, (tables, shared), of_fire_reset)

    shapes = of_charge, of_fire_reset
    over_time, drives = _of_shared((charge, after), (charge_before, fire_reset_before), shapes, x, steps)
    all_drives = jax.eval_shape(partial(drives, over_steps=jax.vmap), tables, shared)
    driven = jax.tree.map(lambda a: jax.ShapeDtypeStruct(x.shape, a.dtype), all_drives)
    variables_out, s = jax.eval_shape(fire_reset_rest, driven.fire_reset, of_fire_reset)
    if [a.dtype for a in variables_out] != [a.dtype for a in variables]:
        raise NotElementwiseError("its reset changes the dtype of the state")
    charge_vjp, fire_reset_vjp = _vjp(charge_rest), _vjp(fire_reset_rest)
    to_charge_vjp = driven.charge, of_charge, variables_out
    to_fire_reset_vjp = driven.fire_reset, of_fire_reset, (variables_out, s)
    read_by_vjp = reads(charge_vjp, *to_charge_vjp)[: len(jax.tree.leaves((driven.charge, of_charge)))]
    return BlockEquations(
        layout=layout,
        charge=BlockFunction(charge_rest, x.shape, driven.charge, of_charge),
        fire_reset=BlockFunction(fire_reset_rest, x.shape, driven.fire_reset, of_fire_reset),
        charge_vjp=BlockFunction(charge_vjp, x.shape, *to_charge_vjp),
        fire_reset_vjp=BlockFunction(fire_reset_vjp, x.shape, *to_fire_reset_vjp),
        vjp_reads=read_by_vjp[: len(driven.charge)] + read_by_vjp[-1:],
        has_tables=bool(floats(tables)),
        x=x,
        s=s,
        drives=drives,
        shared=lambda tables, shared: over_time(tables, shared)[::-2],
    )


def _of_shared(
    parts: tuple[Callable[..., Any], Callable[..., Any]],
    drives_of: tuple[Callable[[Any], list[Array]], Callable[[Any], list[Array]]],
    shapes: tuple[Tree, Tree],
    x: jax.ShapeDtypeStruct,
    steps: int,
) -> tuple[Callable[..., Any], Callable[..., Drives]]:
    """The variables that all neurons share over all steps, and the drives that follow from them.

    Args:
        parts: charge, and fire with reset.
        drives_of: the drives of each.
        shapes: of the arguments that differ from neuron to neuron, on which nothing here depends.
        x: shape and dtype of one input.
        steps: of the run.
    """
    charge, after = parts

    def over_time(tables: list[Array], shared: list[Array]) -> Any:
        """The shared arrays: after the last step, before each step and after each charge."""

        def advance(shared: list[Array], _: None) -> Any:
            charged = charge((tables, shared), _zeros(shapes[0]))[1]
            return after((tables, charged), _zeros(shapes[1]))[1], (shared, charged)

        last, (before, charged) = lax.scan(advance, shared, None, length=steps)
        return last, before, charged

    def drives(tables: list[Array], shared: list[Array], over_steps: OverSteps) -> Drives:
        _, before, charged = over_time(tables, shared)

        def at_all_steps(function: Callable[[Any], list[Array]], shared: list[Array]) -> list[Array]:
            def at_step(_: Array, shared: list[Array]) -> list[Array]:
                return [jnp.broadcast_to(a, x.shape) for a in function((tables, shared))]

            return over_steps(at_step)(jnp.arange(steps), shared)

        return Drives(at_all_steps(drives_of[0], before), at_all_steps(drives_of[1], charged))

    return over_time, drives


def _split(function: Callable[..., Any], known: Tree, varying: Tree) -> tuple[Callable, Callable]:
    """`split_program` of the first result of `function`, whose second result must follow from `known`."""
    count = len(jax.tree.leaves(known))
    if any(reads(lambda *args: function(*args)[1], known, varying)[count:]):
        raise NotElementwiseError("the variables that its neurons share depend on single neurons")
    return split_program(lambda *args: function(*args)[0], known, varying)


def _vjp(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], tuple[Floats, Floats]]:
    """A function from cotangents of `function(drives, varying)` to those of its floating-point arguments."""

    def back(drives: Tree, varying: Tree, cotangents: Tree) -> tuple[Floats, Floats]:
        def forward(of_drives: Floats, of_varying: Floats) -> Any:
            return function(with_floats(drives, of_drives), with_floats(varying, of_varying))

        return jax.vjp(forward, floats(drives), floats(varying))[1](cotangents)

    return back


def _partition(is_first: list[bool], tree: Tree) -> tuple[list[Array], list[Array]]:
    leaves = list(zip(is_first, jax.tree.leaves(tree), strict=True))
    return [a for first, a in leaves if first], [a for first, a in leaves if not first]


def _join(is_first: list[bool], like: Tree, first: list[Array], second: list[Array]) -> Any:
    parts = {True: iter(first), False: iter(second)}
    leaves = [next(parts[part]) for part in is_first]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _zeros(shapes: Tree) -> Any:
    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
