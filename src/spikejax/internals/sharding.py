"""Arrays on several devices: along which axes of a mesh they vary, and where a program has a device to itself."""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax

from spikejax.typing import Array


def varying_together(arrays: Sequence[Array]) -> list[Array]:
    """The arrays of a computation, each varying along every mesh axis along which one of them does.

    An array that is the same on all devices has a gradient that is the sum of theirs, which a rule of one's own would
    have to add up. It need not where `lax.pcast` has made the array a varying one, for the transpose of that does.
    """
    varying = [jax.typeof(a).manual_axis_type.varying for a in arrays]
    axes = frozenset().union(*varying)
    return [
        lax.pcast(a, tuple(axes - present), to="varying") if axes - present else a
        for a, present in zip(arrays, varying, strict=True)
    ]


def is_on_one_device(context: Any) -> bool:
    """True in the lowering of a program whose arrays lie on one device each: the only one, or split by `shard_map`."""
    axes = context.module_context.axis_context
    mesh = getattr(axes, "mesh", None)
    if mesh is not None:
        return set(axes.manual_axes) == set(mesh.axis_names)
    return getattr(axes, "num_devices", 1) in (None, 1)
