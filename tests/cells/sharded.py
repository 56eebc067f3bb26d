"""Every cell over two devices against one; a program of its own, see test_laws.py."""

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)

from jax.sharding import NamedSharding, PartitionSpec  # noqa: E402
from tests.cells.cases import ALL, SOFT, Row  # noqa: E402
from tests.cells.test_laws import close, problem, run_and_grad  # noqa: E402


def check(row: Row, mesh: jax.sharding.Mesh) -> None:
    """Raises AssertionError unless samples, or neurons, split over the devices give what one device gives."""
    cell = row.build(SOFT)
    xs, state, weights = problem(cell)
    want = jax.jit(run_and_grad)(cell, xs, state, weights)
    for axes in (("half", None), (None, "half")):
        one = NamedSharding(mesh, PartitionSpec(*axes))
        many = NamedSharding(mesh, PartitionSpec(None, *axes))
        args = jax.device_put((xs, state, weights), (many, one, (many, one)))
        (ys, last), grads = got = jax.jit(run_and_grad)(cell, *args)
        close(got, want)
        for array, sharding in ((ys, many), (last.v, one), (grads[1], many), (grads[2].v, one)):
            assert array.sharding.is_equivalent_to(sharding, array.ndim), (row.name, array.sharding)


if __name__ == "__main__":
    assert jax.device_count() == 2
    for row in ALL:
        check(row, jax.make_mesh((2,), ("half",), axis_types=(jax.sharding.AxisType.Auto,)))
