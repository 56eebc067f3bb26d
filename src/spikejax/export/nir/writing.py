"""Networks as NIR graphs, and as files of them."""

import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from spikejax import nn
from spikejax.checks import check_option
from spikejax.export.chain import (
    ConvSpec,
    DelaySpec,
    DenseSpec,
    FlattenSpec,
    LayerSpec,
    NeuronSpec,
    PoolSpec,
    ScaleSpec,
    VotingSpec,
    read_chain,
)
from spikejax.export.nir.convention import channels_first_shape, check_dt, flattened, library
from spikejax.export.nir.neurons import FeatureLayout, Named, neuron_nodes, with_gains_folded

Recurrence = Literal["cycle", "graph"]


def to_nir(
    net: nn.Sequential, sample_shape: tuple[int, ...], *, dt: float = 1e-4, recurrent: Recurrence = "graph"
) -> Any:
    """A network as a graph of the Neuromorphic Intermediate Representation.

    Arrays are channels first, and a neuron's parameters have the full shape of its layer. A layer of weights right
    before leaky neurons takes their gain, so that their r is 1. NIR fires above the threshold, spikejax at it: the
    thresholds written are the next smaller numbers of float32, which gives the same spikes.

    Args:
        net: a `Sequential`, nested ones included, as it stands after training.
        sample_shape: shape of one sample at one step, channels last: `(features,)`, `(L, C)` or `(H, W, C)`. The graph
            takes it channels first.
        dt: length of a step in seconds, > 0; most readers have 1e-4.
        recurrent: how a `Recurrent` is written: "graph", as a graph of its own with input, lif, w_rec and output;
            "cycle", its neurons and weights in the graph itself, named `x.lif` and `x.w_rec`.

    Returns:
        A `nir.NIRGraph` with an Input and an Output.

    Raises:
        ImportError: the package `nir` is missing.
        TypeError: `net` is no Sequential.
        ValueError: a layer, a neuron or a padding has no NIR node, named with what to do; the network ends in a
            flattened image, whose order of features differs; `dt` or `recurrent` is out of range.

    Source: Pedersen et al., "Neuromorphic intermediate representation: A unified instruction set for interoperable
    brain-inspired computing", 2024, in forward Euler steps.
    """
    check_dt(dt)
    check_option("recurrent", recurrent, ("cycle", "graph"))
    nir = library()
    layers = with_gains_folded(read_chain(net, sample_shape, "nir"))
    if not layers:
        raise ValueError("`net` has no layer to write: it only drops out, or has no layer at all")
    nodes: dict[str, Any] = {"input": nir.Input(np.array(channels_first_shape(layers[0].inputs)))}
    edges: list[tuple[str, str]] = []
    last, order = "input", None
    for layer in layers:
        name = f"{layer.kind.lower()}_{layer.name.replace('.', '_')}"
        for end, node in _lowered(layer, order, dt):
            if isinstance(node, nir.NIRGraph) and recurrent == "cycle":
                inner = {key: f"{name}.{key}" for key in ("lif", "w_rec")}
                nodes |= {inner[key]: node.nodes[key] for key in inner}
                edges += [(last, inner["lif"]), (inner["lif"], inner["w_rec"]), (inner["w_rec"], inner["lif"])]
                last = inner["lif"]
            else:
                nodes[name + end] = node
                edges.append((last, name + end))
                last = name + end
        order = _order_after(layer, order)
    if order is not None:
        raise ValueError(
            f"layer {layers[-1].name} ({layers[-1].kind}) ends in the features of a flattened image, which NIR orders "
            f"otherwise, channels slowest: end in an nnx.Linear, or before the Flatten"
        )
    nodes["output"] = nir.Output(np.array(channels_first_shape(layers[-1].outputs)))
    edges.append((last, "output"))
    metadata = {"producer": f"spikejax {version('spikejax')}", "dt": dt, "reset": "hard"}
    return nir.NIRGraph(nodes, edges, metadata=metadata)


def write(
    path: str | os.PathLike[str],
    net: nn.Sequential,
    sample_shape: tuple[int, ...],
    *,
    dt: float = 1e-4,
    recurrent: Recurrence = "graph",
) -> None:
    """Writes a network as a NIR file; a failure leaves an old file whole.

    Args:
        path: the file, usually named *.nir.
        net: see `to_nir`.
        sample_shape: see `to_nir`.
        dt: see `to_nir`.
        recurrent: see `to_nir`.

    Raises:
        ImportError: see `to_nir`.
        TypeError: see `to_nir`.
        ValueError: see `to_nir`.
        OSError: the file cannot be written.
    """
    graph, path = to_nir(net, sample_shape, dt=dt, recurrent=recurrent), Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        partial_file = Path(folder, path.name)
        library().write(partial_file, graph)
        os.replace(partial_file, path)


def _lowered(layer: LayerSpec, order: np.ndarray | None, dt: float) -> Named:
    """The nodes of one layer, with their types: nir 1.0.8 infers wrong ones for groups and for windows not square."""
    nodes = _nodes(layer, order, dt)
    inputs, outputs = np.array(channels_first_shape(layer.inputs)), np.array(channels_first_shape(layer.outputs))
    for _, node in nodes:
        if not isinstance(node, library().NIRGraph):
            node.input_type, node.output_type = {"input": inputs}, {"output": outputs}
    return nodes


def _nodes(layer: LayerSpec, order: np.ndarray | None, dt: float) -> Named:
    nir = library()
    layout = FeatureLayout(layer.inputs, order)
    if isinstance(layer, DenseSpec):
        return [("", _dense(layer.kernel, layer.bias, order))]
    if isinstance(layer, ConvSpec):
        return [("", _conv(layer))]
    if isinstance(layer, PoolSpec):
        return [("", _pool(layer))]
    if isinstance(layer, FlattenSpec):
        flat = len(layer.inputs) == 1
        return (
            [] if flat else [("", nir.Flatten(np.array(channels_first_shape(layer.inputs)), start_dim=0, end_dim=-1))]
        )
    if isinstance(layer, ScaleSpec):
        return [("", nir.Scale(scale=layout.full(layer.scale)))]
    if isinstance(layer, DelaySpec):
        return [("", nir.Delay(delay=layout.full(layer.delay * dt)))]
    if isinstance(layer, VotingSpec):
        return [("", _dense(_mean_of_groups(layer), None, order))]
    if isinstance(layer, NeuronSpec):
        nodes = neuron_nodes(layer, layout, dt)
        return nodes if layer.feedback is None else [("", _recurrent(layer, nodes, order))]
    raise ValueError(f"layer {layer.name} ({layer.kind}) has no NIR node")


def _dense(kernel: np.ndarray, bias: np.ndarray | None, order: np.ndarray | None) -> Any:
    """Linear, or Affine with a bias; `order` is that of the input."""
    nir = library()
    rows = kernel if order is None else kernel[np.argsort(order)]
    weight = np.ascontiguousarray(rows.T, np.float32)
    return nir.Linear(weight) if bias is None else nir.Affine(weight, bias.astype(np.float32))


def _mean_of_groups(layer: VotingSpec) -> np.ndarray:
    if len(layer.inputs) != 1:
        raise ValueError(
            f"layer {layer.name} (Voting) over {layer.inputs} has no NIR node: put spikejax.nn.Flatten() before it"
        )
    return np.kron(np.eye(layer.outputs[0]), np.full((layer.voters, 1), 1 / layer.voters))


def _recurrent(layer: NeuronSpec, nodes: Named, order: np.ndarray | None) -> Any:
    """Neurons whose output comes back, one step later, through weights, as a graph of its own."""
    if len(nodes) != 1 or layer.feedback is None:
        raise ValueError(f"layer {layer.name} (Recurrent) has a cell of {len(nodes)} NIR nodes: use a cell of one")
    nir, kernel, bias, size = library(), layer.feedback.kernel, layer.feedback.bias, np.array(layer.inputs)
    if order is not None:
        back = np.argsort(order)
        kernel, bias = kernel[:, back], None if bias is None else bias[back]
    inside = {
        "input": nir.Input(size),
        "lif": nodes[0][1],
        "w_rec": _dense(kernel, bias, order),
        "output": nir.Output(size),
    }
    return nir.NIRGraph(inside, [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])


def _conv(layer: ConvSpec) -> Any:
    nir, axes = library(), len(layer.strides)
    weight = np.ascontiguousarray(np.moveaxis(layer.kernel, (-1, -2), (0, 1)), np.float32)
    bias = np.zeros(weight.shape[0], np.float32) if layer.bias is None else layer.bias.astype(np.float32)
    shared = {"weight": weight, "groups": layer.groups, "bias": bias}
    sizes = {"stride": layer.strides, "padding": _padding(layer), "dilation": layer.dilation}
    if axes == 2:
        return nir.Conv2d(input_shape=layer.inputs[:-1], **shared, **sizes)
    if axes != 1:
        raise ValueError(f"layer {layer.name} (Conv) has {axes} space axes, but NIR has Conv1d and Conv2d")
    first = {name: value if isinstance(value, str) else value[0] for name, value in sizes.items()}
    return nir.Conv1d(input_shape=layer.inputs[0], **shared, **first)


def _padding(layer: ConvSpec | PoolSpec) -> tuple[int, ...] | str:
    """The same on both sides, as NIR knows it, or 'same'."""
    if all(low == high >= 0 for low, high in layer.padding):
        return tuple(low for low, _ in layer.padding)
    if isinstance(layer, ConvSpec) and all(stride == 1 for stride in layer.strides):
        window = [(k - 1) * d + 1 for k, d in zip(layer.kernel.shape, layer.dilation, strict=False)]
        same = jax.lax.padtype_to_pads(layer.inputs[:-1], window, layer.strides, "SAME")
        if layer.padding == tuple(same):
            return "same"
    raise ValueError(
        f"layer {layer.name} ({layer.kind}) has `padding` {layer.padding}, but NIR pads as much before as after: "
        f"give equal pairs, such as ((1, 1), (1, 1))"
    )


def _pool(layer: PoolSpec) -> Any:
    nir = library()
    if layer.mode == "max":
        raise ValueError(f"layer {layer.name} (MaxPool) has no NIR node: use spikejax.nn.AvgPool or SumPool")
    if len(layer.window) != 2:
        raise ValueError(f"layer {layer.name} ({layer.kind}) has {len(layer.window)} space axes, but NIR pools over 2")
    node = nir.AvgPool2d if layer.mode == "avg" else nir.SumPool2d
    return node(kernel_size=np.array(layer.window), stride=np.array(layer.strides), padding=np.array(_padding(layer)))


def _order_after(layer: LayerSpec, order: np.ndarray | None) -> np.ndarray | None:
    if isinstance(layer, FlattenSpec) and len(layer.inputs) > 1:
        return flattened(layer.inputs)
    return None if isinstance(layer, DenseSpec | VotingSpec) else order
