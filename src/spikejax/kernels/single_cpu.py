"""A function that runs as a kernel on one CPU, and everywhere else as a program that XLA compiles."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from spikejax.internals import define_primitive
from spikejax.kernels.linear import Flat
from spikejax.kernels.machine_code import why_no_machine_code
from spikejax.typing import Array


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


def _eager(*args: Array, compile_eagerly: bool, **functions: Any) -> list[Array]:
    if not compile_eagerly:
        return functions["reference"](*args)
    with jax.disable_jit(False):  # only a program that is lowered finds out where it runs
        return jax.jit(partial(_kernel.bind, compile_eagerly=compile_eagerly, **functions))(*args)


def _by_reference(*args: Array, reference: Flat, **_: Any) -> list[Array]:
    return reference(*args)


def _on_one_cpu(*args: Array, kernel: Flat, reference: Flat, **_: Any) -> list[Array]:
    return kernel(*args) if why_no_machine_code() is None else reference(*args)


def _transpose(
    cotangents: Sequence[Array], args: Sequence[Any], unknown: Sequence[bool], *, reference: Flat, **_: Any
) -> list[Array | None]:
    def of_linear(*arrays: Array) -> list[Array]:
        arrays_left = iter(arrays)
        return reference(*(next(arrays_left) if linear else a for a, linear in zip(args, unknown, strict=True)))

    shapes = [a for a, linear in zip(args, unknown, strict=True) if linear]
    transposed = iter(jax.linear_transpose(of_linear, *shapes)(list(cotangents)))
    return [next(transposed) if linear else None for linear in unknown]


def _jvp(primals: Sequence[Array], tangents: Sequence[Array], *, reference: Flat, **_: Any) -> Any:
    return jax.jvp(reference, tuple(primals), tuple(tangents))


def _batch(
    size: int,
    args: Sequence[Array],
    dims: Sequence[int | None],
    *,
    kernel: Flat,
    reference: Flat,
    outs: Sequence[Any],
    compile_eagerly: bool,
) -> list[Array]:
    def batched(function: Flat) -> Flat:
        return jax.vmap(function, in_axes=tuple(dims), axis_size=size)

    outs = jax.make_jaxpr(batched(reference))(*args).out_avals
    return _kernel.bind(
        *args,
        kernel=batched(kernel),
        reference=batched(reference),
        outs=tuple(outs),
        compile_eagerly=compile_eagerly,
    )


_kernel = define_primitive(
    "spikejax_kernel",
    _by_reference,
    jvp=_jvp,
    batch=_batch,
    transpose=_transpose,
    outs=lambda *_, outs, **__: outs,
    eager=_eager,
    on_one_cpu=_on_one_cpu,
)
