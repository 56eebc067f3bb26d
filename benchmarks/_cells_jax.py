"""Implementations of the comparison of all cells: one cell by one method, forward and backward."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from _on_jax import OnJax
from _problems import Problem, currents

import spikejax as sx
from spikejax.kernels import fused_scan, why_not_fused

WRAPPERS = {
    "Refractory": lambda: sx.cells.Refractory(cell=sx.LIF(), steps=2),
    "Stochastic": lambda: sx.cells.Stochastic(cell=sx.LIF()),
}
"""Cells that have no default."""


def fused_cells() -> list[str]:
    """Names of the cells that have a fused kernel."""
    named = {name: getattr(sx.cells, name) for name in sx.cells.__all__}
    abstract = ("ChargeFireReset", "Neuron")
    cells = [name for name, kind in named.items() if hasattr(kind, "charge") and name not in abstract]
    return [name for name in cells if why_not_fused(make(name)) is None]


def make(name: str) -> Any:
    """The cell of that name with default parameters."""
    return WRAPPERS[name]() if name in WRAPPERS else getattr(sx.cells, name)()


def per_neuron(cell: Any, neurons: int) -> Any:
    """The same cell with an array of one value a neuron for each parameter, those of a cell within included."""
    changes = {}
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        if hasattr(value, "init_state"):
            changes[field.name] = per_neuron(value, neurons)
        elif isinstance(value, float) or (isinstance(value, jax.Array) and field.name != "conduct"):
            changes[field.name] = jnp.full(neurons, value, jnp.float32)
    return cell.replace(**changes)


def run(problem: Problem) -> OnJax:
    """The `cell` of that name by the back end `backend`, or by plain scan, with gradients to its input and arrays."""
    x, g = currents(problem)
    cell = make(problem["cell"])
    if problem["per_neuron"]:
        cell = per_neuron(cell, x.shape[-1])

    def neuron(cell: Any, state: Any, x: jax.Array) -> jax.Array:
        if "backend" in problem:
            return fused_scan(cell, state, x, backend=problem["backend"])[1]
        return sx.run(cell, x, state, method="scan")[1]

    def both(cell: Any, x: jax.Array, g: jax.Array) -> dict[str, Any]:
        state = cell.init_state(x.shape[1:], key=jax.random.key(0))
        y, pull = jax.vjp(lambda cell, x: neuron(cell, state, x), cell, x)
        of_cell, of_x = pull(g)
        leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(of_cell)}
        return {"outputs": y, "gradient": of_x} | leaves

    return OnJax(both, cell, x, g)
