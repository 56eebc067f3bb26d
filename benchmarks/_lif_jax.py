"""Implementations on JAX of the neuron loops: spikejax by each of its ways, and Spyx."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from _on_jax import OnJax
from _problems import Problem, currents
from flax import nnx
from jax import lax

import spikejax as sx
from spikejax.kernels import fused_scan
from spikejax.typing import Array

CELL = sx.LIF(tau=2.0, decay_input=True, v_reset=0.0, surrogate=sx.surrogate.ATan(2.0))


def spikejax(problem: Problem) -> OnJax:
    """LIF of spikejax by `method` of `run`."""
    return _through(problem, lambda xs: sx.run(CELL, xs, method=problem["method"])[1])


def by_xla(problem: Problem) -> OnJax:
    """The fused op by loops that XLA compiles."""
    return _through(problem, lambda xs: fused_scan(CELL, CELL.init_state(xs.shape[1:]), xs, backend="xla")[1])


def checkpointed(problem: Problem) -> OnJax:
    """The step of the same LIF in a scan, computed again in the backward pass."""
    step = jax.checkpoint(CELL.step, prevent_cse=False)
    return _through(problem, lambda xs: lax.scan(step, CELL.init_state(xs.shape[1:]), xs)[1])


def spyx(problem: Problem) -> OnJax:
    """LIF of Spyx, which fires from the membrane before the input and subtracts the threshold."""
    import spyx

    cell = spyx.nn.LIF((problem["shape"][-1],), beta=0.5, activation=spyx.axn.arctan(2), rngs=nnx.Rngs(0))
    return _through(problem, lambda xs: spyx.nn.run(cell, xs)[0])


def copy(problem: Problem) -> OnJax:
    """Reads and writes an array once."""
    x, _ = currents(problem)
    return OnJax(lambda x: {"outputs": jnp.copy(x)}, x)


def _through(problem: Problem, neuron: Callable[[Array], Array]) -> OnJax:
    """Forward, or forward and backward to the input."""
    x, g = (a.astype(problem.get("dtype", "float32")) for a in map(jnp.asarray, currents(problem)))
    if not problem["backward"]:
        return OnJax(lambda x: {"outputs": neuron(x)}, x)

    def both(x: Array, g: Array) -> dict[str, Any]:
        y, pull = jax.vjp(neuron, x)
        return {"outputs": y, "gradient": pull(g.astype(y.dtype))[0]}

    return OnJax(both, x, g)
