"""From the integers of a NetX file back to a network."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from spikejax import nn
from spikejax.export.netx.block import Block, Chip
from spikejax.export.netx.neuron import UNIT, LoihiLIF
from spikejax.export.netx.synapse import QuantizedConv, QuantizedLinear


def network_of(chip: Chip) -> nn.Sequential:
    """The network that computes what the blocks do; without what stays on the host."""
    layers: list[Any] = []
    for block in chip.blocks:
        weights = [w for w in (block.weight, block.recurrent) if w is not None]
        shared: dict[str, Any] = {"scale": block.scale, "step": 1 if any((w % 2).any() for w in weights) else 2}
        bias = None if block.bias is None else block.bias / block.scale
        cell: Any = LoihiLIF(
            current_decay=_constant(block.i_decay / UNIT),
            voltage_decay=_constant(block.v_decay / UNIT),
            v_threshold=_constant(block.threshold / block.scale),
            scale=block.scale,
        )
        if block.kind == "conv":
            where: Any = {"strides": block.strides, "padding": block.padding, "dilation": block.dilation}
            layers += [QuantizedConv(block.weight / block.scale, bias, **shared, **where, groups=block.groups), cell]
            continue
        if len(block.inputs) > 1:
            layers.append(nn.Flatten())
        before, after = _parts_of_delay(block)
        layers += [nn.Delay(before)] if before.any() else []
        layers.append(QuantizedLinear(block.weight / block.scale, bias, **shared))
        layers += [nn.Delay(after)] if after.any() else []
        if block.recurrent is not None:
            cell = nn.Recurrent(cell, QuantizedLinear(block.recurrent / block.scale, None, **shared))
        layers.append(cell)
    return nn.Sequential(*layers)


def _constant(values: np.ndarray) -> Any:
    return jnp.asarray(values, jnp.float32) if values.ndim else float(values)


def _parts_of_delay(block: Block) -> tuple[np.ndarray, np.ndarray]:
    """The delay of each synapse as that of its input plus that of its output."""
    if block.delay is None:
        return np.zeros(1, int), np.zeros(1, int)
    before = block.delay[:, 0] - block.delay[:, 0].min()
    after = block.delay[0] - before[0]
    if (before[:, None] + after != block.delay).any():
        raise ValueError(
            f"layer {block.name} has a delay of its own for each synapse: only those of inputs and outputs can run"
        )
    return before, after
