"""Losses that compare the spike trains of samples with each other."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from spikejax.checks import check_elements, check_number, check_option
from spikejax.losses.checks import as_float, check_time_first, valid_steps
from spikejax.typing import Array

Kernel = Literal["linear", "polynomial", "sigmoid", "gaussian"]
KERNELS = ("linear", "polynomial", "sigmoid", "gaussian")


def kernel_product(x: Array, y: Array, kernel: Kernel = "linear", parameter: float = 1.0) -> Array:
    """Similarity of the rows of two matrices: their inner product after a kernel's map.

        k(x, y) = x.y                                linear
        k(x, y) = (x.y)^parameter                    polynomial
        k(x, y) = 1 / (1 + exp(-parameter x.y))      sigmoid
        k(x, y) = exp(-|x - y|^2 / (2 parameter^2))  gaussian

    Args:
        x: `[N, M]`.
        y: `[L, M]`.
        kernel: one of the four.
        parameter: degree, slope or width, > 0; unused by the linear kernel.

    Returns:
        `[N, L]`, in float32 at least.

    Raises:
        ValueError: the shapes do not fit, the kernel is unknown, or `parameter` is not > 0.
    """
    x, y = as_float(x), as_float(y)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"`x` and `y` must be [N, M] and [L, M], got shapes {x.shape} and {y.shape}")
    check_option("kernel", kernel, KERNELS)
    check_number("parameter", parameter, gt=0)
    product = jnp.matmul(x, y.T, precision="highest")
    if kernel == "linear":
        return product
    if kernel == "polynomial":
        return product**parameter
    if kernel == "sigmoid":
        return jax.nn.sigmoid(parameter * product)
    distance = jnp.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * product, 0)
    return jnp.exp(-distance / (2 * parameter**2))


def spike_similarity(
    outs: Array,
    labels: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    kernel: Kernel = "linear",
    parameter: float = 1.0,
    loss: Literal["mse", "l1", "bce"] = "mse",
) -> Array:
    """Asks the spike trains of samples that share a label to be similar, and all others to differ.

        p[i, j] = k(outs[:, i], outs[:, j]);  of the linear kernel, divided by |outs[:, i]| |outs[:, j]|
        q[i, j] = 1 where samples i and j share a label, else 0
        loss = mean over i, j of (p - q)^2                                     mse
        loss = mean over i, j of |p - q|                                       l1
        loss = mean over i, j of -(q log p + (1 - q) log(1 - p))               bce

    A sample without spikes is like none, itself included, under the linear kernel. Smooth the spikes before, as with
    `sx.LeakyIntegrator`, so that those of neighbouring steps are alike.

    Args:
        outs: spikes of a layer, smoothed, `[T, N, M]`.
        labels: classes `[N]`, integers, or several of each sample, `[N, C]` of 0 and 1.
        lengths: valid steps of each sequence `[N]`, after which its outputs count as 0; None counts all T.
        kernel: "linear", "polynomial", "sigmoid" or "gaussian", see `kernel_product`.
        parameter: degree, slope or width of the kernel, > 0.
        loss: "mse", "l1" or "bce"; "bce" needs similarities within [0, 1], so not the polynomial kernel, and no
            negative outputs with the linear one.

    Raises:
        ValueError: a shape does not fit, a name is unknown, or "bce" is asked for with the polynomial kernel.

    SpikingJelly: `spike_similar_loss`, with spikes `[N, M, T]`.
    """
    check_time_first(outs, "[T, N, M]")
    check_option("loss", loss, ("mse", "l1", "bce"))
    if loss == "bce" and kernel == "polynomial":
        raise ValueError(
            "`loss` 'bce' needs similarities within [0, 1], and the polynomial kernel leaves it: use 'mse'"
        )
    outs = as_float(outs)
    target = _share(outs, labels)
    if lengths is not None:
        outs = jnp.where(valid_steps(outs, lengths)[0], outs, 0)
    flat = jnp.moveaxis(outs, 0, 1).reshape(outs.shape[1], -1)
    if kernel == "linear":
        square = (flat**2).sum(1, keepdims=True)
        flat = flat / jnp.sqrt(jnp.where(square > 0, square, 1))  # no gradient of a root at 0
    similarity = kernel_product(flat, flat, kernel, parameter)
    if loss == "mse":
        return jnp.mean((similarity - target) ** 2)
    if loss == "l1":
        return jnp.mean(abs(similarity - target))
    least = jnp.finfo(similarity.dtype).eps
    similarity = jnp.clip(similarity, least, 1 - least)  # log 0 has neither value nor gradient
    return -jnp.mean(target * jnp.log(similarity) + (1 - target) * jnp.log1p(-similarity))


def _share(outs: Array, labels: ArrayLike) -> Array:
    """1 where two samples share a label, `[N, N]`."""
    labels = jnp.asarray(labels)
    batch = outs.shape[1]
    if labels.shape == (batch,) and jnp.issubdtype(labels.dtype, jnp.integer):
        return (labels[:, None] == labels).astype(outs.dtype)
    if labels.ndim != 2 or labels.shape[0] != batch:
        raise ValueError(
            f"`labels` must be integers of shape ({batch},), or 0 and 1 of shape ({batch}, C), one row a sample of "
            f"`outs` {outs.shape}, got {labels.dtype} of shape {labels.shape}"
        )
    check_elements("labels", labels, lambda b: (b == 0) | (b == 1), "0 and 1 where a sample may have several")
    several = labels.astype(outs.dtype)
    return (several @ several.T > 0).astype(outs.dtype)
