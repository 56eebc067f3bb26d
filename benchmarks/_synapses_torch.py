"""The implementations on PyTorch of the linear layers: its own, and a sparse matrix."""

import torch.nn.functional as F
from _on_torch import OnTorch, tensor
from _problems import Problem, cotangent, spikes, weights
from torch import Tensor, autograd


def layer(problem: Problem) -> OnTorch:
    """Spikes in; forward, and backward to the weights."""
    (drawn,) = weights(problem)
    kernel = tensor(drawn.T.copy()).requires_grad_()
    x, g = tensor(spikes(problem)), tensor(cotangent(problem))
    forward = {"Linear": F.linear, "sparse": _sparse}[problem["layer"]]

    def both() -> dict[str, Tensor]:
        y = forward(x, kernel)
        return {"outputs": y, "gradient": autograd.grad(y, kernel, g)[0].T}

    return OnTorch(both)


def _sparse(x: Tensor, kernel: Tensor) -> Tensor:
    return (x.flatten(0, 1).to_sparse_csr() @ kernel.T).unflatten(0, x.shape[:2])
