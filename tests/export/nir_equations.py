"""NIR's equations in forward Euler steps, in NumPy and double precision, written from its documentation alone."""

import nir
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def evaluate(graph, xs, dt=1e-4):
    """The output of a graph for inputs `[T, *]` of one sample, channels first; neurons fire above their threshold."""
    memory: dict = {}
    return np.stack([run(graph, memory, x, dt) for x in xs])


def run(graph, memory, x, dt):
    """One step of a graph; `memory` holds, by name, the states of nodes and their last outputs."""
    before = memory.setdefault("outputs", {})
    now: dict[str, np.ndarray] = {}
    busy: set[str] = set()

    def output(name):
        if name in busy:  # a cycle: what comes back is of the step before
            return before.get(name, 0.0)
        if name not in now:
            busy.add(name)
            node = graph.nodes[name]
            total = x if isinstance(node, nir.Input) else sum(output(a) for a, b in graph.edges if b == name)
            now[name] = step(node, memory.setdefault(name, {}), np.asarray(total, np.float64), dt)
            busy.discard(name)
        return now[name]

    last = next(name for name, node in graph.nodes.items() if isinstance(node, nir.Output))
    result = output(last)
    memory["outputs"] = now
    return result


def step(node, state, x, dt):
    kind = type(node).__name__
    if kind == "NIRGraph":
        return run(node, state, x, dt)
    if kind in ("Linear", "Affine"):
        return np.float64(node.weight) @ np.broadcast_to(x, node.weight.shape[1:]) + getattr(node, "bias", 0.0)
    if kind in ("Conv1d", "Conv2d"):
        return convolve(node, x)
    if kind in ("SumPool2d", "AvgPool2d"):
        windows = strided(padded(x, node.padding), node.kernel_size, node.stride, (1, 1))
        return (windows.sum if kind == "SumPool2d" else windows.mean)((-1, -2))
    if kind == "Flatten":
        return x.ravel()
    if kind == "Scale":
        return x * node.scale
    if kind == "Delay":
        return delayed(node, state, x, dt)
    if kind == "Threshold":
        return (x > node.threshold).astype(float)
    return x if kind in ("Input", "Output") else neuron(node, kind, state, x, dt)


def neuron(node, kind, state, x, dt):
    if kind in ("CubaLI", "CubaLIF"):
        state["i"] = state.get("i", 0.0) + dt / np.float64(node.tau_syn) * (node.w_in * x - state.get("i", 0.0))
        x = state["i"]
    v = state.get("v", getattr(node, "v_reset", np.zeros_like(node.r))).astype(np.float64)
    if kind in ("I", "IF"):
        v = v + dt * node.r * x
    else:
        tau = np.float64(node.tau_mem if kind in ("CubaLI", "CubaLIF") else node.tau)
        v = v + dt / tau * (node.v_leak - v + node.r * x)
    state["v"] = v
    if kind in ("I", "LI", "CubaLI"):
        return v
    spikes = v > node.v_threshold
    state["v"] = np.where(spikes, node.v_reset, v)
    return spikes.astype(float)


def delayed(node, state, x, dt):
    past = state.setdefault("past", [])
    past.append(x)
    steps = np.round(node.delay / dt).astype(int)
    y = np.zeros_like(x)
    for d in range(steps.max() + 1):
        if d < len(past):
            y = np.where(steps == d, past[-1 - d], y)
    return y


def convolve(node, x):
    window = node.weight.shape[2:]
    axes = len(window)
    stride, dilation = (np.broadcast_to(value, axes) for value in (node.stride, node.dilation))
    pads = node.padding
    if isinstance(pads, str) and pads == "same":
        total = dilation * (np.array(window) - 1)
        pads = [(n // 2, n - n // 2) for n in total]
    windows = strided(padded(x, pads, axes), window, stride, dilation)
    groups = np.split(windows, int(node.groups))
    weights = np.split(np.float64(node.weight), int(node.groups))
    space = "hw"[:axes], "yx"[:axes]
    terms = f"c{space[0]}{space[1]},oc{space[1]}->o{space[0]}"
    sums = [np.einsum(terms, group, weight) for group, weight in zip(groups, weights, strict=True)]
    return np.concatenate(sums) + np.reshape(node.bias, (-1, *(1,) * axes))


def padded(x, pads, axes=2):
    pads = [
        (int(p), int(p)) if np.ndim(p) == 0 else p for p in np.broadcast_to(pads, (axes, 2)[: max(np.ndim(pads), 1)])
    ]
    return np.pad(x, [(0, 0), *pads])


def strided(x, window, stride, dilation):
    """All windows: `[C, *space, *window]`."""
    axes = len(window)
    whole = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    views = sliding_window_view(x, whole, axis=tuple(range(1, axes + 1)))
    steps = [slice(None), *(slice(None, None, int(s)) for s in stride), *(slice(None, None, int(d)) for d in dilation)]
    return views[tuple(steps)]
