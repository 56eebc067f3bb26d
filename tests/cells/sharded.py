"""Every cell over two devices against one; a program of its own, see test_laws.py."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402
from tests.cells.cases import ALL, STEPS, Row  # noqa: E402
from tests.cells.runs import QUICK, Problem, close, loop, run_and_grad, setup  # noqa: E402

import spikejax as sx  # noqa: E402


@partial(jax.jit, static_argnames="run", compiler_options=QUICK)
def run_all(cells: Sequence[Any], problems: Sequence[Problem], run: Any) -> list[Any]:
    """Outputs and gradients of all cells, in one program."""
    return [run_and_grad(cell, at, run=run) for cell, at in zip(cells, problems, strict=True)]


def check(rows: Sequence[Row], mesh: jax.sharding.Mesh, steps: int, run: Any) -> None:
    """Raises AssertionError unless samples, and neurons, split over the devices give what one device gives."""
    cells, whole = zip(*(setup(row, row.variants[-1]) for row in rows), strict=True)
    whole = [at._replace(xs=at.xs[:steps], weights=(at.weights[0][:steps], at.weights[1])) for at in whole]
    expected = run_all(cells, whole, loop)
    for axes in (("half", None), (None, "half")):
        one, many = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (axes, (None, *axes)))
        split = [
            at._replace(
                xs=jax.device_put(at.xs, many),
                variables=jax.device_put(at.variables, one),
                weights=(jax.device_put(at.weights[0], many), jax.device_put(at.weights[1], one)),
            )
            for at in whole
        ]
        results = run_all(cells, split, run)
        close(results, expected, 1e-5)
        for row, ((ys, last), grads) in zip(rows, results, strict=True):
            for array, sharding in ((ys, many), (grads[1], many), (last["v"], one), (grads[2]["v"], one)):
                assert array.sharding.is_equivalent_to(sharding, array.ndim), (row.name, array.sharding)


def check_shared_parameters(mesh: jax.sharding.Mesh) -> None:
    """Raises AssertionError unless `shard_map` adds up the gradients of parameters that all devices have."""
    cell = sx.LIF(tau=jnp.linspace(2.0, 3.0, 16), v_threshold=0.3)
    graph, params = nnx.split(sx.nn.Sequential(sx.nn.SpikeLinear(32, 16, rngs=nnx.Rngs(0)), cell))
    xs = (jnp.arange(STEPS * 32 * 32).reshape(STEPS, 32, 32) % 7 == 0).astype(jnp.float32)
    samples = PartitionSpec(None, "half")

    def outputs(params: Any, xs: Any) -> Any:
        return sx.run(nnx.merge(graph, params), xs)[1]

    split = jax.shard_map(outputs, mesh=mesh, in_specs=(PartitionSpec(), samples), out_specs=samples)
    want, got = (
        jax.jit(jax.grad(lambda params, xs, run=run: jnp.sum(jnp.cos(jnp.arange(16)) * run(params, xs)), (0, 1)))
        for run in (outputs, split)
    )
    close(got(params, xs), want(params, xs), 1e-5)
    for kernel in ("spikejax_forward", "spikejax_backward", "spikejax_events"):
        assert kernel in got.lower(params, xs).as_text()


if __name__ == "__main__":
    assert jax.device_count() == 2
    mesh = jax.make_mesh((2,), ("half",), axis_types=(jax.sharding.AxisType.Auto,))
    check(ALL, mesh, steps=1, run=loop)
    check(ALL[1:3], mesh, steps=STEPS, run=sx.run)
    check_shared_parameters(mesh)
    many = NamedSharding(mesh, PartitionSpec(None, "half", None))
    xs = jax.device_put(jax.numpy.ones((STEPS, 4, 3)), many)
    assert sx.run(sx.LIF(), xs)[1].sharding.is_equivalent_to(many, 3)  # without jit
