"""What a network computes, as plain layers of NumPy arrays: what every exporter starts from."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from spikejax import nn
from spikejax.typing import Cell

Pairs: TypeAlias = tuple[tuple[int, int], ...]
Bias: TypeAlias = np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a chain.

    Attributes:
        name: its place in the network, as "3", or "2.0" in a nested one.
        kind: its class in the network, as "Linear".
        inputs: shape of one sample that goes in, without batch and time, channels last.
        outputs: shape of what comes out.
        module: the layer of the network itself.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    module: Any = None


@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """y = x W + b; `kernel` `[in, out]`, `bias` `[out]` or None."""

    kernel: np.ndarray
    bias: Bias = None


@dataclass(frozen=True, kw_only=True)
class Conv(Layer):
    """y = x * W + b; `kernel` `[*window, in / groups, out]`; window, strides, padding and dilation one a space axis."""

    kernel: np.ndarray
    bias: Bias
    strides: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int


@dataclass(frozen=True, kw_only=True)
class Pool(Layer):
    """Largest value, mean or sum of each window; padding counts as 0 (never the largest)."""

    mode: Literal["max", "avg", "sum"]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pairs


@dataclass(frozen=True, kw_only=True)
class Flatten(Layer):
    """`[H, W, C]` to `[H * W * C]`, channels fastest."""


@dataclass(frozen=True, kw_only=True)
class Vote(Layer):
    """Mean of groups of `voters` neighbouring features."""

    voters: int


@dataclass(frozen=True, kw_only=True)
class Scale(Layer):
    """y = scale x; `scale` broadcasts to the input, aligned to the last axes."""

    scale: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Delay(Layer):
    """y[t] = x[t - delay]; `delay` `[features]`, or one of shape `()`."""

    delay: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Own(Layer):
    """A layer of a class that the exporter brings itself; it keeps the shape."""


@dataclass(frozen=True, kw_only=True)
class Neurons(Layer):
    """A layer of neurons: the cell with its parameters, and what feeds its output back, if anything."""

    cell: Any
    feedback: Dense | None = None


def chain(net: Any, sample_shape: tuple[int, ...], own: tuple[type, ...] = ()) -> list[Layer]:
    """The layers of `net` in order, with the shapes of one sample; BatchNorm is folded, nothing is run.

    Args:
        net: a `Sequential`, nested ones included, as it stands after training.
        sample_shape: shape of one sample at one step, `(features,)` or `(H, W, C)`.
        own: classes of layers that the exporter knows how to take, and that keep the shape.

    Raises:
        TypeError: `net` is no Sequential.
        ValueError: a layer has no plain form, named with what to do; or the shapes do not fit.
    """
    if not isinstance(net, nn.Sequential):
        raise TypeError(f"`net` must be a spikejax.nn.Sequential, got {type(net).__name__}: put the layers into one")
    shape = tuple(int(n) for n in sample_shape)
    if not shape or min(shape) < 1:
        raise ValueError(
            f"`sample_shape` must be the shape of one sample without batch, such as (28, 28, 1), got {shape}"
        )
    layers: list[Layer] = []
    for name, module in _modules(net, ""):
        mine = isinstance(module, own)
        for layer in _own(name, module, shape) if mine else _plain(name, module, shape, layers):
            layers.append(layer)
            shape = layer.outputs
    return layers


def _modules(net: nn.Sequential, prefix: str) -> Iterator[tuple[str, Any]]:
    for i in range(len(net)):
        module, name = net[i], f"{prefix}{i}"
        if isinstance(module, nn.Sequential):
            yield from _modules(module, f"{name}.")
        else:
            yield name, module


def _own(name: str, module: Any, shape: tuple[int, ...]) -> Iterator[Layer]:
    yield Own(name=name, kind=type(module).__name__, inputs=shape, outputs=shape, module=module)


def _plain(name: str, module: Any, shape: tuple[int, ...], before: list[Layer]) -> Iterator[Layer]:
    """The plain form of one module; a BatchNorm changes the layer before it instead."""
    at: dict[str, Any] = {"name": name, "kind": type(module).__name__, "inputs": shape, "module": module}
    if isinstance(module, nnx.BatchNorm):
        if not before or not isinstance(before[-1], Dense | Conv):
            raise ValueError(f"layer {name} (BatchNorm) can be folded only into a Linear or Conv right before it")
        before[-1] = _folded(before[-1], module)
    elif isinstance(module, nnx.Linear):
        yield _dense(**at)
    elif isinstance(module, nnx.Conv):
        yield _conv(**at)
    elif isinstance(module, nn.Flatten):
        yield Flatten(**at, outputs=(math.prod(shape),))
    elif isinstance(module, nn.MaxPool | nn.AvgPool | nn.SumPool):
        yield _pool(**at)
    elif isinstance(module, nn.Voting):
        _fits(name, module, shape)
        yield Vote(**at, outputs=(*shape[:-1], shape[-1] // module.voters), voters=module.voters)
    elif isinstance(module, nn.Scale):
        _fits(name, module, shape)
        yield Scale(**at, outputs=shape, scale=_array(module.scale))
    elif isinstance(module, nn.Delay):
        _fits(name, module, shape)
        yield Delay(**at, outputs=shape, delay=np.asarray(module.delay))
    elif isinstance(module, nn.Recurrent):
        feedback = module.feedback
        if not isinstance(feedback, nnx.Linear) or len(shape) != 1:
            raise ValueError(
                f"layer {name} (Recurrent) can be exported with a dense feedback, an nnx.Linear over features, got "
                f"{type(feedback).__name__} over {shape}"
            )
        _fits(name, module, shape)
        dense = _dense(name=f"{name}.feedback", kind="Linear", inputs=shape, module=feedback)
        yield Neurons(**at, outputs=shape, cell=module.cell, feedback=dense)
    elif isinstance(module, nnx.Dropout | nn.TimeInvariantDropout):
        return  # what it does in training only
    elif isinstance(module, Cell):
        _fits(name, module, shape)
        yield Neurons(**at, outputs=shape, cell=module)
    else:
        raise ValueError(
            f"layer {name} ({getattr(module, '__name__', type(module).__name__)}) has no plain form: use nnx.Linear, "
            f"nnx.Conv, nnx.BatchNorm after one of these, the layers of spikejax.nn, and cells"
        )


def _fits(name: str, module: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError where the module does not take inputs of `shape`."""
    try:
        if isinstance(module, Cell):
            jax.eval_shape(lambda: module.init_state((1, *shape), key=jax.random.key(0)))
        else:
            jax.eval_shape(module, jax.ShapeDtypeStruct((1, *shape), jnp.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"layer {name} ({type(module).__name__}) refused an input of shape {shape}: {error}"
        ) from error


def _array(variable: Any) -> np.ndarray:
    return np.asarray(variable[...])


def _bias(module: Any) -> Bias:
    return None if module.bias is None else _array(module.bias)


def _dense(*, name: str, kind: str, inputs: tuple[int, ...], module: nnx.Linear) -> Dense:
    if inputs != (module.in_features,):
        raise ValueError(
            f"layer {name} (Linear) takes {module.in_features} features, and gets {inputs}: "
            f"check `sample_shape`, or put spikejax.nn.Flatten() before it"
        )
    kernel = _array(module.kernel)
    at: dict[str, Any] = {"name": name, "kind": kind, "inputs": inputs, "module": module}
    return Dense(**at, outputs=kernel.shape[1:], kernel=kernel, bias=_bias(module))


def _each(value: int | Sequence[int] | None, axes: int, default: int = 1) -> tuple[int, ...]:
    if value is None:
        return (default,) * axes
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _pairs(padding: Any, extent: tuple[int, ...], strides: tuple[int, ...], window: tuple[int, ...]) -> Pairs:
    """Padding before and after each axis, from any form that Flax takes."""
    if isinstance(padding, str):
        return tuple(jax.lax.padtype_to_pads(extent, window, strides, padding))
    if isinstance(padding, int):
        return ((padding, padding),) * len(extent)
    return tuple((p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding)


def _extents(extent: Any, window: Any, strides: Any, padding: Pairs) -> tuple[int, ...]:
    sizes = zip(extent, window, strides, padding, strict=True)
    return tuple((n + lo + hi - k) // s + 1 for n, k, s, (lo, hi) in sizes)


def _conv(*, name: str, kind: str, inputs: tuple[int, ...], module: nnx.Conv) -> Conv:
    standardized = isinstance(module, nn.WeightStandardizedConv)
    kernel = np.asarray(module.standardized_kernel) if standardized else _array(module.kernel)
    axes = len(inputs) - 1
    if kernel.ndim != axes + 2 or inputs[-1] != module.in_features:
        raise ValueError(
            f"layer {name} (Conv) takes {kernel.ndim - 2} space axes and {module.in_features} channels, channels last, "
            f"and gets {inputs}: check `sample_shape`"
        )
    if module.mask is not None or module.padding in ("CIRCULAR", "REFLECT", "CAUSAL"):
        what = "a mask" if module.mask is not None else f"padding {module.padding!r}"
        raise ValueError(f"layer {name} (Conv) has {what}, which no chip format knows: pad with zeros")
    if any(n != 1 for n in _each(module.input_dilation, axes)):
        raise ValueError(f"layer {name} (Conv) has input_dilation {module.input_dilation}: only 1 can be exported")
    strides, dilation = _each(module.strides, axes), _each(module.kernel_dilation, axes)
    window = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:axes], dilation, strict=True))
    padding = _pairs(module.padding, inputs[:-1], strides, window)
    return Conv(
        name=name,
        kind=kind,
        inputs=inputs,
        module=module,
        outputs=(*_extents(inputs[:-1], window, strides, padding), kernel.shape[-1]),
        kernel=kernel,
        bias=_bias(module),
        strides=strides,
        padding=padding,
        dilation=dilation,
        groups=module.feature_group_count,
    )


def _pool(*, name: str, kind: str, inputs: tuple[int, ...], module: Any) -> Pool:
    _fits(name, module, inputs)
    axes = len(inputs) - 1
    window = _each(module.window, axes)
    strides = window if module.strides is None else _each(module.strides, axes)
    padding = _pairs(module.padding, inputs[:-1], strides, window)
    mode: Any = {nn.MaxPool: "max", nn.AvgPool: "avg", nn.SumPool: "sum"}[type(module)]
    at: dict[str, Any] = {"name": name, "kind": kind, "inputs": inputs, "module": module}
    outputs = (*_extents(inputs[:-1], window, strides, padding), inputs[-1])
    return Pool(**at, outputs=outputs, mode=mode, window=window, strides=strides, padding=padding)


def _folded(layer: Dense | Conv, norm: nnx.BatchNorm) -> Dense | Conv:
    """The layer with `norm` in eval mode: y = (x W + b - mean) scale / sqrt(var + eps) + shift, in double precision."""
    mean, var = (_array(v).astype(np.float64) for v in (norm.mean, norm.var))
    scale = 1.0 if norm.scale is None else _array(norm.scale).astype(np.float64)
    shift = 0.0 if norm.bias is None else _array(norm.bias).astype(np.float64)
    gain = scale / np.sqrt(var + norm.epsilon)
    bias = 0.0 if layer.bias is None else layer.bias
    dtype = layer.kernel.dtype
    return replace(layer, kernel=(layer.kernel * gain).astype(dtype), bias=((bias - mean) * gain + shift).astype(dtype))
