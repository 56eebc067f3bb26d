"""Labels in the forms that losses and output neurons want."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from spikejax.checks import check_integer, check_number
from spikejax.typing import Array


def redundant_one_hot(labels: ArrayLike, num_classes: int, copies: int) -> Array:
    """One-hot labels for several output neurons a class: the target of outputs that are not yet averaged by `Voting`.

        y[n, c * copies + i] = 1 where c = labels[n], else 0,    i = 0, ..., copies - 1

    Args:
        labels: classes `[N]`, integers from 0 to `num_classes` - 1.
        num_classes: number of classes C, >= 1.
        copies: neurons a class, >= 1.

    Returns:
        `[N, C * copies]`, float.

    Raises:
        ValueError: a label or a number is out of range.
    """
    check_integer("copies", copies)
    return jnp.repeat(_one_hot(labels, num_classes), copies, -1)


def threshold_margin(labels: ArrayLike, num_classes: int, *, threshold0: float = 0.9, threshold1: float = 1.1) -> Array:
    """Thresholds that make it harder for the right output neuron to fire, and easier for the wrong ones.

        v_threshold[n, c] = threshold1 where c = labels[n], else threshold0

    Trained so, the network keeps a margin between the classes when it is run with one threshold between the two. The
    thresholds are an array as any other parameter of a cell, `[N, C]`, one for each sample and neuron:

        margin = sx.LIF(v_threshold=sx.losses.threshold_margin(labels, 10))
        _, outs = sx.run(margin, currents)         # in training; in use, sx.LIF(v_threshold=1.0)

    Args:
        labels: classes `[N]`, integers from 0 to `num_classes` - 1.
        num_classes: number of classes C, >= 1.
        threshold0: threshold of the wrong classes.
        threshold1: threshold of the right class, > `threshold0`.

    Returns:
        `[N, C]`, float.

    Raises:
        ValueError: a label or a number is out of range.

    SpikingJelly: `set_threshold_margin`, which sets them in the layer.
    """
    if not (np.isfinite([threshold0, threshold1]).all() and threshold0 < threshold1):
        raise ValueError(f"`threshold0` must be < `threshold1`, both finite, got {threshold0} and {threshold1}")
    return jnp.where(_one_hot(labels, num_classes) == 1, threshold1, threshold0)


def _one_hot(labels: ArrayLike, num_classes: int) -> Array:
    with jax.ensure_compile_time_eval():  # under jit too, known values are checked
        classes = jnp.asarray(labels)
    check_integer("num_classes", num_classes)
    if classes.ndim != 1 or not jnp.issubdtype(classes.dtype, jnp.integer):
        raise ValueError(f"`labels` must be integers [N], got {classes.dtype} of shape {classes.shape}")
    check_number("labels", classes, ge=0, le=num_classes - 1)
    return jax.nn.one_hot(classes, num_classes)
