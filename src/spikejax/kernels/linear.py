"""A linear function with a transpose of its own, for derivative rules that every transformation goes through."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

_linear = Primitive("spikejax_linear")
_linear.multiple_results = True


def linear_call(push: Callable[[Any, Any], Any], pull: Callable[[Any, Any], Any], residuals: Any, tangents: Any) -> Any:
    """`push(residuals, tangents)`, linear in `tangents`, whose transpose is `pull(residuals, cotangents)`.

    As `jax.custom_derivatives.linear_call`, but `vmap` and further derivatives go through it too. In a
    `jax.custom_jvp` rule it gives reverse mode the efficient `pull`, which a `jax.custom_vjp` would give as well, and
    forward mode the plain `push`, which a `jax.custom_vjp` would refuse.

    Args:
        push: maps tangents of the inputs to tangents of the outputs.
        pull: maps cotangents of the outputs to cotangents of the inputs, in the structure of `tangents`.
        residuals: what both may use besides.
        tangents: floating-point arrays.
    """
    res, res_tree = jax.tree.flatten(residuals)
    lin, lin_tree = jax.tree.flatten(tangents)
    out_tree = jax.tree.structure(jax.eval_shape(push, residuals, tangents))

    def flat_push(*args: Any) -> list[Any]:
        return jax.tree.leaves(push(res_tree.unflatten(args[: len(res)]), lin_tree.unflatten(args[len(res) :])))

    def flat_pull(*args: Any) -> list[Any]:
        return jax.tree.leaves(pull(res_tree.unflatten(args[: len(res)]), out_tree.unflatten(args[len(res) :])))

    return out_tree.unflatten(_linear.bind(*res, *lin, push=flat_push, pull=flat_pull, count=len(res)))


def _abstract(*avals: Any, push: Any, pull: Any, count: int) -> Any:
    return jax.make_jaxpr(push)(*avals).out_avals


def _evaluate(*args: Any, push: Any, pull: Any, count: int) -> list[Any]:
    return push(*args)


def _jvp(primals: Any, tangents: Any, *, push: Any, pull: Any, count: int) -> tuple[Any, Any]:
    how = {"push": push, "pull": pull, "count": count}
    out = _linear.bind(*primals, **how)
    tangents = [ad.instantiate_zeros(t) for t in tangents]
    along = _linear.bind(*primals[:count], *tangents[count:], **how)
    # What the residuals add is linear in their tangents, and transposed as JAX transposes it.
    _, across = jax.jvp(lambda *res: push(*res, *primals[count:]), tuple(primals[:count]), tuple(tangents[:count]))
    return out, [a + b for a, b in zip(along, across, strict=True)]


def _transpose(cotangents: Any, *args: Any, push: Any, pull: Any, count: int) -> list[Any]:
    given = pull(*args[:count], *map(ad.instantiate_zeros, cotangents))
    wanted = map(ad.is_undefined_primal, args[count:])
    return [None] * count + [g if want else None for g, want in zip(given, wanted, strict=True)]


def _batch(args: Any, dims: Any, *, push: Any, pull: Any, count: int) -> tuple[Any, Any]:
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    res_dims = tuple(dims[:count])
    lin = [
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args[count:], dims[count:], strict=True)
    ]

    def over_batch(function: Any, others: int) -> Any:
        return jax.vmap(function, in_axes=res_dims + (0,) * others, axis_size=size)

    def batched_push(*args: Any) -> list[Any]:
        return over_batch(push, len(args) - count)(*args)

    def batched_pull(*args: Any) -> list[Any]:
        return over_batch(pull, len(args) - count)(*args)

    out = _linear.bind(*args[:count], *lin, push=batched_push, pull=batched_pull, count=count)
    return out, [0] * len(out)


_linear.def_abstract_eval(_abstract)
_linear.def_impl(_evaluate)
ad.primitive_jvps[_linear] = _jvp
ad.primitive_transposes[_linear] = _transpose
batching.primitive_batchers[_linear] = _batch
mlir.register_lowering(_linear, mlir.lower_fun(_evaluate, multiple_results=True))
