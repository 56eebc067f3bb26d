"""New primitives, and the rules by which JAX transforms them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from spikejax.internals.sharding import is_on_one_device
from spikejax.typing import Array

Evaluate = Callable[..., list[Array]]
"""`(*args, **params)` to the results."""

Shapes = Sequence[jax.ShapeDtypeStruct | ShapedArray]


def symbol(name: str, outs: Callable[..., Shapes]) -> Primitive:
    """A primitive without an implementation: a sign in programs that others interpret.

    Args:
        name: its name.
        outs: `(*args, **params)` to the shapes of its results, from those of its arguments.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    @primitive.def_abstract_eval
    def _(*avals: ShapedArray, **params: Any) -> list[ShapedArray]:
        return [a if isinstance(a, ShapedArray) else ShapedArray(a.shape, a.dtype) for a in outs(*avals, **params)]

    return primitive


def define_primitive(
    name: str,
    evaluate: Evaluate,
    *,
    jvp: Callable[..., tuple[Sequence[Array], Sequence[Array]]],
    batch: Callable[..., Sequence[Array]],
    transpose: Callable[..., Sequence[Array | None]] | None = None,
    outs: Callable[..., Shapes] | None = None,
    eager: Evaluate | None = None,
    on_one_cpu: Evaluate | None = None,
) -> Primitive:
    """A primitive with a list of results, from the rules by which JAX transforms it.

    Args:
        name: its name.
        evaluate: `(*args, **params)` to the results, in terms of other primitives.
        jvp: `(primals, tangents, **params)` to the results and their tangents; no tangent is a symbolic zero.
        batch: `(size, args, dims, **params)` to the results, batched along their first axes: `size` is that of the
            batch, `dims` has the axis of each argument, or None.
        transpose: `(cotangents, args, unknown, **params)` to the cotangents of the unknown arguments, in which it is
            linear and of which `args` has the shapes, and None for the others; None where it is linear in nothing.
        outs: `(*args, **params)` to the shapes of the results; None traces `evaluate`.
        eager: `evaluate` outside compiled functions; None is `evaluate` itself.
        on_one_cpu: `evaluate` in programs for a single CPU; None is `evaluate` itself.
    """

    def traced(*avals: ShapedArray, **params: Any) -> Shapes:
        return jax.make_jaxpr(lambda *args: evaluate(*args, **params))(*avals).out_avals

    primitive = symbol(name, outs or traced)
    primitive.def_impl(eager or evaluate)
    ad.primitive_jvps[primitive] = lambda primals, tangents, **params: jvp(
        primals, [ad.instantiate_zeros(t) for t in tangents], **params
    )
    if transpose is not None:
        transposed = transpose

        def transpose_rule(cotangents: Sequence[Any], *args: Any, **params: Any) -> Sequence[Array | None]:
            unknown = [ad.is_undefined_primal(a) for a in args]
            args = tuple(a.aval if is_unknown else a for a, is_unknown in zip(args, unknown, strict=True))
            return transposed([ad.instantiate_zeros(ct) for ct in cotangents], args, unknown, **params)

        ad.primitive_transposes[primitive] = transpose_rule

    def batched(args: Sequence[Array], dims: Sequence[int | None], **params: Any) -> tuple[Sequence[Array], list[int]]:
        size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
        results = batch(size, args, dims, **params)
        return results, [0] * len(results)

    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(evaluate, multiple_results=True))
    if on_one_cpu is not None:
        kernel = on_one_cpu

        def lower(context: Any, *args: Any, **params: Any) -> Any:
            function = kernel if is_on_one_device(context) else evaluate
            return mlir.lower_fun(function, multiple_results=True)(context, *args, **params)

        mlir.register_lowering(primitive, lower, platform="cpu")
    return primitive


def elementwise_primitive(
    name: str,
    function: Callable[..., Array],
    jvp: Callable[[Sequence[Array], Sequence[Array]], tuple[Array, Array]],
) -> Primitive:
    """A function that broadcasts its arguments as NumPy does, as one primitive that traced programs show.

    Args:
        name: its name.
        function: the function of arrays.
        jvp: `(primals, tangents)` to its value and the tangent of it, by which it is differentiated.
    """

    def batch(size: int, args: Sequence[Array], dims: Sequence[int | None]) -> list[Array]:
        rank = max(jnp.ndim(a) - (d is not None) for a, d in zip(args, dims, strict=True))
        rows = [a if d is None else _in_front(a, d, rank) for a, d in zip(args, dims, strict=True)]
        return primitive.bind(*rows)

    primitive = define_primitive(
        name,
        lambda *args: [function(*args)],
        jvp=lambda primals, tangents: tuple([part] for part in jvp(primals, tangents)),  # pyright: ignore[reportArgumentType]
        batch=batch,
    )
    return primitive


def _in_front(a: Array, axis: int, rank: int) -> Array:
    """`a` with its batch first, then as many axes as `rank`."""
    a = jnp.moveaxis(a, axis, 0)
    return a.reshape(a.shape[0], *(1,) * (rank + 1 - a.ndim), *a.shape[1:])
