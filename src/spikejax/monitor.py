"""Gradients at the layers of a network, and the cost of its operations; records are made by `run`."""

from collections.abc import Callable
from collections.abc import Sequence as Names
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from spikejax.nn import LinearMap
from spikejax.nn.layer import name_of_path
from spikejax.nn.linear_map import LinearLayer
from spikejax.nn.pure import PureModule
from spikejax.scan import run
from spikejax.typing import Array, Cell, State

__all__ = ["LayerOperations", "Operations", "count_operations", "layer_gradients"]

MAC, AC = 4.6, 0.9
"""Picojoules of a multiplication and an addition, and of an addition, of 32-bit floating-point numbers in 45 nm."""


def layer_gradients(
    loss: Callable[[Array], Array],
    net: Cell,
    xs: ArrayLike,
    names: str | Names[str],
    state: State = None,
    **options: Any,
) -> dict[str, Array]:
    """The gradients of a loss with respect to the inputs and outputs of layers.

        gradients["1.spikes"][t] = d loss(ys) / d (the output of layer 1 at step t)

    The output of a layer at one step acts on all that follows from it, at later steps as well.

    Args:
        loss: from the outputs `[T, N, *]` to one number.
        net: a network or cell; stays as it is.
        xs: input as `run` takes it.
        names: as `run(record=...)` takes them: "spikes", "output" and "input", of every layer or with a path.
        state: state to start from.
        **options: further arguments of `run`, such as `steps`, `chunk` or `method`.

    Returns:
        Gradients `[T, N, *]`, by the full names, from the first layer to the last.

    Raises:
        ValueError: no layer has a name, or it is not that of an input or output.

    SpikingJelly: `GradInputMonitor` and `GradOutputMonitor`, whose records are in the order of the backward pass.
    """
    module = PureModule(net)

    def outputs(**more: Any) -> Any:
        return run(module.bind(), xs, state, **options, **more)[1]

    shapes = jax.eval_shape(lambda: outputs(record=names)[1])
    nothing = {name: jnp.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}
    gradients = jax.jit(jax.grad(lambda perturb: loss(outputs(perturb=perturb))))(nothing)
    return {name: gradients[name] for name in sorted(gradients, key=_place)}


@dataclass(frozen=True)
class LayerOperations:
    """The operations of one layer of weights for one sample.

    Attributes:
        name: its path.
        kind: its class.
        products: products of an input and a weight, per step, were all inputs different from 0.
        activity: share of its inputs that are not 0, over all steps.
        spiking: True if all inputs are 0, 1 or -1, so that a product is an addition.
        operations: products over all steps; of spiking inputs those that are not 0, the synaptic operations.
        energy: of these, in picojoules.
    """

    name: str
    kind: str
    products: int
    activity: float
    spiking: bool
    operations: float
    energy: float


@dataclass(frozen=True)
class Operations:
    """The operations of a network for one sample; prints as a table.

    Attributes:
        steps: number of steps.
        layers: one a layer of weights, in order.
    """

    steps: int
    layers: tuple[LayerOperations, ...]

    @property
    def energy(self) -> float:
        """Of all layers over all steps, in picojoules."""
        return sum(layer.energy for layer in self.layers)

    @property
    def synaptic_operations(self) -> float:
        """Additions that spikes cause, over all steps."""
        return sum(layer.operations for layer in self.layers if layer.spiking)

    @property
    def analog_energy(self) -> float:
        """Of the same layers in an analog network, each computed once with multiplications, in picojoules."""
        return sum(layer.products for layer in self.layers) * MAC

    def __str__(self) -> str:
        wide = max([5, *(len(layer.name) for layer in self.layers)])
        head = f"{'layer':>{wide}}  {'kind':14}{'products/step':>14}{'active':>8}  {'operations':>21}{'energy, nJ':>12}"
        rows = [
            f"{layer.name:>{wide}}  {layer.kind:14}{layer.products:14,}{layer.activity:8.1%}  "
            f"{layer.operations:17,.0f} {'AC ' if layer.spiking else 'MAC'}{layer.energy / 1e3:12,.3f}"
            for layer in self.layers
        ]
        last = (
            f"T = {self.steps}: {self.energy / 1e3:,.3f} nJ a sample, {self.synaptic_operations:,.0f} synaptic "
            f"operations; an analog network of these layers: {self.analog_energy / 1e3:,.3f} nJ"
        )
        return "\n".join((head, *rows, last))


def count_operations(
    net: nnx.Module, xs: ArrayLike, state: State = None, *, steps: int | None = None, chunk: int | None = None
) -> Operations:
    """Runs a network and counts what its layers of weights compute for one sample, from how active their inputs are.

        operations = T products                where an input is analog: multiply and add, 4.6 pJ each
        operations = activity T products       where all inputs are spikes: add, 0.9 pJ each

    Counted are the layers that `sx.nn.LinearMap` knows, such as `nnx.Linear` and `nnx.Conv`, among them the feedback of
    `Recurrent`; at the edge of an image every spike counts as in the middle. Not counted are neurons, norms (which go
    into the weights on a chip), pooling and attention. A layer whose static input is computed once here counts at
    every step.

    Args:
        net: a network; stays as it is.
        xs: input `[T, N, *]`; with `steps`, one static input `[N, *]`.
        state: state to start from; networks that draw need one with a key.
        steps: number of steps of a static input.
        chunk: as in `run`; memory grows with it.

    Returns:
        One entry a layer; `print` it.

    Raises:
        ValueError: the network has no layer of weights.
        TypeError: a layer derives from one of these, so that it is not known what it computes with its kernel.

    Source: Horowitz, "Computing's energy problem (and what we can do about it)", 2014, figure 1.1.9, energies at 45 nm.
    """
    module = PureModule(net)

    def records(params: nnx.State, variables: nnx.State, names: Any) -> dict[str, Any]:
        return run(module.bind(params, variables), xs, state, steps=steps, chunk=chunk, record=names)[1][1]

    maps = _linear_maps(net)
    kinds = {record.rsplit(".", 1)[-1] for _, record, _ in maps}
    shapes = jax.eval_shape(partial(records, names=tuple(kinds)), module.params, module.variables)
    maps = [entry for entry in maps if entry[1] in shapes]
    if not maps:
        raise ValueError("`net` must have a layer of weights, such as nnx.Linear or nnx.Conv, got none")
    count = next(iter(shapes.values())).shape[0]
    observe = {record: _activity for _, record, _ in maps}
    activities = jax.jit(partial(records, names=observe))(module.params, module.variables)
    layers = []
    for name, record, linear in maps:
        products = linear.products(shapes[record].shape[2:])
        active, spiking = np.asarray(activities[record]).mean(0)
        operations = float(count * products * (active if spiking == 1 else 1))
        energy = operations * (AC if spiking == 1 else MAC)
        kind = type(linear.layer).__name__
        layers.append(LayerOperations(name, kind, products, float(active), bool(spiking == 1), operations, energy))
    return Operations(count, tuple(layers))


def _linear_maps(net: nnx.Module) -> list[tuple[str, str, LinearMap]]:
    """Every layer of weights: its name, the name of the record of its input, and its linear map."""
    maps = []
    for path, module in nnx.iter_modules(net):
        if isinstance(module, LinearLayer):
            name, fed_back = name_of_path(path), bool(path) and path[-1] == "feedback"
            record = f"{name_of_path(path[:-1])}.spikes" if fed_back else f"{name}.input"
            maps.append((name, record, LinearMap.of(module, f"layer {name} ({type(module).__name__})")))
    return sorted(maps, key=lambda entry: _place(entry[0]))


def _place(name: str) -> list[tuple[bool, int, str]]:
    """The key by which names are sorted, so that layer 10 comes after layer 9."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in name.split(".")]


def _activity(x: Array) -> Array:
    """Of each step `[k, N, *]`, the share of values that are not 0, and 1 if all are spikes, else 0."""
    size, axes = jnp.abs(x), tuple(range(1, x.ndim))
    active = (size != 0).mean(axes, dtype=jnp.float32)
    return jnp.stack((active, ((size == 0) | (size == 1)).all(axes).astype(jnp.float32)), axis=1)
