"""Surrogates by name, for configurations."""

import re
from types import ModuleType
from typing import Any

from spikejax.surrogate import piecewise, smooth, special
from spikejax.surrogate.base import SurrogateFunction


def by_name(name: str, **parameters: Any) -> SurrogateFunction:
    """A surrogate by its class name or by that name in snake case: `by_name("atan", alpha=2.0)`.

    Args:
        name: such as "ATan", "atan" or "piecewise_quadratic".
        **parameters: shape parameters of the class.

    Raises:
        ValueError: there is no surrogate of that name.
        TypeError: the class has no such parameter.
    """
    classes = {_plain(key): cls for module in (smooth, piecewise, special) for key, cls in _surrogates(module)}
    if _plain(name) not in classes:
        known = ", ".join(sorted(cls.__name__ for cls in classes.values()))
        raise ValueError(f"`name` must be a surrogate, got {name!r}: choose from {known}")
    return classes[_plain(name)](**parameters)


def _surrogates(module: ModuleType) -> list[tuple[str, type[SurrogateFunction]]]:
    return [
        (key, value)
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, SurrogateFunction) and value is not SurrogateFunction
    ]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
