"""Functions of whole layers of neurons as programs on blocks of them: what the kernels run.

Traced at full size, a function is split in two. What follows from time alone (random numbers, gains of a step) is
computed for all steps before the kernel starts, as drives. What is left must treat each neuron on its own, and then
runs on a block of any shape.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import reduce
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun

from spikejax.typing import Array, Shape

ELEMENTWISE = frozenset(
    """
    abs add add_any and atan atan2 cbrt ceil clamp convert_element_type copy copy_p cos cosh div eq erf erf_inv erfc exp
    exp2 expm1 floor ge gt integer_pow is_finite le log log1p logistic lt max min mul ne neg nextafter not or pow rem
    round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square stop_gradient
    sub tan tanh xor
    """.split()  # noqa: SIM905
)
"""Primitives that treat each element on its own."""

CALLS = frozenset(("closed_call", "custom_jvp_call", "custom_vjp_call", "jit", "pjit", "remat", "checkpoint"))
"""Primitives that only call a program."""


def floor(a: Array) -> Array:
    """`lax.floor` by way of integers, of which every floating-point number beyond 2^23 is one."""
    down = a.astype(jnp.int32).astype(a.dtype)
    return jnp.where(abs(a) < 2**23, jnp.where(down > a, down - 1, down), a)


def round_off(a: Array, rounding_method: lax.RoundingMethod) -> Array:
    """`lax.round` by way of `floor`."""
    size = abs(a)
    down = floor(size)
    rest = size - down  # exact, as `size + 0.5` is not
    at_a_tie = rounding_method == lax.RoundingMethod.AWAY_FROM_ZERO or down - 2 * floor(down / 2) == 1
    rounded = jnp.where((rest > 0.5) | (rest == 0.5) & at_a_tie, down + 1, down)
    return jnp.where(a < 0, -rounded, rounded)


def integer_power(a: Array, y: int) -> Array:
    """`lax.integer_pow` as products of a, a², a⁴ and so on."""
    squares = accumulate(range(abs(y).bit_length() - 1), lambda square, _: square * square, initial=a)
    factors = [square for i, square in enumerate(squares) if abs(y) >> i & 1]
    product = reduce(jnp.multiply, factors) if factors else jnp.ones_like(a)
    return product if y >= 0 else 1 / product


REWRITES: dict[str, Callable[..., Array]] = {
    "add_any": jnp.add,
    "copy": lambda a: a,
    "integer_pow": integer_power,
    "square": lambda a: a * a,
    "stop_gradient": lambda a: a,
}
"""Primitives that no back end needs to know, in terms of others."""

ROUNDING: dict[str, Callable[..., Array]] = {"floor": lambda a, **_: floor(a), "round": round_off}
"""Primitives that Triton or Mosaic GPU lack, in terms of those that they have."""


class NotElementwiseError(ValueError):
    """A function does more than treat each neuron on its own."""


def split(function: Callable[[Any, Any], Any], known: Any, varying: Any) -> tuple[Callable, Callable]:
    """`function(known, varying)` in two: what follows from `known` alone, and the rest.

    Args:
        function: what is split.
        known: arrays, or their shapes and dtypes.
        varying: likewise.

    Returns:
        `before(known)`, the list of drives, and `rest(drives, varying)`, which gives what `function` gives.
    """
    closed, out = jax.make_jaxpr(function, return_shape=True)(known, varying)
    jaxpr = closed.jaxpr
    inputs = jaxpr.invars[: len(jax.tree.leaves(known))], jaxpr.invars[len(jax.tree.leaves(known)) :]
    fixed, constant = {*jaxpr.constvars, *inputs[0]}, set()
    first, second = [], []
    for equation in jaxpr.eqns:
        used = {*variables(equation.invars)}
        if used <= constant:  # cheap to compute anew, and no drive
            first.append(equation)
            second.append(equation)
            constant.update(equation.outvars)
        elif used <= fixed | constant:
            first.append(equation)
            fixed.update(equation.outvars)
        else:
            second.append(equation)
    used = list(dict.fromkeys(a for a in (*_reads(second), *variables(jaxpr.outvars)) if a in fixed))
    program_before = _program(jaxpr, [*jaxpr.constvars, *inputs[0]], first, used)
    program_rest = _program(jaxpr, [*used, *inputs[1]], second, jaxpr.outvars)

    def before(known: Any) -> list[Array]:
        return list(program_before(*closed.consts, *jax.tree.leaves(known)))

    def rest(drives: list[Array], varying: Any) -> Any:
        return jax.tree.unflatten(jax.tree.structure(out), program_rest(*drives, *jax.tree.leaves(varying)))

    return before, rest


class OnBlocks:
    """A function of arrays of one shape as a function of blocks of any one shape, among scalars.

    Attributes:
        program: the function, as traced.
        rewrites: primitives that are computed by other ones.

    Args:
        function: from trees of arrays to a tree of arrays, elementwise.
        shape: of all these arrays.
        *args: the arguments it is to take, arrays or their shapes and dtypes.

    Raises:
        NotElementwiseError: it is not elementwise.
    """

    def __init__(self, function: Callable[..., Any], shape: Shape, *args: Any) -> None:
        self.program, out = jax.make_jaxpr(function, return_shape=True)(*args)
        self._structure, self.rewrites = jax.tree.structure(out), REWRITES
        _check(self.program.jaxpr, shape)

    def without(self, rewrites: "Rewrites") -> "OnBlocks":
        """The same function without some primitives more, which are computed as `rewrites` says."""
        other = copy(self)
        other.rewrites = {**self.rewrites, **rewrites}
        return other

    def __call__(self, *args: Any) -> Any:
        """What `function` gives, in the shape of the blocks among `args`."""
        leaves = jax.tree.leaves(args)
        block = max((jnp.shape(a) for a in leaves), key=len)
        outs = _evaluate(self.program.jaxpr, self.program.consts, leaves, block, self.rewrites)
        return self._structure.unflatten([jnp.broadcast_to(a, block) for a in outs])


def operations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """The equations of a program, and of the programs that it calls."""
    for equation in jaxpr.eqns:
        inner = called(equation)
        yield from [equation] if inner is None else operations(inner[0])


def reads(function: Callable[..., Any], *args: Any) -> list[bool]:
    """Which leaves of the arguments the value of `function` depends on."""
    jaxpr = jax.make_jaxpr(function)(*args).jaxpr
    needed = set(variables(jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(_reads([equation]))
    return [a in needed for a in jaxpr.invars]


def variables(atoms: Iterable[Any]) -> list[Any]:
    """Those of a program's atoms that are no literals."""
    return [a for a in atoms if not isinstance(a, Literal)]


def _reads(equations: Iterable[JaxprEqn]) -> list[Any]:
    return variables(a for equation in equations for a in equation.invars)


def _program(jaxpr: Jaxpr, inputs: list[Any], equations: list[JaxprEqn], outputs: list[Any]) -> Callable[..., Any]:
    """Some equations of `jaxpr` as a function."""
    names = [f"input{i}" for i in range(len(inputs))], [f"output{i}" for i in range(len(outputs))]
    info = jaxpr.debug_info._replace(arg_names=tuple(names[0]), result_paths=tuple(names[1]))
    part = jaxpr.replace(constvars=[], invars=inputs, eqns=equations, outvars=outputs, debug_info=info)
    return jaxpr_as_fun(ClosedJaxpr(part, []))


Rewrites = Mapping[str, Callable[..., Array]]


def _evaluate(
    jaxpr: Jaxpr, constants: Iterable[Any], args: Iterable[Any], block: Shape, rewrites: Rewrites
) -> list[Any]:
    """What `jaxpr` gives for blocks: scalars stay scalars, all else has the shape of the block."""
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *args), strict=True))

    def read(a: Any) -> Any:
        return a.val if isinstance(a, Literal) else values[a]

    for equation in jaxpr.eqns:
        outs = _bind(equation, [read(a) for a in equation.invars], block, rewrites)
        values.update(zip(equation.outvars, outs, strict=True))
    return [read(a) for a in jaxpr.outvars]


def _bind(equation: JaxprEqn, args: list[Any], block: Shape, rewrites: Rewrites) -> list[Any]:
    inner = called(equation)
    if inner is not None:
        return _evaluate(*inner, args, block, rewrites)
    if equation.primitive.name == "broadcast_in_dim":
        return [jnp.broadcast_to(args[0], block if equation.params["shape"] else ())]
    own = block if any(jnp.shape(a) for a in args) else ()
    rewrite = rewrites.get(equation.primitive.name)
    if rewrite is not None:
        return [rewrite(*(jnp.broadcast_to(a, own) for a in args), **equation.params)]
    return [equation.primitive.bind(*(jnp.broadcast_to(a, own) for a in args), **equation.params)]


def called(equation: JaxprEqn) -> tuple[Jaxpr, list[Any]] | None:
    """The program that an equation only calls, and its constants."""
    if equation.primitive.name not in CALLS:
        return None
    program = next(equation.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in equation.params)
    return getattr(program, "jaxpr", program), getattr(program, "consts", [])


def _check(jaxpr: Jaxpr, shape: Shape) -> None:
    """Raises NotElementwiseError unless the program can run on blocks."""
    for equation in operations(jaxpr):
        name = equation.primitive.name
        if name not in ELEMENTWISE | {"broadcast_in_dim"}:
            raise NotElementwiseError(f"its equations use `{name}`, which does not treat each neuron on its own")
        for a in (*equation.invars, *equation.outvars):
            own = a.aval.shape  # pyright: ignore[reportAttributeAccessIssue]
            if own not in ((), shape):
                raise NotElementwiseError(f"`{name}` in its equations has an array of shape {own}")
