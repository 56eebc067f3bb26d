"""Functions of whole layers of neurons as programs on blocks of neurons, for the kernels.

A function is traced at full size and split in two. The values that follow from time alone (random numbers, gains of a
step) are computed for all steps before the kernel starts, as drives. The rest must treat each neuron on its own, and
then runs on blocks of any shape.
"""

from collections.abc import Callable, Mapping
from copy import copy
from functools import reduce
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from spikejax.internals import ClosedJaxpr, JaxprEqn, aval_of, bind_equation
from spikejax.jaxpr import inlined, interpret, operations
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


def floor_by_integers(a: Array) -> Array:
    """`lax.floor` by conversion to integers; every floating-point number beyond 2^23 is an integer."""
    down = a.astype(jnp.int32).astype(a.dtype)
    return jnp.where(abs(a) < 2**23, jnp.where(down > a, down - 1, down), a)


def round_by_integers(a: Array, rounding_method: lax.RoundingMethod) -> Array:
    """`lax.round` by `floor_by_integers`."""
    size = abs(a)
    down = floor_by_integers(size)
    rest = size - down  # exact, as `size + 0.5` is not
    at_a_tie = rounding_method == lax.RoundingMethod.AWAY_FROM_ZERO or down - 2 * floor_by_integers(down / 2) == 1
    rounded = jnp.where((rest > 0.5) | (rest == 0.5) & at_a_tie, down + 1, down)
    return jnp.where(a < 0, -rounded, rounded)


def integer_power(a: Array, y: int) -> Array:
    """`lax.integer_pow` as products of a, a², a⁴ and so on."""
    squares = accumulate(range(abs(y).bit_length() - 1), lambda square, _: square * square, initial=a)
    factors = [square for i, square in enumerate(squares) if abs(y) >> i & 1]
    product = reduce(jnp.multiply, factors) if factors else jnp.ones_like(a)
    return product if y >= 0 else 1 / product


Rewrites = Mapping[str, Callable[..., Array]]
"""Primitives by name, as functions of their arguments and parameters in terms of other primitives."""

COMMON_REWRITES: Rewrites = {
    "add_any": jnp.add,
    "copy": lambda a: a,
    "integer_pow": integer_power,
    "square": lambda a: a * a,
    "stop_gradient": lambda a: a,
}
"""Primitives that no back end needs to have."""

ROUNDING_REWRITES: Rewrites = {"floor": lambda a, **_: floor_by_integers(a), "round": round_by_integers}
"""Primitives that Triton or Mosaic GPU lack."""


class NotElementwiseError(ValueError):
    """A function that does not treat each neuron on its own."""


class BlockFunction:
    """A function of arrays of one shape, traced once, that takes blocks of any other shape, and scalars.

    Attributes:
        program: the function, as traced.
        rewrites: the primitives that are computed by other ones.

    Args:
        function: from trees of arrays to a tree of arrays, elementwise.
        shape: the shape of all these arrays.
        *args: its arguments at full size, arrays or their shapes and dtypes.

    Raises:
        NotElementwiseError: the function is not elementwise.
    """

    def __init__(self, function: Callable[..., Any], shape: Shape, *args: Any) -> None:
        self.program, out = jax.make_jaxpr(function, return_shape=True)(*args)
        self._structure, self.rewrites = jax.tree.structure(out), COMMON_REWRITES
        _check(self.program, shape)

    def rewritten(self, rewrites: Rewrites) -> "BlockFunction":
        """The same function with further primitives computed by `rewrites`."""
        other = copy(self)
        other.rewrites = {**self.rewrites, **rewrites}
        return other

    def __call__(self, *args: Any) -> Any:
        """The value of `function`, in the shape of the blocks among `args`."""
        leaves = jax.tree.leaves(args)
        block = max((jnp.shape(a) for a in leaves), key=len)
        rule = inlined(lambda equation, inputs: _bind(equation, inputs, block, self.rewrites))
        outs = interpret(self.program, leaves, rule)
        return self._structure.unflatten([jnp.broadcast_to(a, block) for a in outs])


def _bind(equation: JaxprEqn, args: list[Any], block: Shape, rewrites: Rewrites) -> list[Any]:
    """The results of one operation on blocks: scalars stay scalars, all others have the shape of the block."""
    if equation.primitive.name == "broadcast_in_dim":
        return [jnp.broadcast_to(args[0], block if equation.params["shape"] else ())]
    shape = block if any(jnp.shape(a) for a in args) else ()
    args = [jnp.broadcast_to(a, shape) for a in args]
    rewrite = rewrites.get(equation.primitive.name)
    return bind_equation(equation, args) if rewrite is None else [rewrite(*args, **equation.params)]


def _check(program: ClosedJaxpr, shape: Shape) -> None:
    """Raises NotElementwiseError unless the program can run on blocks."""
    for equation in operations(program):
        name = equation.primitive.name
        if name not in ELEMENTWISE | {"broadcast_in_dim"}:
            raise NotElementwiseError(f"its equations use `{name}`, which does not treat each neuron on its own")
        for a in (*equation.invars, *equation.outvars):
            size = aval_of(a).shape
            if size not in ((), shape):
                raise NotElementwiseError(f"`{name}` in its equations has an array of shape {size}")
