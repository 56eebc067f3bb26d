"""Machine code that XLA calls through its foreign function interface.

`handler.ll` holds the structures of that interface and the functions that XLA calls, in LLVM's language.
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import jax
from jax.ffi import ffi_lowering, pycapsule, register_ffi_target, register_ffi_type
from jax.interpreters import mlir

from spikejax.internals.primitives import symbol

FFI_VERSION = 0, 3
"""The version of XLA's foreign function interface that `handler.ll` is written for."""


def handler(version: tuple[int, int]) -> str:
    """The handler as a module in LLVM's language, which tells XLA that it is of this version."""
    text = resources.files("spikejax.internals").joinpath("handler.ll").read_text()
    for name, number in zip(("major", "minor"), version, strict=True):
        text = text.replace(f"@{name} = external constant i32", f"@{name} = constant i32 {number}")
    return text


def register_handler(target: str, state: Mapping[str, int], stages: Mapping[str, int]) -> None:
    """Makes a handler known to XLA on CPUs, which says here whether it calls functions of its version.

    Args:
        target: the name by which programs call it.
        state: addresses of what describes its state: "type_id" and "type_info".
        stages: addresses of its functions, such as "instantiate" and "execute".

    Raises:
        RuntimeError: XLA refuses it; or ValueError, TypeError or AttributeError, by the release of JAX.
    """
    jax.devices("cpu")  # before, XLA would put off its answer, and then refuse to compute on the CPU at all
    register_ffi_type(target, _capsules(state), platform="cpu")  # pyright: ignore[reportArgumentType]
    register_ffi_target(target, _capsules(stages), platform="cpu")


def handler_call(
    name: str, target: str, prepare: Callable[..., tuple[object, Mapping[str, Any]]]
) -> Callable[..., list[jax.Array]]:
    """A function of arrays that a registered handler computes, in compiled programs for the CPU only.

    Args:
        name: of the primitive.
        target: of the handler.
        prepare: called as a program is lowered, from the parameters of the call to an object that lives as long as what
            is compiled of the program, and the attributes that the handler gets.

    Returns:
        `(*arrays, results, **params)` to arrays of the shapes and dtypes `results`.
    """
    primitive = symbol(name, lambda *_, results, **__: results)

    def lower(context: mlir.LoweringRuleContext, *arrays: Any, results: Any, **params: Any) -> Sequence[Any]:
        held, attributes = prepare(**params)
        context.module_context.add_keepalive(held)
        return ffi_lowering(target)(context, *arrays, **attributes)

    mlir.register_lowering(primitive, lower, platform="cpu")
    return lambda *arrays, results, **params: primitive.bind(*arrays, results=tuple(results), **params)


def _capsules(addresses: Mapping[str, int]) -> dict[str, Any]:
    return {name: pycapsule(ctypes.c_void_p(address)) for name, address in addresses.items()}
