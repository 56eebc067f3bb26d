"""Dense layers and convolutions of Flax as arrays, with every option that changes what they compute."""

from collections.abc import Callable, Sequence
from inspect import signature

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.typing import DTypeLike

from spikejax import nn
from spikejax.export.chain.specs import ConvSpec, DenseSpec, Padding
from spikejax.nn.spikes import SpikeProduct
from spikejax.typing import Shape

PROMOTE = signature(nnx.Linear.__init__).parameters["promote_dtype"].default
"""Flax's function that brings the arrays of a layer to one dtype."""


def read_dense(name: str, module: nnx.Linear, inputs: Shape) -> DenseSpec:
    """A dense layer over features.

    Raises:
        ValueError: it takes other features, or computes something else than x W + b in float32.
    """
    kind = type(module).__name__
    if inputs != (module.in_features,):
        raise ValueError(
            f"layer {name} ({kind}) takes {module.in_features} features, and gets {inputs}: "
            f"check `sample_shape`, or put spikejax.nn.Flatten() before it"
        )
    check_computation(name, module)
    check_product(name, kind, "dot_general", module.dot_general, lax.dot_general)
    kernel = as_array(module.kernel)
    return DenseSpec(
        name=name, kind=kind, inputs=inputs, module=module, outputs=kernel.shape[1:], kernel=kernel, bias=_bias(module)
    )


def read_conv(name: str, module: nnx.Conv, inputs: Shape) -> ConvSpec:
    """A convolution, channels last.

    Raises:
        ValueError: it takes another shape, or computes something else than x * W + b with zeros around x, in float32.
    """
    kind, axes = type(module).__name__, len(inputs) - 1
    standardized = isinstance(module, nn.WeightStandardizedConv)
    kernel = as_array(module.standardized_kernel if standardized else module.kernel)
    if kernel.ndim != axes + 2 or inputs[-1] != module.in_features:
        raise ValueError(
            f"layer {name} ({kind}) takes {kernel.ndim - 2} space axes and {module.in_features} channels, channels "
            f"last, and gets {inputs}: check `sample_shape`"
        )
    if module.mask is not None:
        raise ValueError(f"layer {name} ({kind}) has a `mask`: multiply its kernel by it, and set it to None")
    if module.padding in ("CIRCULAR", "REFLECT", "CAUSAL"):
        raise ValueError(f"layer {name} ({kind}) has padding {module.padding!r}: pad with zeros, given in numbers")
    if any(n != 1 for n in per_axis(module.input_dilation, axes)):
        raise ValueError(f"layer {name} ({kind}) has input_dilation {module.input_dilation}: only 1 can be exported")
    check_computation(name, module)
    product = module.conv_general_dilated.product if standardized else module.conv_general_dilated  # pyright: ignore[reportFunctionMemberAccess]
    check_product(name, kind, "conv_general_dilated", product, lax.conv_general_dilated)
    strides, dilation = per_axis(module.strides, axes), per_axis(module.kernel_dilation, axes)
    window = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:axes], dilation, strict=True))
    padding = padding_pairs(module.padding, inputs[:-1], strides, window)
    return ConvSpec(
        name=name,
        kind=kind,
        inputs=inputs,
        module=module,
        outputs=(*extents_after(inputs[:-1], window, strides, padding), kernel.shape[-1]),
        kernel=kernel,
        bias=_bias(module),
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=module.feature_group_count,
    )


def check_computation(name: str, module: nnx.Linear | nnx.Conv | nnx.BatchNorm) -> None:
    """Checks that a layer of Flax computes in float32, as files do.

    Raises:
        ValueError: an option has it compute in another precision.
    """
    at = f"layer {name} ({type(module).__name__})"
    for option in ("dtype", "preferred_element_type"):
        dtype = getattr(module, option, None)
        if dtype is not None and jnp.dtype(dtype) != jnp.float32:
            raise ValueError(
                f"{at} computes in {jnp.dtype(dtype)}, its `{option}`, and files in float32: set {option}=None, and "
                f"see what the network does then"
            )
    if module.promote_dtype is not PROMOTE:
        raise ValueError(f"{at} has a `promote_dtype` of its own, which no file can hold: leave Flax's")
    precision = getattr(module, "precision", None)
    if not all(map(_is_a_hint, precision if isinstance(precision, tuple) else (precision,))):
        raise ValueError(
            f"{at} has `precision` {precision}, an algorithm of a lower one than float32: set precision=None, and see "
            f"what the network does then"
        )


def _is_a_hint(precision: object) -> bool:
    """True for the precisions that are float32, or as near as the device has it."""
    return precision is None or isinstance(precision, lax.Precision) or precision in ("default", "high", "highest")


def check_product(
    name: str, kind: str, option: str, product: Callable[..., jax.Array], plain: Callable[..., jax.Array]
) -> None:
    """Checks that a layer multiplies by JAX's own product, or by one that only skips the zeros of spikes.

    Raises:
        ValueError: the product is a function of the user.
    """
    product = product.product if isinstance(product, SpikeProduct) else product
    if product is not plain:
        raise ValueError(
            f"layer {name} ({kind}) has a `{option}` of its own, which may compute anything: export it with "
            f"jax.lax.{option} and the weights that it comes to"
        )


def as_array(variable: nnx.Variable | jax.Array, dtype: DTypeLike | None = None) -> np.ndarray:
    """The values in `dtype`; by default in their own, or float32 where that is less."""
    array = np.asarray(variable[...])
    return array.astype(jnp.promote_types(array.dtype, jnp.float32) if dtype is None else dtype)


def _bias(module: nnx.Linear | nnx.Conv) -> np.ndarray | None:
    return None if module.bias is None else as_array(module.bias)


def per_axis(value: int | Sequence[int] | None, axes: int) -> tuple[int, ...]:
    """One number a space axis, from any form that Flax takes; None is 1."""
    if value is None:
        return (1,) * axes
    return (value,) * axes if isinstance(value, int) else tuple(value)


def padding_pairs(
    padding: str | int | Sequence[int | Sequence[int]],
    extents: Shape,
    strides: tuple[int, ...],
    window: tuple[int, ...],
) -> Padding:
    """Padding before and after each axis, from any form that Flax takes."""
    if isinstance(padding, str):
        return tuple(lax.padtype_to_pads(extents, window, strides, padding))
    if isinstance(padding, int):
        return ((padding, padding),) * len(extents)
    return tuple((p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding)


def extents_after(extents: Shape, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding) -> Shape:
    """Sizes of the space axes after windows have slid over them."""
    sizes = zip(extents, window, strides, padding, strict=True)
    return tuple((n + lo + hi - k) // s + 1 for n, k, s, (lo, hi) in sizes)
