"""The two forms of a network: one step with its state outside, or all steps with it inside."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from spikejax.export import chain
from spikejax.export.onnx.equations import channels_first
from spikejax.export.onnx.graph import OnnxGraph, Tensor, Value
from spikejax.export.onnx.layers import channels_last, channels_second, lower
from spikejax.export.onnx.neurons import stateful
from spikejax.export.onnx.options import Options


class StateVariable(NamedTuple):
    """A state variable of the step form.

    Attributes:
        name: as "layer1.v"; its input has "_in" after it, its output "_out".
        shape: of both.
        first: its value before the first step, broadcasting to the shape.
    """

    name: str
    shape: tuple[int, ...]
    first: np.ndarray


def graph_name(layer: chain.LayerSpec) -> str:
    """A layer's name in the graph."""
    return f"layer{layer.name}"


def build_step(graph: OnnxGraph, layers: Sequence[chain.LayerSpec], options: Options) -> list[StateVariable]:
    """Adds one step: inputs `x` and the states, outputs `y` and the next states.

    Returns:
        The state variables, in the order of inputs and outputs.
    """
    x = _input(graph, layers[0].inputs, options.batch, options)
    variables: list[StateVariable] = []
    news: list[Value] = []
    for layer in layers:
        with graph.inside(graph_name(layer), layer.kind):
            cell = stateful(graph, layer, stepwise=True)
            if cell is None:
                x = lower(graph, layer, x)
                continue
            states = {}
            for name, first in cell.first().items():
                variable = StateVariable(f"{graph.layer}.{name}", x.shape, channels_first(np.asarray(first)))
                states[name] = graph.input(f"{variable.name}_in", x.shape)
                variables.append(variable)
            new, y = cell.step(graph, states, x)
            news += new.values()
            x = _tensor(graph, y, x.shape)
    _output(graph, x, layers[-1].outputs, options)
    for variable, new in zip(variables, news, strict=True):
        graph.output(f"{variable.name}_out", _ready(new), variable.shape)
    return variables


def build_unrolled(graph: OnnxGraph, layers: Sequence[chain.LayerSpec], options: Options) -> None:
    """Adds all steps: stateless layers see them as one batch `[T * N, *]`, cells one after another."""
    steps = options.steps or 1
    x = _input(graph, layers[0].inputs, options.batch * (1 if options.static else steps), options)
    time = Time(graph, steps, [x], None) if options.static else Time(graph, steps, None, x)
    for layer in layers:
        with graph.inside(graph_name(layer), layer.kind):
            cell = stateful(graph, layer, stepwise=False)
            if cell is None:
                time = time.at_once(lambda x, layer=layer: lower(graph, layer, x))
                continue
            states, ys = cell.first(), []
            for x in time.pieces():
                states, y = cell.step(graph, states, x)
                ys.append(_tensor(graph, y, x.shape))
            time = Time(graph, steps, ys, None)
    with graph.inside("readout", options.readout or "mean"):
        _output(graph, time.read_out(options.readout or "mean"), layers[-1].outputs, options)


class Time:
    """The same tensor at all steps: one piece a step `[N, *]`, or one for all, or joined `[T * N, *]`, or both."""

    def __init__(self, graph: OnnxGraph, steps: int, pieces: list[Tensor] | None, joined: Tensor | None) -> None:
        self.graph, self.steps, self._pieces, self._joined = graph, steps, pieces, joined

    @property
    def static(self) -> bool:
        """True if one piece serves all steps."""
        return self._pieces is not None and len(self._pieces) == 1

    def at_once(self, function: Callable[[Tensor], Tensor]) -> "Time":
        """`function` on all steps as one batch, or on the one piece that serves all."""
        if self.static:
            return Time(self.graph, self.steps, [function(self.pieces()[0])], None)
        return Time(self.graph, self.steps, None, function(self.joined()))

    def joined(self) -> Tensor:
        """`[T * N, *]`."""
        if self._joined is None or self.static:
            pieces = self.pieces()
            shape = (sum(x.shape[0] for x in pieces), *pieces[0].shape[1:])
            self._joined = pieces[0] if self.steps == 1 else self.graph.add("Concat", *pieces, shape=shape, axis=0)
        return self._joined

    def pieces(self) -> list[Tensor]:
        """`[N, *]` at each step."""
        if self._pieces is None:
            self._pieces = split_steps(self.graph, self.joined(), self.steps)
        return self._pieces * self.steps if self.static else self._pieces

    def read_out(self, readout: str) -> Tensor:
        """Mean or sum over the steps `[N, *]`, or all of them `[T * N, *]`."""
        if readout == "none":
            return self.joined()
        total, *rest = self.pieces()
        if self.static:
            scale = self.graph.constant(float(self.steps), "steps")
            return total if readout == "mean" else self.graph.add("Mul", total, scale)
        for x in rest:
            total = self.graph.add("Add", total, x)
        return total if readout == "sum" or not rest else self.graph.add("Div", total, np.array(float(self.steps)))


def split_steps(graph: OnnxGraph, x: Tensor, parts: int) -> list[Tensor]:
    """`x` cut into equal parts along its first axis."""
    if parts == 1:
        return [x]
    shapes = [(x.shape[0] // parts, *x.shape[1:])] * parts
    if graph.opset >= 18:
        return list(graph.add_many("Split", x, shapes=shapes, axis=0, num_outputs=parts))
    return list(graph.add_many("Split", x, shapes=shapes, axis=0))


def _input(graph: OnnxGraph, sample: tuple[int, ...], batch: int, options: Options) -> Tensor:
    shape = (batch, *sample)
    if options.layout == "NCHW":
        return graph.input("x", (batch, sample[-1], *sample[:-1]))
    with graph.inside("input", "Transpose"):
        return channels_second(graph, graph.input("x", shape))


def _output(graph: OnnxGraph, y: Tensor, sample: tuple[int, ...], options: Options) -> None:
    with graph.inside("output", "Transpose"):
        y = channels_last(graph, y) if options.layout == "NHWC" else y
        graph.output("y", y, y.shape)


def _ready(value: Value) -> Value:
    return value if isinstance(value, Tensor) else channels_first(np.asarray(value))


def _tensor(graph: OnnxGraph, value: Value, shape: tuple[int, ...]) -> Tensor:
    return graph.full(_ready(value), shape)
