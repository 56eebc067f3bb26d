"""A quantised network as the blocks of a NetX file: integers only, with pooling and delays inside the synapses."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from spikejax import nn
from spikejax.encoding import Poisson
from spikejax.export.chain import (
    ConvSpec,
    DelaySpec,
    DenseSpec,
    FlattenSpec,
    LayerSpec,
    NeuronSpec,
    PoolSpec,
    VotingSpec,
    read_chain,
)
from spikejax.export.netx.block import Block, Chip
from spikejax.export.netx.geometry import pooled, symmetric
from spikejax.export.netx.neuron import UNIT, LoihiLIF
from spikejax.export.netx.readers import QUANTIZED, GradedInputSpec
from spikejax.export.netx.synapse import QuantizedConv, QuantizedLinear

OR_WEIGHT = 64
"""Weight of a neuron that joins spikes: one is enough to pass a threshold one below it."""


def chip_blocks(net: nn.Sequential, sample_shape: tuple[int, ...]) -> Chip:
    """The blocks of a network that `quantized` made or training changed since.

    Raises:
        ValueError: a delay or pooling stands where a NetX file has no place for it; named, with the remedy.
    """
    lowering = _Lowering()
    for layer in read_chain(net, sample_shape, "netx", QUANTIZED):
        lowering.take(layer)
    lowering.finish()
    return Chip(
        tuple(lowering.blocks),
        lowering.input_scale,
        lowering.voters,
        tuple(lowering.notes),
        tuple(lowering.warnings),
    )


class _Lowering:
    """Takes the layers in order, and gathers those that belong to one block."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.before: list[LayerSpec] = []  # pooling and flattening on the way to the next synapse
        self.delay: np.ndarray | None = None  # of the spikes on that way
        self.synapse: Block | None = None
        self.input_scale: float | None = None
        self.voters = 1
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def take(self, layer: LayerSpec) -> None:
        """The next layer."""
        if self.voters > 1:
            raise ValueError(f"layer {layer.name} ({layer.kind}) follows the voting, which the host does: vote last")
        if isinstance(layer, GradedInputSpec):
            self.input_scale = layer.scale
            self.notes.append(f"the input is graded: give round(x * {layer.scale:g}) with message bits")
        elif isinstance(layer, NeuronSpec) and layer.model is Poisson:
            self.notes.append("the Poisson encoder stays on the host: the chip takes its spikes")
        elif isinstance(layer, DenseSpec | ConvSpec) and not isinstance(layer.module, QuantizedLinear | QuantizedConv):
            raise ValueError(f"layer {layer.name} ({layer.kind}) is not quantised: use spikejax.export.netx.quantized")
        elif isinstance(layer, DenseSpec):
            self.synapse = self._dense(layer)
        elif isinstance(layer, ConvSpec):
            self.synapse = self._conv(layer)
        elif isinstance(layer, NeuronSpec):
            self._close(layer)
        elif isinstance(layer, PoolSpec) and layer.mode == "max":
            self._max_pool(layer)
        elif isinstance(layer, DelaySpec):
            self._delay(layer)
        elif isinstance(layer, VotingSpec):
            self.voters = layer.voters
            self.notes.append(f"the mean over {layer.voters} voters a class stays on the host")
        else:
            self.before.append(layer)
            if self.delay is not None and isinstance(layer, FlattenSpec):
                self.delay = np.broadcast_to(self.delay, layer.inputs).reshape(-1)

    def finish(self) -> None:
        """Nothing may be left after the last neurons."""
        if self.before or (self.delay is not None and self.delay.any()):
            place = f"layer {self.before[0].name} ({self.before[0].kind})" if self.before else "a delay"
            raise ValueError(f"{place} follows the last neurons, where NetX has no place: only Voting may")

    def _dense(self, layer: DenseSpec) -> Block:
        """Weights from the last block's outputs: pooling before them is a linear map, and goes into them."""
        module: Any = layer.module
        first = self.before[0].inputs if self.before else layer.inputs
        weight, unrounded = (self._unpooled(w, first) for w in (module.weights, module.kernel[...] * module.scale))
        return Block(
            name=layer.name,
            kind="dense",
            inputs=first if self.blocks else (weight.shape[0],),
            outputs=layer.outputs,
            weight=weight,
            unrounded=unrounded,
            bias=_whole(module.biases),
            delay=self._taken_delay(layer, weight.shape),
            scale=module.scale,
            **_NEURONS_LATER,
        )

    def _unpooled(self, kernel: jax.Array, first: tuple[int, ...]) -> np.ndarray:
        def prepare(x: jax.Array) -> jax.Array:
            for layer in self.before:
                x = layer.module(x)
            return x

        if any(isinstance(layer, PoolSpec) for layer in self.before):
            like = jax.ShapeDtypeStruct((kernel.shape[1], *first), jnp.float32)
            (kernel,) = jax.linear_transpose(prepare, like)(kernel.T)
            kernel = kernel.reshape(kernel.shape[0], -1).T
        return np.asarray(kernel)

    def _conv(self, layer: ConvSpec) -> Block:
        if self.delay is not None and self.delay.any():
            raise ValueError(
                f"a delay stands before layer {layer.name} ({layer.kind}): NetX ignores delays of convolutions, so put "
                f"delays only before or after nnx.Linear"
            )
        module: Any = layer.module
        block = Block(
            name=layer.name,
            kind="conv",
            inputs=layer.inputs,
            outputs=layer.outputs,
            weight=np.asarray(module.weights),
            unrounded=np.asarray(module.kernel[...] * module.scale),
            bias=_whole(module.biases),
            strides=layer.strides,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
            scale=module.scale,
            **_NEURONS_LATER,
        )
        for pool in reversed(self.before):
            block = pooled(block, pool)
        return symmetric(block)

    def _taken_delay(self, layer: LayerSpec, shape: tuple[int, ...]) -> np.ndarray | None:
        delay, self.delay = self.delay, None
        if delay is None or not delay.any():
            return None
        if delay.ndim and delay.size != shape[0]:
            raise ValueError(
                f"a delay of {delay.size} values stands before pooling and layer {layer.name} ({layer.kind}): put it "
                f"after the pooling"
            )
        return np.broadcast_to(delay.reshape(-1, 1) if delay.ndim else delay, shape)

    def _delay(self, layer: DelaySpec) -> None:
        delay = layer.delay
        if self.synapse is None:
            self.delay = delay if self.delay is None else self.delay + delay
        elif self.synapse.kind == "conv" and delay.any():
            raise ValueError(
                f"layer {layer.name} ({layer.kind}) delays a convolution, which NetX ignores: put delays only before "
                f"or after nnx.Linear"
            )
        elif delay.any():
            earlier = 0 if self.synapse.delay is None else self.synapse.delay
            self.synapse = replace(self.synapse, delay=np.broadcast_to(delay, self.synapse.weight.shape) + earlier)

    def _close(self, layer: NeuronSpec) -> None:
        """The neurons of the open synapse: the block is complete."""
        synapse, cell = self.synapse, layer.cell
        if synapse is None or layer.model is not LoihiLIF:
            raise ValueError(f"layer {layer.name} ({layer.kind}) is not quantised: use spikejax.export.netx.quantized")
        if layer.feedback is not None:
            if synapse.delay is not None:
                raise ValueError(
                    f"layer {layer.name} (Recurrent) has delays, which NetX would apply to its feedback as well: "
                    f"put a neuron between the delay and the recurrent layer"
                )
            module: Any = layer.feedback.module
            synapse = replace(synapse, kind="dense_rec", recurrent=_whole(module.weights))
        ints = {name: _whole(getattr(cell, name)) for name in ("i_decay", "v_decay", "threshold")}
        if np.any((ints["v_decay"] == 0) & (np.asarray(cell.voltage_decay) > 0)):
            self.warnings.append(f"layer {layer.name}: a time constant beyond 8192 steps has no leak left")
        if np.any(ints["v_decay"] == UNIT - 1):
            self.warnings.append(f"layer {layer.name}: a membrane lost in one step keeps 1/4096, v_decay 4095 at most")
        self.blocks.append(replace(synapse, outputs=layer.outputs, **ints))
        self.synapse, self.before = None, []

    def _max_pool(self, layer: PoolSpec) -> None:
        """Spikes in a window are joined by neurons that fire at one spike: a block of its own, one step later."""
        if self.before or self.delay is not None or (self.input_scale is not None and not self.blocks):
            place = "graded input" if self.input_scale is not None and not self.blocks else "another pooling or a delay"
            raise ValueError(f"layer {layer.name} ({layer.kind}) follows {place}: it can join only spikes of a layer")
        channels, axes = layer.inputs[-1], len(layer.window)
        self.blocks.append(
            symmetric(
                Block(
                    name=layer.name,
                    kind="conv",
                    inputs=layer.inputs,
                    outputs=layer.outputs,
                    weight=np.full((*layer.window, 1, channels), OR_WEIGHT),
                    i_decay=np.asarray(UNIT),
                    v_decay=np.asarray(UNIT - 1),  # with a spike at every input that counts, nothing is left over
                    threshold=np.asarray(OR_WEIGHT - 1),
                    strides=layer.strides,
                    padding=layer.padding,
                    dilation=(1,) * axes,
                    groups=channels,
                )
            )
        )


_NEURONS_LATER: dict[str, Any] = {name: np.zeros(()) for name in ("i_decay", "v_decay", "threshold")}


def _whole(values: Any) -> Any:
    return None if values is None else np.asarray(values).astype(np.int64)
