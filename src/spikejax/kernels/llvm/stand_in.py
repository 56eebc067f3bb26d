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


def either(kernel: Callable[..., Any], plain: Callable[..., Any], *args: Any, alone: bool = True) -> Any:
    """`kernel(*args)`, which is `plain(*args)`.

    Derivatives and transposes are those of `plain`; `plain` also runs where XLA splits arrays among devices, for it
    cannot look into a kernel, and on other platforms than the CPU. `vmap` goes into both.

    Args:
        kernel: what can only be compiled.
        plain: what can also be run operation by operation.
        *args: their arguments.
        alone: whether the kernel is worth compiling for a call outside any compiled program.
    """
    leaves, structure = jax.tree.flatten(args)
    program, out = jax.make_jaxpr(plain, return_shape=True)(*args)

    def flat(function: Callable[..., Any]) -> Flat:
        return lambda *leaves: jax.tree.leaves(function(*structure.unflatten(leaves)))

    how = {"kernel": flat(kernel), "plain": flat(plain), "outs": tuple(program.out_avals), "alone": alone}
    return jax.tree.structure(out).unflatten(_either.bind(*leaves, **how))


def _evaluate(*args: Any, alone: bool, **how: Any) -> list[Any]:
    if not alone:
        return how["plain"](*args)
    with jax.disable_jit(False):  # only a program that is lowered finds out where it runs
        return jax.jit(partial(_either.bind, alone=alone, **how))(*args)


def _abstract(*avals: Any, outs: Any, **how: Any) -> list[Any]:
    return list(outs)


def _transpose(cotangents: Any, *args: Any, plain: Flat, **how: Any) -> list[Any]:
    unknown = [ad.is_undefined_primal(a) for a in args]
    known = [a for a, is_unknown in zip(args, unknown, strict=True) if not is_unknown]

    def of_unknown(*given: Any) -> list[Any]:
        given_, known_ = iter(given), iter(known)
        return plain(*(next(given_) if is_unknown else next(known_) for is_unknown in unknown))

    shapes = [a.aval for a, is_unknown in zip(args, unknown, strict=True) if is_unknown]
    found = iter(jax.linear_transpose(of_unknown, *shapes)([ad.instantiate_zeros(ct) for ct in cotangents]))
    return [next(found) if is_unknown else None for is_unknown in unknown]


def _jvp(primals: Any, tangents: Any, *, plain: Flat, **how: Any) -> Any:
    return jax.jvp(plain, tuple(primals), tuple(map(ad.instantiate_zeros, tangents)))


def _batch(args: Any, dims: Any, *, kernel: Flat, plain: Flat, outs: Any, alone: bool) -> tuple[Any, Any]:
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)

    def many(function: Flat) -> Flat:
        return jax.vmap(function, in_axes=tuple(dims), axis_size=size)

    outs = jax.make_jaxpr(many(plain))(*args).out_avals
    found = _either.bind(*args, kernel=many(kernel), plain=many(plain), outs=tuple(outs), alone=alone)
    return found, [0] * len(outs)


def _lower(ctx: Any, *args: Any, kernel: Flat, plain: Flat, **how: Any) -> Any:
    function = kernel if _on_one_device(ctx.module_context.axis_context) else plain
    return mlir.lower_fun(function, multiple_results=True)(ctx, *args)


def _lower_elsewhere(ctx: Any, *args: Any, plain: Flat, **how: Any) -> Any:
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
ad.primitive_transposes[_either] = _transpose
batching.primitive_batchers[_either] = _batch
mlir.register_lowering(_either, _lower, platform="cpu")
mlir.register_lowering(_either, _lower_elsewhere)
