"""NIR graphs as networks."""

import math
import os
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from spikejax import nn
from spikejax.cells import LeakyIntegrator, LinearLIF
from spikejax.checks import check_option
from spikejax.export.nir.cells import READERS, FieldValue, IfGain, NodeContext, neurons
from spikejax.export.nir.convention import channels_last_shape, check_dt, flattened, library
from spikejax.export.nir.graph import WEIGHTS, Link, links, load_graph, report_metadata

Order = np.ndarray | None
ReadLayers = tuple[list[Any], tuple[int, ...], Order]
"""The layers of a node, and its output: shape, channels first, and order of the features."""


def from_nir(graph: Any, *, dt: float = 1e-4, if_gain: IfGain = "auto") -> nn.Sequential:
    """A network from a graph of the Neuromorphic Intermediate Representation.

    The network takes channels last what the graph takes channels first. Neurons become cells in forward Euler steps of
    `dt`; parameters are numbers where all neurons of a layer agree, else arrays, and so parameters of the network.
    Weights through which the output of neurons comes back, in a cycle or in a graph of their own, become a
    `Recurrent`. Membranes start at `v_reset`, currents at 0; NIR does not say where.

    Args:
        graph: a `nir.NIRGraph`, or the path of a file: a chain from one Input to one Output.
        dt: length of a step in the graph's unit of time, > 0: seconds, mostly, and 1e-4 of them.
        if_gain: meaning of r of IF and I: "r*dt", the gain by NIR's equation; "r", the gain of one step, as some
            libraries write it; "auto" is "r*dt" where r >= 1 / (2 dt), else "r".

    Returns:
        The network, in float32.

    Raises:
        ImportError: the package `nir` is missing.
        TypeError: `graph` is neither a graph nor a path.
        ValueError: the graph is no chain, shapes do not fit, a node is unknown, or one of its fields has a value that
            no layer of spikejax has; each named. `dt` or `if_gain` is out of range.

    Warns:
        UserWarning: metadata are ignored, or the graph was written with another dt.

    Source: Pedersen et al., "Neuromorphic intermediate representation: A unified instruction set for interoperable
    brain-inspired computing", 2024.
    """
    check_dt(dt)
    check_option("if_gain", if_gain, ("auto", "r", "r*dt"))
    nir = library()
    if isinstance(graph, str | os.PathLike):
        graph = load_graph(graph)
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"`graph` must be a nir.NIRGraph or the path of a file, got {type(graph).__name__}")
    report_metadata(graph, dt)
    chain = links(graph)
    shape = tuple(int(n) for n in np.ravel(chain[0].node.input_type["input"]))
    layers: list[Any] = []
    order: Order = None
    for i, link in enumerate(chain):
        context = NodeContext(link.name, link.node, shape, order, dt, if_gain)
        new, shape, order = _read(context, link, chain[i + 1 :])
        layers = _joined(layers, new, link)
    if order is not None:
        raise ValueError(
            f"node {chain[-1].name!r} (Output) gives the features of a flattened image, which spikejax orders "
            f"otherwise, channels fastest: end in a Linear, or before the Flatten"
        )
    if not layers:
        raise ValueError("the graph has no node between Input and Output: there is no layer to make")
    return nn.Sequential(*layers)


def _read(context: NodeContext, link: Link, ahead: list[Link]) -> ReadLayers:
    if link.feedback is not None and link.kind not in READERS:
        name, weights = link.feedback
        raise ValueError(f"node {name!r} ({type(weights).__name__}) leads back to {link.name!r}, which has no neurons")
    if link.kind in ("Input", "Output"):
        stated = link.node.input_type["input"]
        if stated is not None and tuple(np.ravel(stated)) != context.shape:
            raise context.error(
                "input_type", tuple(map(int, np.ravel(stated))), f"{context.shape}", "as what goes into it"
            )
        return [], context.shape, context.order
    if link.kind == "Flatten":
        return _flatten(context, ahead)
    if link.kind in READERS:
        return _neurons(context, link)
    return STATELESS[link.kind](context)


def _joined(layers: list[Any], new: list[Any], link: Link) -> list[Any]:
    """A leaky integrator and the threshold that looks at it are one neuron without a reset."""
    last = layers[-1] if layers else None
    if link.kind == "Threshold" and isinstance(last, LeakyIntegrator) and np.isfinite(np.asarray(last.tau)).all():
        joined = LinearLIF(tau=last.tau, decay_input=last.decay_input, v_threshold=new[0].v_threshold)
        return [*layers[:-1], joined]
    return [*layers, *new]


def _neurons(context: NodeContext, link: Link) -> ReadLayers:
    read = neurons(context)
    layers: list[Any] = []
    for cell, gain in zip(read.cells, read.gains, strict=True):
        layers += [cell] if isinstance(gain, float) and gain == 1 else [nn.Scale(gain), cell]
    if link.feedback is not None:
        if len(read.cells) != 1 or len(context.shape) != 1:
            raise ValueError(
                f"node {context.name!r} ({link.kind}) has feedback: from_nir reads it into a layer of one node of "
                f"neurons over features, got shape {context.shape}"
            )
        name, weights = link.feedback
        back = NodeContext(name, weights, context.shape, context.order, context.dt, context.if_gain)
        layers[-1] = nn.Recurrent(layers[-1], _linear(back, read.gains[0], context.order))
    return layers, context.shape, context.order


def _linear(context: NodeContext, gain: FieldValue = 1.0, order_out: Order = None) -> nnx.Linear:
    """The weights with rows and columns in spikejax's order; `gain` and `order_out` are those of the output."""
    weight = np.asarray(context.node.weight)
    if weight.ndim != 2 or weight.shape[1:] != context.shape:
        limit = f"[out, in] for an input of {context.shape}"
        raise context.error("weight", f"shape {weight.shape}", limit, "Linear takes features: put a Flatten before it")
    bias = getattr(context.node, "bias", None)
    if bias is not None and np.shape(bias) != weight.shape[:1]:
        raise context.error("bias", f"shape {np.shape(bias)}", f"of shape {weight.shape[:1]}", "one an output")
    if order_out is not None:
        weight = weight[order_out]
        bias = None if bias is None else np.asarray(bias)[order_out]
    kernel = weight.T if context.order is None else weight.T[context.order]
    factor = np.asarray(gain)
    return nnx.Linear(*kernel.shape, **_given(kernel * factor, None if bias is None else bias * factor))


def _given(kernel: np.ndarray, bias: np.ndarray | None) -> dict[str, Any]:
    """The arguments of a Flax layer that starts from these weights."""
    initial = {name: lambda *_, a=a: jnp.asarray(a, jnp.float32) for name, a in (("kernel", kernel), ("bias", bias))}
    return {f"{name}_init": a for name, a in initial.items()} | {"use_bias": bias is not None, "rngs": nnx.Rngs(0)}


def _dense(context: NodeContext) -> ReadLayers:
    layer = _linear(context)
    return [layer], (layer.out_features,), None


def _scale(context: NodeContext) -> ReadLayers:
    return [nn.Scale(context.value(context.field("scale")))], context.shape, context.order


def _delay(context: NodeContext) -> ReadLayers:
    steps = context.field("delay") / context.dt
    whole = np.round(steps)
    if not np.isclose(steps, whole, rtol=1e-6, atol=1e-6).all() or (whole < 0).any():
        raise context.error(
            "delay", f"{steps.min():.6g} to {steps.max():.6g} dt", "whole steps >= 0", "give another `dt`"
        )
    value = np.asarray(context.value(whole))
    if value.ndim > 1:
        raise context.error(
            "delay", f"one a pixel of {context.shape}", "the same for all pixels of a channel", "round it"
        )
    return [nn.Delay(value.astype(int))], context.shape, context.order


def _numbers(context: NodeContext, name: str, axes: int) -> tuple[int, ...]:
    """A field that is one number, or one a space axis."""
    value = np.ravel(getattr(context.node, name))
    if value.size not in (1, axes):
        raise context.error(name, value, f"one number or {axes}", "one a space axis")
    return tuple(map(int, np.broadcast_to(value, axes)))


def _shape_after(context: NodeContext, channels: int, sizes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Shape after windows slid over the space axes, channels first."""
    each = zip(context.shape[1:], *(sizes[name] for name in ("window", "stride", "padding", "dilation")), strict=True)
    extents = tuple((n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, s, p, d in each)
    if min(extents) < 1:
        raise context.error("input shape", context.shape, "at least as large as the window", "nothing would be left")
    return (channels, *extents)


def _conv(context: NodeContext) -> ReadLayers:
    weight = np.asarray(context.node.weight)
    axes, groups = weight.ndim - 2, int(np.ravel(context.node.groups)[0])
    if len(context.shape) != axes + 1 or context.shape[0] != weight.shape[1] * groups or weight.shape[0] % groups:
        limit = f"[out, in / groups, *window] for an input of {context.shape} in {groups} groups"
        raise context.error("weight", f"shape {weight.shape}", limit, "channels come first")
    window, stride, dilation = weight.shape[2:], _numbers(context, "stride", axes), _numbers(context, "dilation", axes)
    sizes = {"window": window, "stride": stride, "dilation": dilation, "padding": (0,) * axes}
    padding: Any = context.node.padding
    if isinstance(padding, str) and padding == "same":
        if any(s != 1 for s in stride):
            raise context.error("stride", stride, "1 where `padding` is 'same'", "give the padding in numbers")
        pairs: Any = "SAME"
        shape = (weight.shape[0], *context.shape[1:])
    else:
        if not isinstance(padding, str):
            sizes["padding"] = _numbers(context, "padding", axes)
        pairs = tuple((p, p) for p in sizes["padding"])
        shape = _shape_after(context, weight.shape[0], sizes)
    layer = nnx.Conv(
        context.shape[0],
        weight.shape[0],
        window,
        strides=stride,
        padding=pairs,
        kernel_dilation=dilation,
        feature_group_count=groups,
        **_given(np.moveaxis(weight, (0, 1), (-1, -2)), context.node.bias),
    )
    return [layer], shape, None


def _pool(context: NodeContext) -> ReadLayers:
    if len(context.shape) != 3:
        raise context.error("input shape", context.shape, "(C, H, W)", "it pools over two space axes")
    window, stride, padding = (_numbers(context, name, 2) for name in ("kernel_size", "stride", "padding"))
    sizes = {"window": window, "stride": stride, "padding": padding, "dilation": (1, 1)}
    pool = nn.SumPool if isinstance(context.node, library().SumPool2d) else nn.AvgPool
    layer = pool(window, stride, tuple((p, p) for p in padding))
    return [layer], _shape_after(context, context.shape[0], sizes), None


def _flatten(context: NodeContext, ahead: list[Link]) -> ReadLayers:
    """All axes become one; with start_dim = 1, which counts a batch axis, where the weights that follow want it so."""
    axes, size = len(context.shape), math.prod(context.shape)
    start, end = int(context.node.start_dim), int(context.node.end_dim)
    if axes == 1:
        return [], context.shape, context.order
    last = end + axes if end < 0 else end
    if start == 1 and last >= axes - 1:
        after = next((link.node for link in ahead if link.kind in WEIGHTS), None)
        start = 0 if after is not None and after.weight.shape[-1] == size else 1
    if start not in (0, -axes) or last < axes - 1:
        limit = f"0, and `end_dim` -1, for an input of {context.shape}"
        raise context.error("start_dim", f"{start} with `end_dim` {end}", limit, "spikejax flattens all axes at once")
    return [nn.Flatten()], (size,), flattened(channels_last_shape(context.shape))


STATELESS: dict[str, Callable[[NodeContext], ReadLayers]] = {
    "Linear": _dense,
    "Affine": _dense,
    "Scale": _scale,
    "Delay": _delay,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
}
