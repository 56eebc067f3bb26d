"""What a rule for derivatives must know of `shard_map`: which arrays are the same on all devices."""

from collections.abc import Sequence

import jax
from jax import lax

from spikejax.typing import Array


def alike(arrays: Sequence[Array]) -> list[Array]:
    """The arrays of a computation, each varying along every mesh axis along which one of them does.

    An array that is the same on all devices has a gradient that is the sum of theirs, which a rule of one's own would
    have to add up. It need not where `lax.pcast` has made the array a varying one, for the transpose of that does.
    """
    varying = [jax.typeof(a).manual_axis_type.varying for a in arrays]
    axes = frozenset().union(*varying)
    return [
        lax.pcast(a, tuple(axes - own), to="varying") if axes - own else a
        for a, own in zip(arrays, varying, strict=True)
    ]
