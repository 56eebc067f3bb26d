"""Weights of PyTorch networks for Flax NNX networks: matched by name, transposed, and none ignored in silence."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from spikejax import nn
from spikejax.typing import Shape

Rename = Mapping[str, str | None] | Callable[[str], str | None]
NORMS = (nnx.BatchNorm, nnx.LayerNorm, nnx.GroupNorm, nnx.InstanceNorm, nnx.RMSNorm)
CONTAINERS = (nn.Sequential, nn.Graph, nnx.Sequential)
"""Modules with their layers in a list `layers`, whose name does not appear in the names of PyTorch."""


def load_torch(
    net: nnx.Module,
    weights: Mapping[str, Any] | str | PathLike[str],
    *,
    rename: Rename | None = None,
    flattened: Mapping[str, tuple[int, ...] | None] | None = None,
) -> None:
    """Loads the weights of a PyTorch network into an NNX network of the same layers, in place.

    A parameter takes the tensor of the same name: `layer1.0.conv1.weight` goes to `net.layer1[0].conv1.kernel`, and
    layers of a `Sequential` are counted, as PyTorch counts them. Kernels are turned to channels last; running means and
    variances of BatchNorm come along, its count of batches does not. Parameters outside layers have the same name and
    layout in both. Every parameter must be filled and every tensor used; on any error nothing is changed.

    Only weights are loaded, and layers differ in the rest: Flax pads convolutions by "SAME" where PyTorch pads
    by 0, its LayerNorm and GroupNorm have `epsilon` 1e-6, not 1e-5, and its `momentum` is 1 less PyTorch's. In
    `nnx.ConvTranspose`, PyTorch's padding p is k - 1 - p on both sides of a window of k.

    Args:
        net: the network; it may be abstract, made by `nnx.eval_shape`, which saves the initial weights.
        weights: a `state_dict` of tensors or arrays, or a file that holds one: `.safetensors`, or `.pt` and `.pth` if
            PyTorch is installed.
        rename: map from names in `weights` to those in `net` if they differ: a function of a whole name, or a mapping
            of names or of modules such as {"backbone": "", "head": "fc"}, of which the longest match counts. None as
            the new name leaves the tensor out.
        flattened: linear layers that come after a flattened feature map, by name, with its shape before flattening in
            PyTorch's order, such as {"fc1": (32, 4, 4)} for (C, H, W): their inputs are reordered to H, W, C. The
            weights cannot tell, so that a linear layer must be here if it stands right after a convolution, in the
            order of `net` or of `weights`, and its inputs are a multiple of the channels; None is for one whose input
            is no flattened map. A layer in another order is not noticed: name it always.

    Raises:
        ValueError: names or shapes do not match, all of which are listed; a layer must be in `flattened`, or its shape
            is not that of its inputs; the file holds no `state_dict`, or has another suffix.
        TypeError: `weights` is neither a mapping nor a path.
        ImportError: the package `safetensors`, or PyTorch, is missing.

    Source: layouts of the weights as PyTorch documents them in `torch.nn`.
    """
    tensors = _renamed(_read(weights), rename)
    places = {place.name: place for place in _places(net)}
    _check_fit(places, tensors)
    shapes = dict(flattened or {})
    _check_flattened(places, list(tensors), shapes)
    values = [
        (place.variable, place.value(tensors[name], shapes.get(name.removesuffix(".weight"))))
        for name, place in places.items()
    ]
    for variable, value in values:
        variable.set_value(value)


@dataclass(frozen=True)
class _Place:
    """A parameter or running statistic, and the tensor that belongs there.

    Attributes:
        name: the tensor's.
        variable: the parameter or statistic.
        layer: the module that the variable is part of.
        axes: the variable's axes in the order of the tensor's.
        order: position in the network, as it was defined.
    """

    name: str
    variable: nnx.Variable
    layer: Any
    axes: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """The shape of the tensor."""
        return tuple(self.variable.shape[axis] for axis in self.axes)

    def value(self, tensor: np.ndarray, flattened: tuple[int, ...] | None) -> jnp.ndarray:
        """The tensor in the variable's layout and dtype."""
        if flattened is not None:
            tensor = np.moveaxis(tensor.reshape(len(tensor), *flattened), 1, -1).reshape(tensor.shape)
        if _is_mirrored(self.layer) and tensor.ndim > 2:
            tensor = np.flip(tensor, tuple(range(2, tensor.ndim)))
        return jnp.asarray(tensor.transpose(np.argsort(self.axes)), self.variable.dtype)


def _is_mirrored(layer: object) -> bool:
    """True if the windows are the mirror image of PyTorch's."""
    return isinstance(layer, nnx.ConvTranspose) and not layer.transpose_kernel


def _places(net: nnx.Module) -> Iterable[_Place]:
    """Every parameter and running statistic of `net`; one that is shared, once."""
    nodes = dict(nnx.iter_graph(net))
    for path, variable in nodes.items():
        if isinstance(variable, nnx.Param | nnx.BatchStat):
            layer = nodes.get(path[:-1])
            parts = [str(p) for i, p in enumerate(path[:-1]) if not _is_unnamed(nodes.get(path[:i]), p)]
            name, axes = _layout(layer, str(path[-1]), len(variable.shape))
            order = tuple(_position(nodes.get(path[:i]), p) for i, p in enumerate(path))
            yield _Place(".".join([*parts, name]), variable, layer, axes, order)


def _is_unnamed(module: object, part: object) -> bool:
    """True if PyTorch's names leave out this part of a path."""
    return part == "layers" and isinstance(module, CONTAINERS)


def _position(module: object, part: object) -> int:
    """The number of attributes defined before this one."""
    if isinstance(part, int):
        return part
    names = list(vars(module))
    return names.index(part) if isinstance(part, str) and part in names else 0


def _layout(layer: object, name: str, rank: int) -> tuple[str, tuple[int, ...]]:
    """PyTorch's name of a variable, and its axes in the order of the tensor's."""
    space, same = tuple(range(rank - 2)), tuple(range(rank))
    if name == "kernel" and isinstance(layer, nnx.Linear | nnx.Conv):
        return "weight", (rank - 1, rank - 2, *space)
    if name == "kernel" and isinstance(layer, nnx.ConvTranspose):
        return "weight", (rank - 1, rank - 2, *space) if layer.transpose_kernel else (rank - 2, rank - 1, *space)
    if isinstance(layer, NORMS):
        return {"scale": "weight", "mean": "running_mean", "var": "running_var"}.get(name, name), same
    if isinstance(layer, nnx.Embed):
        return {"embedding": "weight"}.get(name, name), same
    return name, same


def _check_fit(places: dict[str, _Place], tensors: dict[str, np.ndarray]) -> None:
    """Raises ValueError unless there is one tensor a place, of its shape and of numbers of its kind."""
    faults = [f"missing: {name} {place.shape}" for name, place in places.items() if name not in tensors]
    faults += [f"left over: {name} {tensor.shape}" for name, tensor in tensors.items() if name not in places]
    for name in places.keys() & tensors.keys():
        place, tensor = places[name], tensors[name]
        if place.shape != tensor.shape:
            faults.append(f"of another shape: {name} {tensor.shape}, the network takes {place.shape}")
        elif jnp.issubdtype(place.variable.dtype, np.floating) and not jnp.issubdtype(tensor.dtype, np.floating):
            faults.append(f"no floating point numbers: {name}, {tensor.dtype}")
    if faults:
        raise ValueError(
            "`weights` must be those of `net`, and nothing was loaded: map names with `rename`, to None what is to be "
            "left out\n  " + "\n  ".join(sorted(faults))
        )


def _check_flattened(places: dict[str, _Place], order: list[str], shapes: dict[str, tuple[int, ...] | None]) -> None:
    """Raises ValueError unless `shapes` name linear layers, and all that follow a feature map."""
    linear = {n.removesuffix(".weight"): p.shape[1] for n, p in places.items() if _is_linear(p)}
    for name, shape in shapes.items():
        if name not in linear:
            raise ValueError(f"`flattened` must name linear layers of `net`, got {name!r}; there are {sorted(linear)}")
        if shape is not None and math.prod(shape) != linear[name]:
            raise ValueError(
                f"`flattened`[{name!r}] must be the shape (C, *space) of {linear[name]} inputs, got {shape}, "
                f"which is {math.prod(shape)}"
            )
    for names in (sorted(places, key=lambda name: places[name].order), order):
        _check_maps([places[name] for name in names], shapes)


def _check_maps(places: list[_Place], shapes: dict[str, tuple[int, ...] | None]) -> None:
    """Raises ValueError for a linear layer that may follow a feature map and is not in `shapes`.

    In an alphabetical order, such as that of an abstract network, the convolution before a layer may come after it.
    """
    widths = [p.layer.out_features if isinstance(p.layer, nnx.Conv | nnx.ConvTranspose) else 0 for p in places]
    channels = 0
    for i, place in enumerate(places):
        channels = widths[i] or channels
        if not _is_linear(place):
            continue
        name, inputs = place.name.removesuffix(".weight"), place.shape[1]
        many = channels and inputs > channels and inputs % channels == 0
        if many and name not in shapes and inputs not in widths[i:]:
            raise ValueError(
                f"`flattened` must name {name!r}, a linear layer of {inputs} inputs after a convolution of {channels} "
                f"channels: give the feature map's shape, such as {{{name!r}: ({channels}, H, W)}} with H W = "
                f"{inputs // channels}, or None if its input is no flattened feature map"
            )
        channels = 0


def _is_linear(place: _Place) -> bool:
    """True for the kernel of a linear layer."""
    return isinstance(place.layer, nnx.Linear) and place.name.endswith("weight")


def _renamed(tensors: dict[str, np.ndarray], rename: Rename | None) -> dict[str, np.ndarray]:
    """The tensors by the network's names, without those that are left out."""
    renamed: dict[str, np.ndarray] = {}
    used: set[str] = set()
    for old, tensor in tensors.items():
        if rename is None or callable(rename):
            new = rename(old) if rename is not None else old
        else:
            parts = old.split(".")
            begins = [".".join(parts[:n]) for n in range(len(parts), -1, -1)]
            key = next((begin for begin in begins if begin in rename), None)
            target = rename[key] if key is not None else ""
            rest = old[len(key or "") :].removeprefix(".")
            new = None if target is None else ".".join(part for part in (target, rest) if part)
            used |= set() if key is None else {key}
        if new in renamed:
            raise ValueError(f"`rename` must keep names apart, got {new!r} twice, the second time for {old!r}")
        if new is not None:
            renamed[new] = tensor
    unused = [] if rename is None or callable(rename) else sorted(set(rename) - used)
    if unused:
        raise ValueError(
            f"`rename` must map names or modules of `weights`, which have no {unused}: they are whole "
            f"parts between dots, such as 'layer1.0'"
        )
    return renamed


def _read(weights: Mapping[str, Any] | str | PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors as arrays, without counts of batches."""
    if isinstance(weights, str | PathLike):
        weights = _from_file(Path(weights))
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"`weights` must be a state_dict or a file, got {type(weights).__name__}: for a module, give "
            f"`module.state_dict()`"
        )
    return {name: _array(name, t) for name, t in weights.items() if not name.endswith("num_batches_tracked")}


def _array(name: str, tensor: Any) -> np.ndarray:
    """A tensor as an array; bfloat16 and smaller ones, which NumPy has not, as float32."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        if any(kind in str(tensor.dtype) for kind in ("bfloat16", "float8")):
            tensor = tensor.float()
        tensor = tensor.numpy()
    if not hasattr(tensor, "shape"):
        raise ValueError(
            f"`weights`[{name!r}] must be a tensor, got {type(tensor).__name__}: give the state_dict alone, "
            f"which may be a part of what a file holds"
        )
    return np.asarray(tensor)


def _from_file(path: Path) -> Any:
    """The content of the file."""
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ValueError(f"`weights` must be a file .safetensors, .pt or .pth, got {path.name!r}")
    if not path.is_file():
        raise FileNotFoundError(f"`weights`: there is no file {path}")
    if path.suffix == ".safetensors":
        try:
            from safetensors.numpy import load_file
        except ImportError as error:
            raise ImportError(
                "`.safetensors` needs the package `safetensors`: pip install spikejax[weights]"
            ) from error
        return load_file(path)
    try:
        torch = import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"{path.name!r} needs PyTorch: install it, or save the weights as `.safetensors` where it is installed"
        ) from error
    return torch.load(path, map_location="cpu", weights_only=True)
