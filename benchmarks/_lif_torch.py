"""Implementations on PyTorch of the neuron loops: SpikingJelly, snnTorch, Norse, and loops written by hand."""

import math
import os
from collections.abc import Callable
from typing import Any

import torch
from _on_torch import DEVICE, OnTorch, tensor
from _problems import Problem, currents
from torch import Tensor

TAU = 2.0
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Takes the current of a step and the state (None before the first), gives spikes and state."""


class ATan(torch.autograd.Function):
    """Heaviside forward; backward the derivative of the arc tangent with alpha = 2."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 0).to(u)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * u) ** 2)


def lif(current: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
    """LIF with a decaying input and a hard reset to 0."""
    v = torch.zeros_like(current) if v is None else v
    h = v + (current - v) / TAU
    s = ATan.apply(h - 1.0)
    return s, (1 - s) * h


def loop(step: Step, currents: Tensor) -> Tensor:
    """Spikes [T, N, *] for currents [T, N, *]."""
    state, spikes = None, []
    for current in currents.unbind(0):  # currents[t] would cost a zero-filled gradient a step
        s, state = step(current, state)
        spikes.append(s)
    return torch.stack(spikes)


def by_hand(problem: Problem) -> OnTorch:
    """A loop without a library."""
    return _through(problem, lambda x: loop(lif, x))


def compiled(problem: Problem) -> OnTorch:
    """The loop without a library, compiled as a whole, all its steps unrolled."""
    torch._dynamo.reset()
    return _through(problem, torch.compile(lambda x: loop(lif, x)))


def spikingjelly(problem: Problem) -> OnTorch:
    """SpikingJelly in the step mode `step_mode`; on a GPU by `implementation`, where it is not to choose itself."""
    os.environ["SJ_LIF_CUDA_IMPLEMENTATION"] = problem.get("implementation", "auto")  # read when it is imported
    from spikingjelly.activation_based import functional, neuron, surrogate

    node = neuron.LIFNode(tau=TAU, surrogate_function=surrogate.ATan(2.0), step_mode=problem["step_mode"])

    def forward(x: Tensor) -> Tensor:
        node.reset()
        if problem["step_mode"] == "s":
            return torch.stack([node(current) for current in x.unbind(0)])
        if x.dtype == torch.float32:
            return node(x)
        # The node would keep its state in the precision of x, for which SpikingJelly has no kernel.
        state = torch.zeros(x.shape[1:], device=x.device)
        return functional.lif_multi_step(x, state, TAU, surrogate_function=node.surrogate_function)[0]

    return _through(problem, forward)


def snntorch(problem: Problem) -> OnTorch:
    """Leaky of snnTorch, whose input does not decay and whose reset has no gradient."""
    import snntorch

    leaky = snntorch.Leaky(0.5, spike_grad=snntorch.surrogate.atan(2.0), reset_mechanism="zero").to(DEVICE)

    def step(current: Tensor, membrane: Tensor | None) -> tuple[Tensor, Tensor]:
        return leaky(current, torch.zeros_like(current) if membrane is None else membrane)

    return _through(problem, lambda x: loop(step, x))


def norse(problem: Problem) -> OnTorch:
    """LIF without a synaptic current of Norse: the same equations, another surrogate."""
    from norse.torch.functional import lif_box

    values = {"tau_mem_inv": 1 / TAU, "v_leak": 0.0, "v_th": 1.0, "v_reset": 0.0, "alpha": 100.0}
    parameters = lif_box.LIFBoxParameters(**{k: torch.tensor(v, device=DEVICE) for k, v in values.items()})

    def step(current: Tensor, state: Any) -> tuple[Tensor, Any]:
        state = lif_box.LIFBoxFeedForwardState(torch.zeros_like(current)) if state is None else state
        return lif_box.lif_box_feed_forward_step(current, state, parameters, dt=1.0)

    return _through(problem, lambda x: loop(step, x))


def copy(problem: Problem) -> OnTorch:
    """Reads and writes an array once."""
    x = tensor(currents(problem)[0])
    out = torch.empty_like(x)
    return OnTorch(lambda: {"outputs": out.copy_(x)})


def _through(problem: Problem, neuron: Callable[[Tensor], Tensor]) -> OnTorch:
    """Forward, or forward and backward to the input."""
    x, g = (tensor(a, problem.get("dtype", "float32")) for a in currents(problem))
    if not problem["backward"]:

        def forward() -> dict[str, Tensor]:
            with torch.no_grad():
                return {"outputs": neuron(x)}

        return OnTorch(forward)

    x.requires_grad_()

    def both() -> dict[str, Tensor]:
        y = neuron(x)
        return {"outputs": y, "gradient": torch.autograd.grad(y, x, g)[0]}

    return OnTorch(both)
