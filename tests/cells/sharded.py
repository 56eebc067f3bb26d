"""Every cell over two devices against one; a program of its own, see test_laws.py."""

from functools import partial
from typing import Any

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
from flax import nnx  # noqa: E402
from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402
from tests.cells.cases import ALL, STEPS, Row  # noqa: E402
from tests.cells.runs import QUICK, close, loop, run_and_grad, setup  # noqa: E402

import spikejax as sx  # noqa: E402


def check(row: Row, mesh: jax.sharding.Mesh, axes: tuple[str | None, str | None], steps: int, run: Any) -> None:
    """Raises AssertionError unless samples, or neurons, split over the devices give what one device gives."""
    cell, at = setup(row, row.variants[-1])
    at = at._replace(xs=at.xs[:steps], weights=(at.weights[0][:steps], at.weights[1]))
    want = run_and_grad(cell, at, run=loop)
    one, many = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (axes, (None, *axes)))
    weights = jax.device_put(at.weights[0], many), jax.device_put(at.weights[1], one)
    split = at._replace(xs=jax.device_put(at.xs, many), variables=jax.device_put(at.variables, one), weights=weights)
    together = jax.jit(partial(run_and_grad, run=run), compiler_options=QUICK)
    (ys, last), grads = got = together(cell, split)
    close(got, want, 1e-5)
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
    splits = ("half", None), (None, "half")
    for i, row in enumerate(ALL):
        check(row, mesh, splits[i % 2], steps=1, run=loop)
    check_shared_parameters(mesh)
    for row, axes in zip(ALL[1:3], splits, strict=True):
        check(row, mesh, axes, STEPS, sx.run)
    many = NamedSharding(mesh, PartitionSpec(None, "half", None))
    xs = jax.device_put(jax.numpy.ones((STEPS, 4, 3)), many)
    assert sx.run(sx.LIF(), xs)[1].sharding.is_equivalent_to(many, 3)  # without jit
