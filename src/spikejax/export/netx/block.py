"""One layer of a chip in integers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spikejax.export.chain.specs import Padding


@dataclass(frozen=True, kw_only=True)
class Block:
    """One layer of neurons with the synapses that reach it, in integers; axes as in spikejax, channels last.

    Attributes:
        name: the layer of the network that the synapse comes from.
        kind: "dense", "dense_rec" or "conv".
        inputs: shape of the spikes that come in: `(features,)`, or `(H, W, C)`, also where a dense block flattens it.
        outputs: shape of the spikes that go out.
        weight: `[in, out]`, or `[kh, kw, in / groups, out]`.
        i_decay: decay of the current in 1/4096, `()` or one an output feature or channel.
        v_decay: decay of the membrane in 1/4096.
        threshold: mantissa of the threshold.
        bias: `[out]` or None.
        recurrent: `[out, out]`, from the last output, or None.
        delay: steps `[in, out]`, or None.
        strides: of a convolution, one a space axis.
        padding: zeros before and after, a pair a space axis.
        dilation: of a convolution.
        groups: of a convolution.
        scale: whole numbers that make 1.0.
        unrounded: the weights before rounding and clipping, times `scale`; None where they are not known.
    """

    name: str
    kind: Literal["dense", "dense_rec", "conv"]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weight: np.ndarray
    i_decay: np.ndarray
    v_decay: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray | None = None
    recurrent: np.ndarray | None = None
    delay: np.ndarray | None = None
    strides: tuple[int, ...] = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    scale: float = 64.0
    unrounded: np.ndarray | None = None


@dataclass(frozen=True)
class Chip:
    """The contents of a NetX file, and the parts that stay on the host.

    Attributes:
        blocks: the layers, in order.
        input_scale: the chip takes round(x input_scale); None where it takes spikes.
        voters: output neurons a class, whose mean the host takes; 1 for none.
        notes: what the reader of a report should know.
        warnings: what differs from the network that was trained.
    """

    blocks: tuple[Block, ...]
    input_scale: float | None = None
    voters: int = 1
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
