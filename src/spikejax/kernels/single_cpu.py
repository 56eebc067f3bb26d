"""A function that runs as a kernel on one CPU, and everywhere else as a program that XLA compiles."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from spikejax.kernels.machine_code import why_no_machine_code
from spikejax.typing import Array

Flat = Callable[..., list[Array]]
"""A function from arrays to a list of arrays."""

_kernel = Primitive("spikejax_kernel")
_kernel.multiple_results = True


def on_single_cpu(
    kernel: Callable[..., Any], reference: Callable[..., Any], *args: Any, compile_eagerly: bool = True
) -> Any:
    """The result of `kernel(*args)` on one CPU, and of `reference(*args)`, which is the same, anywhere else.

    The reference runs on other platforms than the CPU, on arrays that XLA splits among devices, for it cannot look into
    a kernel, and if LLVM can compile no kernels. Derivatives and transposes are those of the reference; `vmap` maps
    both.

    Args:
        kernel: a function that can only be compiled.
        reference: a function that can also run operation by operation.
        *args: their arguments.
        compile_eagerly: True if the kernel is worth compiling for a call outside any compiled program.
    """
    leaves, structure = jax.tree.flatten(args)
    program, out = jax.make_jaxpr(reference, return_shape=True)(*args)

    def flat(function: Callable[..., Any]) -> Flat:
        return lambda *leaves: jax.tree.leaves(function(*structure.unflatten(leaves)))

    outs = _kernel.bind(
        *leaves,
        kernel=flat(kernel),
        reference=flat(reference),
        outs=tuple(program.out_avals),
        compile_eagerly=compile_eagerly,
    )
    return jax.tree.structure(out).unflatten(outs)


def _evaluate(*args: Array, compile_eagerly: bool, **functions: Any) -> list[Array]:
    if not compile_eagerly:
        return functions["reference"](*args)
    with jax.disable_jit(False):  # only a program that is lowered finds out where it runs
        return jax.jit(partial(_kernel.bind, compile_eagerly=compile_eagerly, **functions))(*args)


def _abstract(*_: Any, outs: Sequence[Any], **__: Any) -> list[Any]:
    return list(outs)


def _transpose(cotangents: Sequence[Any], *args: Any, reference: Flat, **_: Any) -> list[Array | None]:
    is_linear = [ad.is_undefined_primal(a) for a in args]
    constants = [a for a, linear in zip(args, is_linear, strict=True) if not linear]

    def of_linear(*arrays: Array) -> list[Array]:
        arrays_left, constants_left = iter(arrays), iter(constants)
        return reference(*(next(arrays_left) if linear else next(constants_left) for linear in is_linear))

    shapes = [a.aval for a, linear in zip(args, is_linear, strict=True) if linear]
    transposed = iter(jax.linear_transpose(of_linear, *shapes)([ad.instantiate_zeros(ct) for ct in cotangents]))
    return [next(transposed) if linear else None for linear in is_linear]


def _jvp(primals: Sequence[Array], tangents: Sequence[Any], *, reference: Flat, **_: Any) -> Any:
    return jax.jvp(reference, tuple(primals), tuple(map(ad.instantiate_zeros, tangents)))


def _batch(
    args: Sequence[Array],
    dims: Sequence[int | None],
    *,
    kernel: Flat,
    reference: Flat,
    outs: Sequence[Any],
    compile_eagerly: bool,
) -> tuple[list[Array], list[int]]:
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)

    def batched(function: Flat) -> Flat:
        return jax.vmap(function, in_axes=tuple(dims), axis_size=size)

    outs = jax.make_jaxpr(batched(reference))(*args).out_avals
    arrays = _kernel.bind(
        *args,
        kernel=batched(kernel),
        reference=batched(reference),
        outs=tuple(outs),
        compile_eagerly=compile_eagerly,
    )
    return arrays, [0] * len(outs)


def _lower(context: mlir.LoweringRuleContext, *args: Any, kernel: Flat, reference: Flat, **_: Any) -> Any:
    has_kernel = _is_on_one_device(context.module_context.axis_context) and why_no_machine_code() is None
    return mlir.lower_fun(kernel if has_kernel else reference, multiple_results=True)(context, *args)


def _lower_elsewhere(context: mlir.LoweringRuleContext, *args: Any, reference: Flat, **_: Any) -> Any:
    return mlir.lower_fun(reference, multiple_results=True)(context, *args)


def _is_on_one_device(context: Any) -> bool:
    """True if the arrays that a program sees lie on one device each: there is but one, or `shard_map` split them."""
    mesh = getattr(context, "mesh", None)
    if mesh is not None:
        return set(context.manual_axes) == set(mesh.axis_names)
    return getattr(context, "num_devices", 1) in (None, 1)


_kernel.def_abstract_eval(_abstract)
_kernel.def_impl(_evaluate)
ad.primitive_jvps[_kernel] = _jvp
ad.primitive_transposes[_kernel] = _transpose
batching.primitive_batchers[_kernel] = _batch
mlir.register_lowering(_kernel, _lower, platform="cpu")
mlir.register_lowering(_kernel, _lower_elsewhere)
