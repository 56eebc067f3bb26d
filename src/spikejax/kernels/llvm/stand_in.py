"""A function that runs on one CPU as a kernel, with a program of XLA's that stands in for it everywhere else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Flat = Callable[..., list[Any]]

_either = Primitive("spikejax_kernel")
_either.multiple_results = True


def either(kernel: Callable[..., Any], plain: Callable[..., Any], *args: Any) -> Any:
    """`kernel(*args)`, which is `plain(*args)`.

    Derivatives are those of `plain`; `plain` also runs where XLA splits arrays among devices, for it cannot look into
    a kernel, and on other platforms than the CPU. `vmap` goes into both.
    """
    leaves, structure = jax.tree.flatten(args)
    program, out = jax.make_jaxpr(plain, return_shape=True)(*args)

    def flat(function: Callable[..., Any]) -> Flat:
        return lambda *leaves: jax.tree.leaves(function(*structure.unflatten(leaves)))

    found = _either.bind(*leaves, kernel=flat(kernel), plain=flat(plain), outs=tuple(program.out_avals))
    return jax.tree.structure(out).unflatten(found)


def _evaluate(*args: Any, kernel: Flat, plain: Flat, outs: Any) -> list[Any]:
    with jax.disable_jit(False):  # only a program that is lowered finds out where it runs
        return jax.jit(partial(_either.bind, kernel=kernel, plain=plain, outs=outs))(*args)


def _abstract(*avals: Any, kernel: Flat, plain: Flat, outs: Any) -> list[Any]:
    return list(outs)


def _jvp(primals: Any, tangents: Any, *, kernel: Flat, plain: Flat, outs: Any) -> Any:
    return jax.jvp(plain, tuple(primals), tuple(map(ad.instantiate_zeros, tangents)))


def _batch(args: Any, dims: Any, *, kernel: Flat, plain: Flat, outs: Any) -> tuple[Any, Any]:
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)

    def many(function: Flat) -> Flat:
        return jax.vmap(function, in_axes=tuple(dims), axis_size=size)

    outs = jax.make_jaxpr(many(plain))(*args).out_avals
    return _either.bind(*args, kernel=many(kernel), plain=many(plain), outs=tuple(outs)), [0] * len(outs)


def _lower(ctx: Any, *args: Any, kernel: Flat, plain: Flat, outs: Any) -> Any:
    function = kernel if _on_one_device(ctx.module_context.axis_context) else plain
    return mlir.lower_fun(function, multiple_results=True)(ctx, *args)


def _lower_elsewhere(ctx: Any, *args: Any, kernel: Flat, plain: Flat, outs: Any) -> Any:
    return mlir.lower_fun(plain, multiple_results=True)(ctx, *args)


def _on_one_device(context: Any) -> bool:
    """Whether the arrays that are seen lie on one device each: there is but one, or `shard_map` has split them."""
    mesh = getattr(context, "mesh", None)
    if mesh is not None:
        return set(context.manual_axes) == set(mesh.axis_names)
    return getattr(context, "num_devices", 1) in (None, 1)


_either.def_abstract_eval(_abstract)
_either.def_impl(_evaluate)
ad.primitive_jvps[_either] = _jvp
batching.primitive_batchers[_either] = _batch
mlir.register_lowering(_either, _lower, platform="cpu")
mlir.register_lowering(_either, _lower_elsewhere)
