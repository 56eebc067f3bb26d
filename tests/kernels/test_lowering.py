"""The GPU kernels compile to GPU code, here without a GPU: for an H200, forward and backward, for every cell."""

from contextlib import nullcontext

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh
from tests.cells.cases import ALL, Row
from tests.cells.runs import setup, state_of

import spikejax as sx
from spikejax.kernels import BACKENDS, explain_backend, fused_scan

KERNELS = {"triton": "__gpu$xla.gpu.triton", "mosaic": "mosaic_gpu_v2"}


def on_h200():
    """From JAX 0.11 on, code for a GPU is made for one of a kind."""
    if jax.__version_info__ < (0, 11):
        return nullcontext()
    device = jax.sharding.AbstractDevice("NVIDIA H200", 132, "cuda")
    return jax.sharding.use_abstract_mesh(AbstractMesh((), (), abstract_device=device))


def lowered(backend, cell, state, xs, w, **options) -> str:
    """The program for the GPU of a forward and a backward pass."""

    def both(cell, state, xs, w):
        out, pull = jax.vjp(lambda *at: fused_scan(*at, backend=backend, **options)[1], cell, state, xs)
        return out, [g for g in jax.tree.leaves(pull(w)) if g.dtype != jax.dtypes.float0]

    with on_h200():
        return jax.jit(both).trace(cell, state, xs, w).lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.filterwarnings("ignore:.*[Tt]riton.*:DeprecationWarning")
@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_every_cell_lowers_for_a_gpu(row: Row, backend):
    cell, at = setup(row, row.variant)
    assert explain_backend(cell, at.xs.shape[1:], platform="gpu").backend == "triton"
    program = lowered(backend, cell, state_of(cell, at.variables, at.others), at.xs, at.weights[0])
    assert program.count(f"custom_call @{KERNELS[backend]}") == 2  # one forward, one backward


@pytest.mark.filterwarnings("ignore:.*[Tt]riton.*:DeprecationWarning")
@pytest.mark.parametrize("backend", KERNELS)
@pytest.mark.parametrize("options", [{}, {"residuals": "x"}, {"residuals": "packed"}], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_way_lowers_for_a_gpu(dtype, options, backend):
    xs = jnp.ones((20, 64, 1000), dtype)
    cell = sx.LIF(tau=jnp.full(1000, 2.0), surrogate=sx.surrogate.ATan())
    assert "custom_call" in lowered(backend, cell, cell.init_state(xs.shape[1:]), xs, xs, **options)


def test_each_back_end_has_a_reason():
    class Mixing(sx.Neuron):
        def charge(self, state, x):
            return state._replace(v=state.v + x.mean())

    class Own(sx.Neuron):
        def step(self, state, x):
            return state, x

    shape = (4, 8)
    assert explain_backend(sx.LIF(), shape) == (
        "llvm",
        "its equations are elementwise, so LLVM compiles one CPU kernel for the whole loop",
    )
    gated = explain_backend(sx.GatedLIF(), shape)
    assert gated.backend == "xla" and gated.reason.startswith("its parameters vary over time")
    assert explain_backend(sx.LIF(), shape, platform="tpu") == ("xla", "on tpu XLA compiles the loops")
    assert explain_backend(Mixing(), shape).reason.startswith(
        "there is no CPU kernel, because its equations use `reduce_sum`"
    )
    assert explain_backend(sx.NoisyLIF(), shape, platform="gpu").backend == "triton"
    assert explain_backend(sx.Refractory(sx.LIF(), 2), shape, platform="gpu").backend == "triton"
    mixing = explain_backend(Mixing(), shape, platform="gpu")
    assert mixing.backend == "xla" and "`reduce_sum`, which does not treat each neuron on its own" in mixing.reason
    assert explain_backend(Own(), shape) == (None, "Own has a `step` of its own, so it runs step by step")
    psn = sx.PSN(T=3, key=jax.random.key(0))
    assert explain_backend(psn, shape) == (
        None,
        "PSN is not written as charge, fire and reset, so it runs step by step",
    )
    with pytest.raises(ValueError, match=r"`tau` has shape \(5,\), which does not broadcast"):
        explain_backend(sx.LIF(tau=jnp.full(5, 2.0)), shape, platform="gpu")
    with pytest.raises(
        ValueError, match=r"`backward` 'associative' treats each neuron on its own, and Mixing does not"
    ):
        fused_scan(Mixing(), Mixing().init_state(shape), jnp.ones((3, *shape)), backward="associative")
    with pytest.raises(
        ValueError, match=r"`cell` has no fused kernel, because Own has a `step` of its own: use method"
    ):
        fused_scan(Own(), Own().init_state(shape), jnp.ones((3, *shape)))
    net = sx.nn.Sequential(sx.LIF(), Own())
    with pytest.raises(
        ValueError, match=r"`method` 'fused' needs cells .*, and layer 1 \(Own\) has no fused kernel: Own"
    ):
        sx.run(net, jnp.ones((3, *shape)), method="fused")
    assert sx.run(net, jnp.ones((3, *shape)))[1].shape == (3, *shape)


@pytest.mark.parametrize(
    ("name", "known"), [("residuals", "'h', 'x', 'packed'"), ("backward", "'scan', 'associative'")]
)
def test_an_unknown_option_is_refused(name, known):
    for call in (sx.run, lambda cell, xs, **options: fused_scan(cell, cell.init_state((2,)), xs, **options)):
        with pytest.raises(ValueError, match=rf"`{name}` must be one of {known}, got 'warp'"):
            call(sx.LIF(), jnp.ones((3, 2)), **{name: "warp"})
    with pytest.raises(ValueError, match=rf"`{name}` .* is of the fused kernel, but method is 'scan'"):
        sx.run(sx.LIF(), jnp.ones((3, 2)), method="scan", **{name: known.split("'")[3]})
    names = ", ".join(map(repr, (None, *BACKENDS)))
    with pytest.raises(ValueError, match=rf"`backend` must be one of {names}, got 'warp'"):
        fused_scan(sx.LIF(), sx.LIF().init_state((2,)), jnp.ones((3, 2)), backend="warp")
