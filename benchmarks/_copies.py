"""The implementation on NumPy of the copies."""

import time

import numpy as np
from _problems import Problem, currents


class NumPy:
    """Reads and writes an array once."""

    def __init__(self, problem: Problem) -> None:
        self.x, _ = currents(problem)
        self.out = np.empty_like(self.x)

    def first(self) -> dict[str, float]:
        """Copies once."""
        started = time.perf_counter()
        self.run(1)
        return {"first_s": time.perf_counter() - started}

    def run(self, calls: int) -> None:
        """Copies."""
        for _ in range(calls):
            np.copyto(self.out, self.x)

    def results(self) -> dict[str, np.ndarray]:
        """The copy."""
        return {"outputs": self.out}
