"""How an implementation on JAX is compiled, timed and asked for its results."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

jax.block_until_ready(jax.jit(jnp.negative)(1.0))  # what XLA allots once counts for nobody's memory


class OnJax:
    """A function compiled for given arguments.

    Args:
        function: gives a dict of arrays, its results by name.
        *arguments: what it is called with.
    """

    def __init__(self, function: Callable[..., dict[str, Any]], *arguments: Any) -> None:
        jax.clear_caches()  # or code of the problems before would stay in memory
        self.function, self.arguments = function, jax.tree.map(jnp.asarray, arguments)

    def first(self) -> dict[str, float]:
        """Compiles and calls once.

        Returns:
            The seconds it took, and what XLA allots: `scratch_mb`, the intermediate results alone; and on a GPU
            `device_mb`, with arguments and results.
        """
        started = time.perf_counter()
        self.compiled = jax.jit(self.function).lower(*self.arguments).compile()
        self.run(1)
        seconds = time.perf_counter() - started
        memory = self.compiled.memory_analysis()
        facts = {"first_s": seconds, "scratch_mb": memory.temp_size_in_bytes / 1e6}
        if jax.default_backend() == "gpu":
            whole = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
            facts["device_mb"] = whole / 1e6
        return facts

    def run(self, calls: int) -> None:
        """Calls it, each time until it is done."""
        for _ in range(calls):
            jax.block_until_ready(self.compiled(*self.arguments))

    def results(self) -> dict[str, np.ndarray]:
        """What it gives."""
        return {name: np.asarray(value, np.float32) for name, value in self.compiled(*self.arguments).items()}
