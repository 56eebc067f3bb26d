"""How an implementation on PyTorch is timed and asked for its results."""

import os
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

DEVICE = "cpu" if os.environ["JAX_PLATFORMS"] == "cpu" else "cuda"
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.ones(2, device=DEVICE, requires_grad=True).sum().backward()  # what it allots once counts for nobody's memory


class OnTorch:
    """A function without arguments.

    Args:
        function: gives a dict of tensors, its results by name.
    """

    def __init__(self, function: Callable[[], dict[str, Tensor]]) -> None:
        self.function = function

    def first(self) -> dict[str, float]:
        """Calls once, which compiles where anything is to be compiled.

        Returns:
            The seconds it took, and on a GPU `device_mb`, the most memory it held there.
        """
        started = time.perf_counter()
        self.run(1)
        facts = {"first_s": time.perf_counter() - started}
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.run(1)
            facts["device_mb"] = torch.cuda.max_memory_allocated() / 1e6
        return facts

    def run(self, calls: int) -> None:
        """Calls it, each time until it is done."""
        for _ in range(calls):
            self.function()
            if DEVICE == "cuda":
                torch.cuda.synchronize()

    def results(self) -> dict[str, np.ndarray]:
        """What it gives."""
        return {name: value.detach().float().cpu().numpy() for name, value in self.function().items()}


def tensor(array: np.ndarray, dtype: str = "float32") -> Tensor:
    """An array on the device."""
    return torch.from_numpy(array).to(DEVICE, getattr(torch, dtype))
