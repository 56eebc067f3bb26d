"""Checks of arguments, in one wording: the errors name the argument, its limit, the value received and the remedy."""

from collections.abc import Callable, Iterable
from typing import SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike


def check_elements(
    name: str, value: ArrayLike, holds: Callable[[np.ndarray], ArrayLike], limit: str, remedy: str | None = None
) -> None:
    """Raises `ValueError` unless `holds` is true of every element of `value`; tracers pass unchecked.

    Raises `TypeError` for a `value` that is neither a number nor an array.
    """
    if isinstance(value, Tracer):
        return
    if not isinstance(value, SupportsFloat):
        raise TypeError(
            f"`{name}` must be a number or an array, got {type(value).__name__} {_shortened(value)}: use "
            f"jnp.array(...) to make it a parameter"
        )
    array = np.asarray(value, np.float64)
    try:
        valid = np.all(holds(array))
    except ValueError as error:  # compared with another parameter
        raise ValueError(
            f"`{name}` of shape {array.shape} must be {limit}, but their shapes differ: {error}"
        ) from error
    if not valid:
        received = repr(value) if array.ndim == 0 else f"values from {array.min()} to {array.max()}"
        raise ValueError(f"`{name}` must be {limit}, got {received}{_advice(remedy)}")


def check_number(
    name: str,
    value: ArrayLike,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    finite: bool = True,
    whole: bool = False,
    remedy: str | None = None,
) -> None:
    """Raises `ValueError` unless every element of `value` is within the bounds; tracers pass unchecked.

    Args:
        name: the name of the argument.
        value: a number or an array of numbers.
        gt: the lower bound, excluded.
        ge: the lower bound, included.
        lt: the upper bound, excluded.
        le: the upper bound, included.
        finite: False allows infinite values.
        whole: True allows integers only.
        remedy: the end of the message.
    """
    if finite:
        check_elements(name, value, np.isfinite, "finite", remedy)

    def holds(a: np.ndarray) -> ArrayLike:
        above = (gt is None or a > gt) & (ge is None or a >= ge)
        below = (lt is None or a < lt) & (le is None or a <= le)
        return above & below & (not whole or a == np.floor(a))

    low, high = (ge if gt is None else gt), (le if lt is None else lt)
    if low is not None and high is not None:
        limit = f"within {'[' if gt is None else '('}{low:g}, {high:g}{']' if lt is None else ')'}"
    else:
        bounds = ((">", gt), (">=", ge), ("<", lt), ("<=", le))
        limit = "".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
    check_elements(name, value, holds, f"an integer {limit}" if whole else limit, remedy)


def check_tau(name: str, tau: ArrayLike, *, gt: float | None = None, ge: float | None = None) -> None:
    """Raises `ValueError` unless the time constant is above `gt` or at least `ge` steps; it may be infinite."""
    check_number(name, tau, gt=gt, ge=ge, finite=False, remedy="it is a time constant, in steps")


def check_integer(name: str, value: object, *, ge: int = 1, le: int | None = None, remedy: str | None = None) -> None:
    """Raises `ValueError` unless `value` is an integer from `ge` to `le`."""
    integer = value if isinstance(value, int | np.integer) and not isinstance(value, bool) else None
    if integer is None or integer < ge or (le is not None and integer > le):
        limit = f">= {ge}" if le is None else f"from {ge} to {le}"
        raise ValueError(f"`{name}` must be an integer {limit}, got {_shortened(value)}{_advice(remedy)}")


def check_option(name: str, value: object, options: Iterable[object], remedy: str | None = None) -> None:
    """Raises `ValueError` unless `value` is one of `options`."""
    known = tuple(options)
    if value not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(f"`{name}` must be one of {names}, got {_shortened(value)}{_advice(remedy)}")


def check_type(name: str, value: object, kind: type, description: str) -> None:
    """Raises `TypeError` unless `value` is an object of `kind`, which the message calls `description`."""
    if isinstance(value, type) or not isinstance(value, kind):
        raise TypeError(f"`{name}` must be {description}, got {_shortened(value)}")


def check_key(key: object) -> None:
    """Raises `TypeError` unless `key` is a `jax.random.key`."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(f"`key` must be a jax.random.key, such as jax.random.key(0), got {dtype or key!r}")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _advice(remedy: str | None) -> str:
    return f": {remedy}" if remedy else ""
