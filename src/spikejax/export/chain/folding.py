"""BatchNorm in eval mode, as part of the weights before it."""

from dataclasses import replace

import numpy as np
from flax import nnx

from spikejax.export.chain.modules import check_accepts
from spikejax.export.chain.specs import ConvSpec, DenseSpec, LayerSpec
from spikejax.export.chain.synapses import as_array, check_computation


def with_batch_norm(name: str, norm: nnx.BatchNorm, before: LayerSpec | None) -> DenseSpec | ConvSpec:
    """The weights before a BatchNorm with the BatchNorm in them.

        y = (x W + b - mean) gain + shift        gain = scale / sqrt(var + epsilon), in double precision

    Args:
        name: of the BatchNorm.
        norm: the BatchNorm, in eval mode.
        before: the layer before it.

    Raises:
        ValueError: there are no weights before it, it is in train mode, or it normalises another axis than the last.
    """
    kind = type(norm).__name__
    if not isinstance(before, DenseSpec | ConvSpec):
        raise ValueError(f"layer {name} ({kind}) can be folded only into a Linear or Conv right before it")
    if not norm.use_running_average:
        raise ValueError(
            f"layer {name} ({kind}) is in train mode, `use_running_average` {norm.use_running_average}, and a file "
            f"holds inference: call net.eval() before the export"
        )
    axes, last = np.ravel(norm.axis), len(before.outputs)
    if axes.size != 1 or axes[0] not in (-1, last):
        raise ValueError(
            f"layer {name} ({kind}) has `axis` {norm.axis} over samples of shape {before.outputs}: only the last axis, "
            f"-1, that of the features or channels, can be folded into weights"
        )
    check_computation(name, norm)
    check_accepts(name, norm, before.outputs)
    mean, var = (as_array(statistic, np.float64) for statistic in (norm.mean, norm.var))
    scale = 1.0 if norm.scale is None else as_array(norm.scale, np.float64)
    shift = 0.0 if norm.bias is None else as_array(norm.bias, np.float64)
    gain = scale / np.sqrt(var + norm.epsilon)
    bias = 0.0 if before.bias is None else before.bias
    dtype = before.kernel.dtype
    kernel, bias = (before.kernel * gain).astype(dtype), ((bias - mean) * gain + shift).astype(dtype)
    return replace(before, kernel=kernel, bias=bias)
