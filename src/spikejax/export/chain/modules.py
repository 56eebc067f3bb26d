"""Layers without weights, and delays, in their plain form."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from spikejax import nn
from spikejax.export.chain.specs import DelaySpec, FlattenSpec, PoolSpec, ScaleSpec, VotingSpec
from spikejax.export.chain.synapses import as_array, extents_after, padding_pairs, per_axis
from spikejax.typing import Cell, Shape

MODES: dict[type, Literal["max", "avg", "sum"]] = {nn.MaxPool: "max", nn.AvgPool: "avg", nn.SumPool: "sum"}


def read_flatten(name: str, module: nn.Flatten, inputs: Shape) -> FlattenSpec:
    """All axes as one."""
    kind = type(module).__name__
    return FlattenSpec(name=name, kind=kind, inputs=inputs, outputs=(math.prod(inputs),), module=module)


def read_pool(name: str, module: nn.MaxPool | nn.AvgPool | nn.SumPool, inputs: Shape) -> PoolSpec:
    """A pooling over the space axes.

    Raises:
        ValueError: the window does not fit the inputs.
    """
    check_accepts(name, module, inputs)
    axes = len(inputs) - 1
    window = per_axis(module.window, axes)
    strides = window if module.strides is None else per_axis(module.strides, axes)
    padding = padding_pairs(module.padding, inputs[:-1], strides, window)
    return PoolSpec(
        name=name,
        kind=type(module).__name__,
        inputs=inputs,
        outputs=(*extents_after(inputs[:-1], window, strides, padding), inputs[-1]),
        module=module,
        mode=next(mode for kind, mode in MODES.items() if isinstance(module, kind)),
        window=window,
        strides=strides,
        padding=padding,
    )


def read_voting(name: str, module: nn.Voting, inputs: Shape) -> VotingSpec:
    """A mean over groups of features.

    Raises:
        ValueError: the groups do not divide the features.
    """
    check_accepts(name, module, inputs)
    outputs, kind = (*inputs[:-1], inputs[-1] // module.voters), type(module).__name__
    return VotingSpec(name=name, kind=kind, inputs=inputs, outputs=outputs, module=module, voters=module.voters)


def read_scale(name: str, module: nn.Scale, inputs: Shape) -> ScaleSpec:
    """A factor for each feature, or for all.

    Raises:
        ValueError: the factors do not broadcast to the inputs.
    """
    check_accepts(name, module, inputs)
    scale = as_array(module.scale)
    scale = scale.reshape(scale.shape[-len(inputs) :])  # a leading axis, that of the batch, is 1
    return ScaleSpec(name=name, kind=type(module).__name__, inputs=inputs, outputs=inputs, module=module, scale=scale)


def read_delay(name: str, module: nn.Delay, inputs: Shape) -> DelaySpec:
    """A delay of whole steps.

    Raises:
        ValueError: there is not one, or one a feature.
    """
    check_accepts(name, module, inputs)
    delay, kind = np.asarray(module.delay), type(module).__name__
    return DelaySpec(name=name, kind=kind, inputs=inputs, outputs=inputs, module=module, delay=delay)


def read_dropout(name: str, module: nnx.Dropout | nn.TimeInvariantDropout, inputs: Shape) -> None:
    """Nothing is left of a dropout in eval mode.

    Raises:
        ValueError: it is in train mode.
    """
    if module.rate and not module.deterministic:
        raise ValueError(
            f"layer {name} ({type(module).__name__}) is in train mode, `deterministic` {module.deterministic}, and a "
            f"file holds inference: call net.eval() before the export"
        )


def read_print_shape(name: str, module: nn.PrintShape, inputs: Shape) -> None:
    """Nothing is left of a layer that prints."""


def check_accepts(name: str, module: object, inputs: Shape) -> None:
    """Checks that a layer takes inputs of a shape.

    Raises:
        ValueError: it does not.
    """
    try:
        if isinstance(module, Cell):
            jax.eval_shape(lambda: module.init_state((1, *inputs), key=jax.random.key(0)))
        else:
            jax.eval_shape(module, jax.ShapeDtypeStruct((1, *inputs), jnp.float32))  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"layer {name} ({type(module).__name__}) refused an input of shape {inputs}: {error}"
        ) from error
