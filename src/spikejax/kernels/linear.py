"""A linear function with a transpose of its own, for derivative rules that every transformation goes through."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from spikejax.internals import define_primitive
from spikejax.kernels.template import Tree
from spikejax.typing import Array


def linear_call(
    function: Callable[[Any, Any], Any], transpose: Callable[[Any, Any], Any], residuals: Tree, tangents: Tree
) -> Any:
    """`function(residuals, tangents)`, linear in `tangents`, whose transpose is `transpose(residuals, cotangents)`.

    As `jax.custom_derivatives.linear_call`, but `vmap` and further derivatives go through it too. In a
    `jax.custom_jvp` rule it gives reverse mode the efficient `transpose`, which a `jax.custom_vjp` would give as well,
    and forward mode the plain `function`, which a `jax.custom_vjp` would refuse.

    Args:
        function: maps tangents of the inputs to tangents of the outputs.
        transpose: maps cotangents of the outputs to cotangents of the inputs, in the structure of `tangents`.
        residuals: what both may use besides.
        tangents: floating-point arrays.
    """
    res, res_tree = jax.tree.flatten(residuals)
    lin, lin_tree = jax.tree.flatten(tangents)
    out_tree = jax.tree.structure(jax.eval_shape(function, residuals, tangents))

    def flat_function(*args: Array) -> list[Array]:
        return jax.tree.leaves(function(res_tree.unflatten(args[: len(res)]), lin_tree.unflatten(args[len(res) :])))

    def flat_transpose(*args: Array) -> list[Array]:
        return jax.tree.leaves(transpose(res_tree.unflatten(args[: len(res)]), out_tree.unflatten(args[len(res) :])))

    return out_tree.unflatten(
        _linear.bind(*res, *lin, function=flat_function, transpose=flat_transpose, count=len(res))
    )


Flat = Callable[..., list[Array]]


def _evaluate(*args: Array, function: Flat, transpose: Flat, count: int) -> list[Array]:
    return function(*args)


def _jvp(
    primals: Sequence[Array], tangents: Sequence[Array], *, function: Flat, transpose: Flat, count: int
) -> tuple[list[Array], list[Array]]:
    params = {"function": function, "transpose": transpose, "count": count}
    out = _linear.bind(*primals, **params)
    along = _linear.bind(*primals[:count], *tangents[count:], **params)
    # What the residuals add is linear in their tangents, and transposed as JAX transposes it.
    _, across = jax.jvp(lambda *res: function(*res, *primals[count:]), tuple(primals[:count]), tuple(tangents[:count]))
    return out, [a + b for a, b in zip(along, across, strict=True)]


def _transpose(
    cotangents: Sequence[Array],
    args: Sequence[Any],
    unknown: Sequence[bool],
    *,
    function: Flat,
    transpose: Flat,
    count: int,
) -> list[Array | None]:
    results = transpose(*args[:count], *cotangents)
    return [None] * count + [g if is_unknown else None for g, is_unknown in zip(results, unknown[count:], strict=True)]


def _batch(
    size: int, args: Sequence[Array], dims: Sequence[int | None], *, function: Flat, transpose: Flat, count: int
) -> list[Array]:
    res_dims = tuple(dims[:count])
    lin = [
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args[count:], dims[count:], strict=True)
    ]

    def over_batch(flat: Flat) -> Flat:
        return lambda *args: jax.vmap(flat, in_axes=res_dims + (0,) * (len(args) - count), axis_size=size)(*args)

    functions = {"function": over_batch(function), "transpose": over_batch(transpose)}
    return _linear.bind(*args[:count], *lin, **functions, count=count)


_linear = define_primitive("spikejax_linear", _evaluate, jvp=_jvp, transpose=_transpose, batch=_batch)
