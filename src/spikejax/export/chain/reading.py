"""The layers of a network in order, each in its plain form, or refused by the table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from flax import nnx

from spikejax import nn
from spikejax.export.chain.folding import with_batch_norm
from spikejax.export.chain.modules import (
    check_accepts,
    read_delay,
    read_dropout,
    read_flatten,
    read_pool,
    read_print_shape,
    read_scale,
    read_voting,
)
from spikejax.export.chain.specs import DenseSpec, LayerSpec, NeuronSpec
from spikejax.export.chain.synapses import read_conv, read_dense
from spikejax.export.support import Format, written_class
from spikejax.typing import Cell, Network, Shape

Reader = Callable[[str, Any, Shape], LayerSpec | None]
"""`(name, module, inputs)` to the plain form of a layer; None where nothing of it is left in inference."""

LAYER_READERS: dict[type, Reader] = {
    nnx.Linear: read_dense,
    nnx.Conv: read_conv,
    nnx.Dropout: read_dropout,
    nn.AvgPool: read_pool,
    nn.Delay: read_delay,
    nn.Flatten: read_flatten,
    nn.MaxPool: read_pool,
    nn.PrintShape: read_print_shape,
    nn.Scale: read_scale,
    nn.SpikeConv: read_conv,
    nn.SpikeLinear: read_dense,
    nn.SumPool: read_pool,
    nn.TimeInvariantDropout: read_dropout,
    nn.Voting: read_voting,
    nn.WeightStandardizedConv: read_conv,
}
"""Readers of the stateless layers and delays that some exporter writes."""


def read_chain(
    net: nn.Sequential, sample_shape: Shape, target: Format, readers: Mapping[type, Reader] | None = None
) -> list[LayerSpec]:
    """The layers of `net` in order, with the shapes of one sample; BatchNorm is folded, nothing is run.

    Args:
        net: a network in eval mode, nested ones included, as it stands after training.
        sample_shape: shape of one sample at one step, `(features,)` or `(H, W, C)`.
        target: exporter for which it is read; the table says which classes that writes.
        readers: readers of further classes that the exporter brings itself.

    Raises:
        TypeError: `net` is no Sequential.
        ValueError: the exporter does not write a layer, which is named with the remedy; or the shapes do not fit.
    """
    if not isinstance(net, nn.Sequential):
        raise TypeError(f"`net` must be a spikejax.nn.Sequential, got {type(net).__name__}: put the layers into one")
    shape = tuple(int(n) for n in sample_shape)
    if not shape or min(shape) < 1:
        raise ValueError(
            f"`sample_shape` must be the shape of one sample without batch, such as (28, 28, 1), got {shape}"
        )
    written_class("", net, target)
    reading = _Reading(target, readers or {})
    layers: list[LayerSpec] = []
    for name, module in reading.leaves(net, ""):
        if reading.is_batch_norm(name, module):
            layers[-1:] = [with_batch_norm(name, module, layers[-1] if layers else None)]
            continue
        spec = reading.read(name, module, shape)
        if spec is not None:
            layers.append(spec)
            shape = spec.outputs
    return layers


class _Reading:
    """Reads layers for one exporter."""

    def __init__(self, target: Format, readers: Mapping[type, Reader]) -> None:
        self.target: Format = target
        self.readers = readers

    def leaves(self, net: nn.Sequential, prefix: str) -> Iterator[tuple[str, Any]]:
        """Names and layers, those of nested networks in their place."""
        for i, module in enumerate(net.layers):
            name = f"{prefix}{i}"
            if isinstance(module, nn.Sequential) and written_class(name, module, self.target) is nn.Sequential:
                yield from self.leaves(module, f"{name}.")
            elif isinstance(module, nn.CellModule) and written_class(name, module, self.target) is nn.CellModule:
                yield name, module.cell
            else:
                yield name, module

    def is_batch_norm(self, name: str, module: object) -> bool:
        """True for a layer that is folded into the one before it."""
        folded = (nnx.BatchNorm, nn.ThresholdDependentBatchNorm)
        return isinstance(module, nnx.BatchNorm) and written_class(name, module, self.target) in folded

    def read(self, name: str, module: Any, inputs: Shape) -> LayerSpec | None:
        """The plain form of one layer.

        Raises:
            ValueError: there is none.
        """
        reader = self.readers.get(type(module))
        if reader is not None:
            return reader(name, module, inputs)
        model = written_class(name, module, self.target)
        if model is nn.Recurrent:
            return self._recurrent(name, module, inputs)
        if model in LAYER_READERS:
            return LAYER_READERS[model](name, module, inputs)
        return read_neurons(name, module, inputs, model)

    def _recurrent(self, name: str, module: nn.Recurrent, inputs: Shape) -> NeuronSpec:
        """Neurons with a dense feedback."""
        feedback = module.feedback
        if not isinstance(feedback, nnx.Linear) or len(inputs) != 1:
            raise ValueError(
                f"layer {name} (Recurrent) can be exported with a dense feedback, an nnx.Linear over features, got "
                f"{type(feedback).__name__} over {inputs}"
            )
        check_accepts(name, module, inputs)
        weights = self.read(f"{name}.feedback", feedback, inputs)
        neurons = None if isinstance(module.cell, Network) else self.read(name, module.cell, inputs)
        if not isinstance(neurons, NeuronSpec) or not isinstance(weights, DenseSpec):
            raise ValueError(
                f"layer {name} (Recurrent) can be exported with one layer of neurons inside, such as sx.LIF(), got "
                f"{type(module.cell).__name__}"
            )
        return replace(neurons, kind=type(module).__name__, module=module, feedback=weights)


def read_neurons(name: str, cell: Cell, inputs: Shape, model: type) -> NeuronSpec:
    """Neurons, or an encoder, of the equations of `model`.

    Raises:
        ValueError: a parameter of the cell does not broadcast to `inputs`.
    """
    check_accepts(name, cell, inputs)
    return NeuronSpec(
        name=name, kind=type(cell).__name__, inputs=inputs, outputs=inputs, module=cell, cell=cell, model=model
    )
