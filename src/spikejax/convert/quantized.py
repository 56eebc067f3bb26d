"""The activation of networks that will be converted: a rectifier in as many levels as there will be time steps."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from spikejax.checks import check_elements, check_number
from spikejax.internals import elementwise_primitive
from spikejax.typing import Array


class QCFS(nnx.Module):
    """Quantisation, clip, floor, shift: the rate of neurons that start at half their threshold, after `levels` steps.

        y = scale / levels  min(max(floor(x levels / scale + 1/2), 0), levels)

    Gradients pass straight through the floor: dy/dx = 1 for 0 < x < scale; that of the scale follows from the same
    formula with the argument of the floor in place of its value. A network trained with it loses little in its
    conversion if T >= `levels`; see `convert`.

    Args:
        levels: number of steps, an integer >= 1; 4 to 16 are usual.
        scale: largest value, > 0, learnt. About 2 behind BatchNorm; from 8, as in the paper, training takes longer.

    Raises:
        ValueError: an argument leaves its range.

    Source: Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks",
    2022, eq. 15.
    """

    def __init__(self, levels: int = 8, scale: ArrayLike = 2.0) -> None:
        check_number("levels", levels, ge=1, whole=True)
        check_elements("scale", scale, lambda s: (s > 0) & (np.ndim(s) == 0), "one number > 0")
        self.levels = levels
        self.scale = nnx.Param(jnp.asarray(scale, jnp.float32))

    def __call__(self, x: Array) -> Array:
        """Activates one batch."""
        return qcfs(x, self.scale[...], jnp.float32(self.levels))


def qcfs(x: Array, scale: Array, levels: Array) -> Array:
    """The activation of `QCFS`."""
    return qcfs_p.bind(x, scale, levels)[0]


def _in_steps(x: Array, scale: Array, levels: Array) -> Array:
    return jnp.clip(jnp.floor(x * (levels / scale) + 0.5), 0, levels) * (scale / levels)


def _jvp(primals: Sequence[Array], tangents: Sequence[Array]) -> tuple[Array, Array]:
    x, scale, levels = primals
    of_x, of_scale, _ = tangents
    y = qcfs(x, scale, levels)
    inside = (x > 0) & (x < scale)
    return y, jnp.where(inside, of_x + (y - x) / scale * of_scale, jnp.where(x > 0, of_scale, 0))


qcfs_p = elementwise_primitive("qcfs", _in_steps, _jvp)
"""The primitive by which the conversion recognises the activation in a traced program."""
