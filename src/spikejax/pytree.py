"""Frozen dataclasses in which a number is a constant and an array is a parameter."""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any, Self, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from spikejax.checks import check_number

ARRAYS = (jax.Array, np.ndarray)
_Names = tuple[str, ...]
_Constants = tuple[tuple[str, Any], ...]


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Struct:
    """Base of cells and surrogates: an immutable record that JAX sees as a pytree.

    Subclasses declare fields as a dataclass does (no decorator needed). A field given as a Python number
    is static: compiled in, part of equality and hash. A field given as an array is a leaf: it can be
    differentiated, vmapped, and hold one value a neuron. A field that is itself a `Struct` is a subtree.
    The set of leaves is fixed when the object is built, because JAX rebuilds pytrees with placeholder
    leaves. An array of integers becomes one of floating-point numbers, of which there are gradients; a flag
    is always static.

    `repr` evaluates back, given `jax.numpy as jnp` and the class: concrete arrays of up to 16 elements print with the
    fewest digits that give them again, as `LIF(tau=jnp.array([2.0, 3.0]))`. Larger arrays, tracers and random keys
    print as dtype and shape, `float32[128]`.
    """

    def __init_subclass__(cls, kw_only: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=kw_only)(cls)
        jax.tree_util.register_pytree_with_keys(
            cls, _flatten_with_keys, lambda aux, children: _unflatten(cls, aux, children)
        )

    def __post_init__(self) -> None:
        for name, value in _items(self):
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())
            elif isinstance(value, ARRAYS):
                object.__setattr__(self, name, _as_leaf(name, value))
            elif not isinstance(value, (jax.Array, Struct)) and getattr(value, "__hash__", None) is None:
                raise TypeError(
                    f"`{name}` must be a number or an array, got {type(value).__name__} {value!r}: "
                    f"use jnp.array(...) to make it a parameter"
                )
        leaves = tuple(name for name, value in _items(self) if isinstance(value, (jax.Array, Struct)))
        object.__setattr__(self, "_leaves", leaves)
        self.validate()

    def validate(self) -> None:
        """Checks the fields; called once, when the object is built. Subclasses extend it."""

    def feature_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every array by its name, as far as it is aligned to the last axes of the input."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self._leaves:  # pyright: ignore[reportAttributeAccessIssue]
            value = getattr(self, name)
            fields = value.feature_shapes() if isinstance(value, Struct) else {"": np.shape(value)}
            shapes |= {".".join(filter(None, (name, inner))): shape for inner, shape in fields.items()}
        return shapes

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new object."""
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})  # pyright: ignore[reportArgumentType]
        if unknown:
            names = ", ".join(name for name, _ in _items(self))
            raise TypeError(f"{type(self).__name__} has no field `{unknown[0]}`: its fields are {names}")
        return dataclasses.replace(self, **changes)  # pyright: ignore[reportArgumentType]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        leaves, structure = jax.tree.flatten(self)
        other_leaves, other_structure = jax.tree.flatten(other)
        return structure == other_structure and all(map(_same_array, leaves, other_leaves))

    def __hash__(self) -> int:
        if jax.tree.leaves(self):
            raise TypeError(f"{self!r} has array fields and is not hashable: pass it as an argument, not as a static")
        return hash((type(self), tuple(_items(self))))

    def __repr__(self) -> str:
        own_first = [name for cls in type(self).__mro__ for name in inspect.get_annotations(cls)]
        items = sorted(_items(self), key=lambda item: own_first.index(item[0]))
        shown = ", ".join(f"{name}={_show(value)}" for name, value in items)
        return f"{type(self).__name__}({shown})"


def make_parameter(struct: Struct, name: str, remedy: str | None = None) -> None:
    """Makes an array of a field that is always learnt; raises as `check_number` does unless it is finite."""
    value = getattr(struct, name)
    check_number(name, value, remedy=remedy)
    object.__setattr__(struct, name, jnp.asarray(value, jnp.result_type(float, value)))


def _items(struct: Struct) -> list[tuple[str, Any]]:
    return [(field.name, getattr(struct, field.name)) for field in dataclasses.fields(struct)]  # pyright: ignore[reportArgumentType]


def _flatten_with_keys(struct: Struct):
    leaves = struct._leaves  # pyright: ignore[reportAttributeAccessIssue]
    children = [(jax.tree_util.GetAttrKey(name), getattr(struct, name)) for name in leaves]
    constants = tuple((name, value) for name, value in _items(struct) if name not in leaves)
    return children, (leaves, constants)


def _unflatten(cls: type[Struct], aux: tuple[_Names, _Constants], children: Iterable[Any]) -> Struct:
    leaves, constants = aux
    struct = object.__new__(cls)
    for name, value in (*constants, *zip(leaves, children, strict=True), ("_leaves", leaves)):
        object.__setattr__(struct, name, value)
    return struct


def _same_array(a: jax.Array, b: jax.Array) -> bool:
    if a is b:
        return True
    if isinstance(a, Tracer) or isinstance(b, Tracer):
        return False
    return np.shape(a) == np.shape(b) and a.dtype == b.dtype and bool(np.array_equal(a, b))


def _as_leaf(name: str, value: jax.Array | np.ndarray) -> jax.Array:
    if value.dtype == bool:
        raise TypeError(f"`{name}` must not be an array of booleans, because a flag is a constant: give True or False")
    return jnp.asarray(value, jnp.result_type(float) if jnp.issubdtype(value.dtype, jnp.integer) else None)


PRINTED = 16
"""Arrays of more elements print as dtype and shape."""


def _show(value: object) -> str:
    if not isinstance(value, (jax.Array, jax.ShapeDtypeStruct)):
        return _digits(np.asarray(value)) if isinstance(value, float) else repr(value)
    if not _can_be_read(value):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    dtype = "" if value.dtype == jnp.float32 else f", jnp.{value.dtype}"
    return f"jnp.array({_digits(np.asarray(value))}{dtype})"


def _can_be_read(value: jax.Array | jax.ShapeDtypeStruct) -> bool:
    abstract = isinstance(value, (Tracer, jax.ShapeDtypeStruct))
    if abstract or jnp.issubdtype(value.dtype, jax.dtypes.extended) or not 0 < value.size <= PRINTED:
        return False
    return value.is_fully_addressable and not value.is_deleted()


def _digits(a: np.ndarray) -> str:
    """The fewest digits that give every element again, in nested lists."""
    if a.ndim:
        return f"[{', '.join(map(_digits, a))}]"
    exact = float(a)
    if not np.isfinite(exact):
        return f"float('{exact}')"
    candidates = (float(f"{exact:.{digits}g}") for digits in range(1, 18))
    with np.errstate(over="ignore"):  # of the largest numbers, rounded up
        return repr(next(number for number in candidates if a.dtype.type(number) == a))
