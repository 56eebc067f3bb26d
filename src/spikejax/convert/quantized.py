"""The activation to train a network with that will spike: a rectifier in steps, as many as time has."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from spikejax.checks import check_elements, check_number
from spikejax.internals import elementwise_primitive
from spikejax.typing import Array


class QCFS(nnx.Module):
    """Quantisation, clip, floor, shift: what neurons of half a threshold to start with compute in `levels` steps.

        y = scale / levels  min(max(floor(x levels / scale + 1/2), 0), levels)

    Gradients go straight through the floor: dy/dx = 1 where 0 < x < scale; that of the scale follows from the same
    formula with the floor taken as its argument. A network trained with it converts with little loss from T = `levels`
    on; see `convert`.

    Args:
        levels: number of steps, an integer >= 1; 4 to 16 are usual.
        scale: largest value, > 0, learnt. Behind BatchNorm about 2; the paper starts from 8, from where it takes long.

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
    """See `QCFS`."""
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
"""By this primitive, and by nothing else, a traced program shows the activation."""
