"""How a run goes through time, and why."""

import sys

import jax.numpy as jnp
import pytest
from flax import nnx
from tests.scan.networks import nested

import spikejax as sx
from spikejax.scan import METHODS, plan

run_module = sys.modules["spikejax.scan.run"]
AUTO = "- method 'auto': 'fused' for every cell in charge, fire and reset, 'scan' for all others"


def encoded():
    return sx.nn.Sequential(sx.encoding.Poisson(), nested())


@pytest.mark.parametrize(
    ("cell", "steps", "how", "text"),
    [
        (
            sx.LIF(),
            100,
            {},
            "100 steps in 1 chunk(s) of at most 100; cells by method 'auto'\n"
            f"{AUTO}\n- chunk 100: one cell has no layers to interleave",
        ),
        (
            nested(),
            100,
            {},
            "100 steps in 1 chunk(s) of at most 100; cells by method 'auto'\n"
            f"{AUTO}\n- chunk 100: layer by layer, one matrix product serves all steps",
        ),
        (
            encoded(),
            100,
            {"static": (64, 784)},
            "100 steps in 10 chunk(s) of at most 10; cells by method 'auto'\n"
            f"{AUTO}\n- chunk 10: of a static input an encoder makes 50176 elements a step, to hold about 524288 at "
            "once",
        ),
        (
            sx.LIF(),
            100,
            {"remat": True, "method": "scan"},
            "100 steps in 10 chunk(s) of at most 10, each computed again in the backward pass; cells by method 'scan'\n"
            "- chunk 10: about sqrt(T), which bounds memory best with remat",
        ),
        (
            nested(),
            7,
            {"chunk": 3, "method": "scan"},
            "7 steps in 3 chunk(s) of at most 3; cells by method 'scan'",
        ),
    ],
)
def test_a_plan_prints_its_choices_and_reasons(cell, steps, how, text):
    assert str(plan(cell, steps, **how)) == text


@pytest.mark.parametrize(
    ("steps", "how", "chunk"),
    [
        (1, {}, 1),
        (101, {}, 101),
        (10, {"static": (2**19 // 10,)}, 10),
        (11, {"static": (2**19 // 10,)}, 6),
        (101, {"static": (2**19 // 10,)}, 10),
        (101, {"static": (0, 5)}, 101),
        (3, {"static": (2**20,)}, 1),
        (1, {"remat": True}, 1),
        (13, {"remat": True}, 4),
        (10_000, {"remat": True}, 100),
        (5, {"chunk": 99}, 5),
    ],
)
def test_chunks_of_a_network_are_even(steps, how, chunk):
    assert plan(encoded(), steps, **how).chunk == chunk


def test_a_batch_norm_in_training_is_named():
    rngs = nnx.Rngs(0)
    inner = sx.nn.Sequential(nnx.BatchNorm(4, rngs=rngs), sx.IF())
    net = sx.nn.Sequential(nnx.Linear(4, 4, rngs=rngs), sx.LIF(), inner)
    chosen = plan(net, 50)
    assert chosen.chunk == 50
    assert "layer 2.0 (BatchNorm, train mode) takes its statistics over a chunk, so over all steps" in str(chosen)
    net.eval()
    assert "layer by layer" in str(plan(net, 50))


@pytest.mark.parametrize(
    ("steps", "how", "message"),
    [
        (0, {}, r"`steps` must be an integer >= 1, got 0"),
        (2.5, {}, r"`steps` must be an integer >= 1, got 2.5"),
        (5, {"chunk": 0}, r"`chunk` must be an integer >= 1, got 0: .*, up to all 5, or None"),
        (5, {"method": "fast"}, r"`method` must be one of"),
        (5, {"static": 5}, r"`static` must be the shape \(N, \*\) of a static input, got 5"),
    ],
)
def test_bad_arguments(steps, how, message):
    with pytest.raises(ValueError, match=message):
        plan(sx.LIF(), steps, **how)


def test_every_method_runs():
    for method in METHODS:
        assert sx.run(sx.LinearLIF(), [[[2.0]]], method=method)[1] == 1


def test_only_an_encoder_in_front_asks_for_chunks_of_a_static_input():
    dense, many = nnx.Linear(4, 4, rngs=nnx.Rngs(0)), {"static": (2**19,)}
    for layers in ((dense, sx.LIF()), (dense, nested()), (dense, sx.LIF(), sx.encoding.Poisson()), (dense,)):
        assert plan(sx.nn.Sequential(*layers), 9, **many).chunk == 9
    for encoder in (sx.encoding.Latency(9), sx.encoding.DeltaModulation(0.1), sx.nn.Sequential(sx.encoding.Poisson())):
        assert plan(sx.nn.Sequential(sx.nn.Flatten(), encoder, dense), 9, **many).chunk == 1
    assert plan(encoded(), 9).chunk == 9


def test_run_plans_for_the_input_that_it_is_given(monkeypatch):
    seen = []
    monkeypatch.setattr(run_module, "plan", lambda *a, static, **how: seen.append(static) or plan(*a, **how))
    net = sx.nn.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), sx.LIF())
    sx.run(net, jnp.ones((2, 4)), steps=5)
    sx.run(net, jnp.ones((5, 2, 4)))
    assert seen == [(2, 4), None]


@pytest.mark.parametrize("how", [{"steps": 0}, {"steps": 3, "chunk": 0}, {"steps": 3, "method": "fast"}], ids=str)
def test_a_refused_run_computes_nothing(how):
    net = sx.nn.Sequential(nnx.BatchNorm(3, rngs=nnx.Rngs(0)), sx.LIF())
    with pytest.raises(ValueError, match=r"`(steps|chunk|method)` must be"):
        sx.run(net, jnp.arange(6.0).reshape(2, 3), **how)
    assert not net.layers[0].mean[...].any()


def test_a_convolution_stays_out_of_loops_on_a_cpu():
    net = sx.nn.Sequential(nnx.Linear(4, 4, rngs=nnx.Rngs(0)), sx.nn.Sequential(nnx.Conv(4, 4, 3, rngs=nnx.Rngs(0))))
    assert plan(net, 50).chunk == 50
    assert "- chunk 50: layer 1.0 (Conv): in a loop XLA on CPU computes its weight gradient far" in str(plan(net, 50))
    assert net.profile("gpu").slow_in_loop is None
    assert plan(net, 50, chunk=10).chunk == 10
    assert plan(net, 100, remat=True).chunk == 10


@pytest.mark.parametrize(("steps", "chunk"), [(5000, 50), (2048, 32), (997, 32), (500, 25)])
def test_a_chunk_with_remat_divides_the_steps_where_it_can(steps, chunk):
    assert plan(sx.LIF(), steps, remat=True).chunk == chunk
