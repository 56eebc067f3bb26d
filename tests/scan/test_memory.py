"""The memory that a run is said to take is what a training step takes."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import spikejax as sx
from spikejax.scan import memory_estimate

XS = jax.ShapeDtypeStruct((48, 8, 32), jnp.float32)
RNGS = nnx.Rngs(0)
NET = sx.nn.Sequential(
    nnx.Linear(32, 64, rngs=RNGS),
    sx.LIF(tau=jnp.array(2.0)),
    nnx.Dropout(0.5, rngs=RNGS),
    nnx.Linear(64, 16, rngs=RNGS),
    sx.LIF(),
)


def scratch_of_training(**how) -> int:
    """What XLA says of the gradient of a loss, written as a user would."""
    graph, params, rest = nnx.split(NET, nnx.Param, ...)

    def loss(params, xs):
        _, spikes = sx.run(nnx.merge(graph, params, rest, copy=True), xs, **how)
        return jnp.mean((spikes.mean(0) - 0.5) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss)).lower(params, XS).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("how", [{"chunk": 48}, {"remat": True}], ids=str)
def test_it_is_within_a_fifth_of_a_training_step(how):
    assert memory_estimate(NET, XS, **how).scratch == pytest.approx(scratch_of_training(**how), rel=0.2)


def test_it_follows_the_steps_and_counts_arguments():
    short, long = (memory_estimate(NET, jax.ShapeDtypeStruct((t, 8, 32), jnp.float32), chunk=8) for t in (64, 256))
    assert 3 < long.scratch / short.scratch < 4.5
    assert long.arguments - short.arguments == 192 * 8 * 32 * 4
    inference = memory_estimate(NET, XS, gradient=False, chunk=8)
    assert inference.scratch < memory_estimate(NET, XS, chunk=8).scratch / 2


def test_a_cell_without_parameters_has_a_gradient_in_its_input():
    found = memory_estimate(sx.LIF(), jax.ShapeDtypeStruct((64, 16, 128), jnp.float32), chunk=64)
    size = 64 * 16 * 128 * 4
    assert size <= found.scratch < 2.2 * size  # h, and the cotangent of the output
    assert found.results >= size


def test_what_run_refuses_it_refuses():
    with pytest.raises(ValueError, match=r"`method` must be one of"):
        memory_estimate(sx.LIF(), XS, method="warp")
