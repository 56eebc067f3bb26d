"""Shows API pages the constructors of cells and surrogates, which `Struct` makes as it makes the class."""

import importlib
import inspect
from collections.abc import Iterator

import griffe

from spikejax.pytree import Struct


class StructSignatures(griffe.Extension):
    """Gives every `Struct` the `__init__` that static analysis cannot see."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: object) -> None:
        for cls in classes_of(pkg):
            runtime = getattr(importlib.import_module(cls.module.path), cls.name)
            if isinstance(runtime, type) and issubclass(runtime, Struct):
                cls.set_member("__init__", init_of(cls, inspect.signature(runtime)))


def classes_of(module: griffe.Module) -> Iterator[griffe.Class]:
    """The public classes defined in a package and in the modules below it."""
    for member in module.members.values():
        if isinstance(member, griffe.Class) and not member.name.startswith("_"):
            yield member
        elif isinstance(member, griffe.Module):
            yield from classes_of(member)


def init_of(cls: griffe.Class, signature: inspect.Signature) -> griffe.Function:
    """The names, kinds and defaults of the signature, with the annotations as the source writes them."""
    parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
    for parameter in signature.parameters.values():
        field = cls.all_members[parameter.name]
        required = parameter.default is parameter.empty
        parameters.append(
            griffe.Parameter(
                parameter.name,
                annotation=field.annotation,
                kind=griffe.ParameterKind[parameter.kind.name.lower()],
                default=None if required else repr(parameter.default),
            )
        )
    return griffe.Function("__init__", parameters=griffe.Parameters(*parameters), returns="None", parent=cls)
