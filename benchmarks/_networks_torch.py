"""Implementations on PyTorch of the networks: neurons of SpikingJelly in multi-step mode, and a loop written by hand.

All else is the same for both: every matrix product and convolution takes all time steps at once.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from _lif_torch import TAU, lif, loop
from _on_torch import DEVICE, OnTorch, tensor
from _problems import Problem, cotangent, image, labels, spikes, weights
from torch import Tensor

Neuron = Callable[[Tensor], Tensor]


def by_problem(problem: Problem) -> OnTorch:
    """Spikes in, or an image shown at every step; forward, and backward to all weights.

    `neurons` says whose.
    """
    if "rate" in problem:
        return training_step(problem)
    kernels, neurons = _kernels(problem), _neurons(problem)
    x, g = tensor(image(problem) if "image" in problem else spikes(problem)), tensor(cotangent(problem))

    def both() -> dict[str, Tensor]:
        y = _forward(kernels, neurons(), x, problem.get("steps"))
        return {"outputs": y} | _named(torch.autograd.grad(y, kernels, g))

    return OnTorch(both)


def training_step(problem: Problem) -> OnTorch:
    """Forward, cross-entropy of the firing rates, backward, and a step of gradient descent."""
    kernels, neurons = _kernels(problem), _neurons(problem)
    x, y = tensor(spikes(problem)), torch.from_numpy(labels(problem)).to(DEVICE)

    def step() -> dict[str, Tensor]:
        outs = _forward(kernels, neurons(), x, None)
        gradients = torch.autograd.grad(F.cross_entropy(outs.mean(0), y), kernels)
        with torch.no_grad():
            new = [w - problem["rate"] * g for w, g in zip(kernels, gradients, strict=True)]
        return {"outputs": outs} | _named(gradients) | _named(new, "weights")

    return OnTorch(step)


def _forward(kernels: list[Tensor], neurons: list[Neuron], x: Tensor, steps: int | None) -> Tensor:
    """Spikes [T, N, classes]; an image `x` [N, H, W, C] goes through the first convolution once, not `steps` times."""
    y = x if steps is None else x.movedim(-1, 1)
    for kernel, neuron in zip(kernels, neurons, strict=True):
        if kernel.ndim == 2:
            y = F.linear(y if y.ndim == 3 else y.movedim(2, -1).flatten(2), kernel)
        elif y.ndim == 4:
            y = F.conv2d(y, kernel, padding=1).unsqueeze(0).repeat(steps, 1, 1, 1, 1)
        else:
            y = F.conv2d(y.flatten(0, 1), kernel, padding=1).unflatten(0, y.shape[:2])
        y = neuron(y)
        y = F.max_pool2d(y.flatten(0, 1), 2).unflatten(0, y.shape[:2]) if kernel.ndim == 4 else y
    return y


def _neurons(problem: Problem) -> Callable[[], list[Neuron]]:
    """Makes ready a layer of neurons for each kernel."""
    if problem["neurons"] == "by hand":
        return lambda: [lambda currents: loop(lif, currents) for _ in problem["layers"]]
    from spikingjelly.activation_based import neuron, surrogate

    nodes = [neuron.LIFNode(TAU, surrogate_function=surrogate.ATan(2.0), step_mode="m") for _ in problem["layers"]]

    def ready() -> list[Neuron]:
        for node in nodes:
            node.reset()
        return list(nodes)

    return ready


def _kernels(problem: Problem) -> list[Tensor]:
    """The weights as PyTorch has them: [outputs, inputs], [outputs, inputs, 3, 3]."""
    tensors = (tensor(w.T if w.ndim == 2 else w.transpose(3, 2, 0, 1)) for w in weights(problem))
    return [kernel.contiguous().requires_grad_() for kernel in tensors]


def _named(tensors: Iterable[Tensor], name: str = "gradient") -> dict[str, Tensor]:
    """Tensors of the kernels' shapes, in the order of axes that JAX has."""
    return {f"{name} {i}": t.T if t.ndim == 2 else t.permute(2, 3, 1, 0) for i, t in enumerate(tensors)}
