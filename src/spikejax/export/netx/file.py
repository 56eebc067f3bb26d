"""NetX hdf5 files: written and read with h5py alone."""

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikejax import nn
from spikejax.export.netx.block import Block, Chip
from spikejax.export.netx.limits import ChipReport, chip_report
from spikejax.export.netx.lower import chip_blocks
from spikejax.export.netx.network import network_of
from spikejax.export.netx.neuron import LoihiLIF
from spikejax.export.netx.quantize import WeightScale, quantized

PathLike = str | os.PathLike[str]


def write(
    path: PathLike,
    net: nn.Sequential,
    sample_shape: tuple[int, ...],
    *,
    scale: WeightScale = "auto",
    input_scale: float | None = None,
) -> ChipReport:
    """Writes a trained network as a NetX file, which Lava loads as `lava.lib.dl.netx.hdf5.Network(net_config=path)`.

    A network that is not quantised yet is, as `quantized` does it. The file is written beside `path` and moved there
    when it is complete; if anything is wrong, what was there before stays.

    Args:
        path: the file, by custom with the suffix `.net`.
        net: a trained `Sequential`, or what `quantized` made of it.
        sample_shape: shape of one sample at one step, `(features,)` or `(H, W, C)`.
        scale: as in `quantized`; only for a network that is not quantised yet.
        input_scale: as in `quantized`; only for a network that is not quantised yet.

    Returns:
        The report, as `check` gives it.

    Raises:
        TypeError: `net` is no Sequential.
        ValueError: the network does not fit the chip; every reason is named, with the remedy.
        OSError: the file cannot be written.
    """
    chip = chip_of(net, sample_shape, scale=scale, input_scale=input_scale)
    report = chip_report(chip)
    if report.errors:
        raise ValueError("; ".join(report.errors))
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(beside, "w") as file:
            _write(file, chip)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return report


def check(
    net: nn.Sequential, sample_shape: tuple[int, ...], *, scale: WeightScale = "auto", input_scale: float | None = None
) -> ChipReport:
    """The report on a network, without writing anything; arguments as in `write`.

    Raises:
        TypeError: `net` is no Sequential.
        ValueError: a layer has no counterpart on the chip; named, with the remedy.
    """
    return chip_report(chip_of(net, sample_shape, scale=scale, input_scale=input_scale))


def chip_of(
    net: nn.Sequential, sample_shape: tuple[int, ...], *, scale: WeightScale, input_scale: float | None
) -> Chip:
    """The blocks of a network, quantised or not yet."""
    if not is_quantized(net):
        net = quantized(net, sample_shape, scale=scale, input_scale=input_scale)
    elif scale != "auto" or input_scale is not None:
        raise ValueError("`scale` and `input_scale` must not be given for a network that is quantised: it has its own")
    return chip_blocks(net, sample_shape)


def is_quantized(net: object) -> bool:
    """True if `quantized` made this network."""
    cells = [net[i] for i in range(len(net))] if isinstance(net, nn.Sequential) else []
    return any(isinstance(cell.cell if isinstance(cell, nn.Recurrent) else cell, LoihiLIF) for cell in cells)


def read(path: PathLike) -> nn.Sequential:
    """The network that a NetX file describes, computed as the chip does; trainable like any other.

    Args:
        path: a file by `write`, or by lava-dl's slayer, of dense, recurrent and convolutional layers of CUBA neurons.

    Raises:
        OSError: there is no such file, or it is no hdf5.
        ValueError: a layer or neuron that NetX cannot run, or a value that it would change in silence; named.
    """
    return network_of(read_chip(path))


def read_chip(path: PathLike) -> Chip:
    """The blocks of a NetX file."""
    with h5py.File(path, "r") as file:
        if "layer" not in file:
            raise ValueError(f"{path} is no NetX file: it has no group `layer`")
        layers: Any = file["layer"]
        chip = Chip(tuple(_read(layers)))
    errors = chip_report(chip).errors
    if errors:
        raise ValueError("; ".join(errors))
    return chip


def _write(file: h5py.File, chip: Chip) -> None:
    file.attrs["producer"], file.attrs["spikejax_version"] = "spikejax", version("spikejax")
    layers = file.create_group("layer")

    def group(kind: str, shape: tuple[int, ...], **ints: Any) -> h5py.Group:
        new = layers.create_group(str(len(layers)))
        new["type"] = np.array([kind], "S10")
        for name, value in {"shape": shape, **ints}.items():
            new[name] = np.asarray(value, np.int64)
        return new

    group("input", _channels_first(chip.blocks[0].inputs))
    for block in chip.blocks:
        if block.kind == "conv":
            layer = _write_conv(group, block)
        else:
            if len(block.inputs) > 1:
                group("flatten", (int(np.prod(block.inputs)), 1, 1))
            layer = _write_dense(group, block)
        layer.attrs["w_scale"] = block.scale
        if block.bias is not None:
            layer["bias"] = block.bias.astype(np.int32)
        neuron = layer.create_group("neuron")
        neuron["type"] = "CUBA"
        ints = {"iDecay": block.i_decay, "vDecay": block.v_decay, "vThMant": block.threshold, "refDelay": 1}
        for name, value in ints.items():
            neuron[name] = np.asarray(value, np.int64)
        neuron["gradedSpike"] = False


def _write_conv(group: Any, block: Block) -> h5py.Group:
    layer = group(
        "conv",
        _channels_first(block.outputs),
        inChannels=block.inputs[-1],
        outChannels=block.outputs[-1],
        kernelSize=block.weight.shape[:2],
        stride=block.strides,
        padding=[low for low, _ in block.padding],
        dilation=block.dilation,
        groups=block.groups,
    )
    layer["weight"] = block.weight.transpose(3, 2, 0, 1).astype(np.int32)
    return layer


def _write_dense(group: Any, block: Block) -> h5py.Group:
    layer = group(block.kind, block.outputs, inFeatures=len(block.weight), outFeatures=block.outputs[0])
    layer["weight"] = _outputs_first(block.weight, block.inputs).astype(np.int32)
    if block.recurrent is not None:
        layer["weight_rec"] = block.recurrent.T.astype(np.int32)
    if block.delay is not None:
        layer["delay"] = _outputs_first(block.delay, block.inputs).astype(np.int64)
    return layer


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[-1], *shape[:-1])


def _outputs_first(values: np.ndarray, inputs: tuple[int, ...]) -> np.ndarray:
    """`[in, out]` as `[out, in]`, the inputs channels first where they come from a map."""
    apart = values.reshape(*inputs, -1)
    return np.moveaxis(apart, (-1, -2), (0, 1)).reshape(values.shape[1], -1)


def _inputs_first(values: np.ndarray, inputs: tuple[int, ...]) -> np.ndarray:
    """The inverse of `_outputs_first`."""
    apart = values.reshape(values.shape[0], *_channels_first(inputs))
    return np.moveaxis(apart, (0, 1), (-1, -2)).reshape(-1, values.shape[0])


def _read(layers: Any) -> Iterator[Block]:
    """The blocks, in order; shapes go from one to the next."""
    shape: tuple[int, ...] | None = None
    for name in map(str, range(len(layers))):
        if name not in layers:
            raise ValueError(f"the layers of a NetX file are named 0, 1, ...: there is no layer {name}")
        layer, kind = layers[name], _kind(layers[name])
        if kind == "input":
            channels, *space = (int(n) for n in layer["shape"][()])
            shape = (*space, channels)
        elif kind == "flatten":
            continue  # a dense block knows from its inputs
        elif kind in ("dense", "dense_rec", "conv"):
            block = _read_block(name, kind, layer, shape)
            yield block
            shape = block.outputs
        else:
            raise ValueError(f"layer {name} is of type {kind!r}, which NetX cannot run")


def _kind(layer: Any) -> str:
    value = layer["type"][()]
    value = value[0] if np.ndim(value) else value
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _read_block(name: str, kind: Any, layer: Any, shape: tuple[int, ...] | None) -> Block:
    neuron = layer.get("neuron", {})
    if not neuron or _kind(neuron) not in ("CUBA", "LOIHI"):
        model = _kind(neuron) if neuron else "none"
        raise ValueError(f"layer {name} has neurons of type {model}: only CUBA can be run")
    if "messageBits" in neuron:
        raise ValueError(f"layer {name} has neuron/messageBits, at which NetX fails: remove it")
    ints: dict[str, Any] = {field: _ints(name, neuron, key) for field, key in _NEURON.items()}
    optional: dict[str, Any] = {key: _ints(name, layer, key, False) for key in ("bias", "delay") if key in layer}
    weight = _ints(name, layer, "weight", False)
    outputs = tuple(int(n) for n in layer["shape"][()])
    scale = float(layer.attrs.get("w_scale", 64.0))
    if kind == "conv":
        if shape is None:
            raise ValueError(f"layer {name} is a convolution without a shape of its input: write a layer of type input")
        weight = weight.reshape(weight.shape[:4]).transpose(2, 3, 1, 0)
        pair = {key: tuple(np.broadcast_to(layer[key][()], 2).tolist()) for key in ("stride", "padding", "dilation")}
        where: dict[str, Any] = {
            "strides": pair["stride"],
            "padding": tuple((p, p) for p in pair["padding"]),
            "dilation": pair["dilation"],
            "groups": int(layer["groups"][()]),
            "outputs": (*outputs[1:], outputs[0]),
            "bias": optional.get("bias"),
        }
        return Block(name=name, kind=kind, inputs=shape, weight=weight, scale=scale, **ints, **where)
    inputs = shape or (weight.shape[1],)
    delay = optional.get("delay")
    if delay is not None:
        delay = np.broadcast_to(
            delay[:, None] if delay.ndim == 1 and len(delay) == len(weight) else delay, weight.shape
        )
        optional["delay"] = _inputs_first(delay, inputs)
    if kind == "dense_rec":
        optional["recurrent"] = _ints(name, layer, "weight_rec", False).T
    outputs = (int(np.prod(outputs)),)
    weight = _inputs_first(weight, inputs)
    return Block(name=name, kind=kind, inputs=inputs, outputs=outputs, weight=weight, scale=scale, **ints, **optional)


_NEURON = {"i_decay": "iDecay", "v_decay": "vDecay", "threshold": "vThMant"}


def _ints(name: str, group: Any, key: str, strict: bool = True) -> np.ndarray:
    """Whole numbers of a dataset; NetX would cut fractions off, and hang at a neuron's numbers in floating point."""
    if key not in group:
        raise ValueError(f"layer {name} has no `{key}`")
    values = np.asarray(group[key][()])
    if strict and not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"layer {name} has `{key}` of dtype {values.dtype}, at which Lava hangs for ever: write int64")
    if (values != np.round(values)).any():
        raise ValueError(f"layer {name} has `{key}` with fractions, which NetX cuts off: round it")
    return values.astype(np.int64)
