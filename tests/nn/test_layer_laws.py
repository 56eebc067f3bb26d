"""The laws that every layer over time keeps, whatever the chunk and the transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.nn.layer_cases import CASES, N, T, inputs, network

import spikejax as sx
from spikejax import nn

close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)  # noqa: E731
modes = pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
FILES = "attention dropout neunorm norms self_attention shapes standardized"


def test_every_layer_is_tested():
    modules = {f"spikejax.nn.{name}" for name in FILES.split()}
    layers = {name for name in nn.__all__ if getattr(nn, name).__module__ in modules}
    assert layers == {"Activity", "Mask", *CASES}


def every_way(graph, params, rest, state, xs, chunks):
    """Outputs, last states, statistics and gradients by every chunk; then vmapped, step by step and of static input."""

    def out(params, xs, **how):
        net = nnx.merge(graph, params, rest, copy=True)
        last, ys = sx.run(net, xs, state, **how)
        return ys, last, nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))

    def loss(params, xs, chunk):
        ys, *others = out(params, xs, chunk=chunk)
        return jnp.sum(ys * jnp.cos(jnp.arange(ys.size)).reshape(ys.shape)), (ys, *others)

    by_chunk = [jax.grad(loss, (0, 1), has_aux=True)(params, xs, chunk) for chunk in chunks]
    still = jnp.broadcast_to(xs[0], xs.shape)
    repeated, several = jax.vmap(lambda xs: out(params, xs)[0])(jnp.stack([still, xs]))
    static = out(params, xs[0], steps=T, chunk=chunks[-1])[0], repeated
    net, stepped = nnx.merge(graph, params, rest, copy=True), []
    for x in xs[:2] if chunks[1:] else ():
        state, y = net.step(state, x)
        stepped.append(y)
    return by_chunk, several, static, jnp.stack(stepped) if stepped else None


@pytest.mark.parametrize(
    ("case", "train"),
    [(case, train) for case in CASES.values() for train in (False, True) if not (case.slow and train)],
    ids=[f"{name}-{mode}" for name, case in CASES.items() for mode in ("eval", "train")[: 1 if case.slow else 2]],
)
def test_laws(case, train, key):
    chunks = (T, 4) if case.slow else (T, 1, 4)
    if case.chunks == "whole" or (case.chunks == "any in eval" and train):
        chunks = (T,)
    net, xs = network(case, train), inputs(case)
    state = net.init_state(xs.shape[1:], key=key if case.key and train else None)
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    law = jax.jit(lambda *given: every_way(graph, *given, xs, chunks))
    (want, *others), several, (static, repeated), stepped = law(params, rest, state)
    _, (ys, *_) = want
    assert ys.shape[:2] == (T, N) and np.isfinite(ys).all() and np.std(ys) > 0
    sizes = [np.abs(leaf).max() for leaf in jax.tree.leaves(want[0])]
    assert all(np.isfinite(sizes)) and (max(sizes) > 0)
    if case.chunks != "any in eval" or not train:
        for other in others:
            jax.tree.map(close, other, want)
    close(several, ys)
    close(static, repeated)
    if stepped is not None and (case.chunks == "any" or not train):
        close(stepped, ys[:2])
    reason = net.profile("cpu").whole
    assert bool(reason) == (case.chunks == "whole" or (case.chunks == "any in eval" and train))


@pytest.mark.parametrize(
    "name", ["BatchNormThroughTime", "TemporalEffectiveBatchNorm", "NeuNorm", "TimeInvariantDropout"]
)
def test_lengths(name, key):
    case = CASES[name]
    net, xs = network(case, name == "BatchNormThroughTime"), inputs(case)  # whose statistics may change in a chunk
    state = net.init_state(xs.shape[1:], key=key)
    _, want = sx.run(net, xs, state)
    last, ys = sx.run(net, xs, state, lengths=np.array([T, 2]), chunk=4)
    close(ys[:, 0], want[:, 0])
    close(ys[:2, 1], want[:2, 1])
    close(ys[2:, 1], jnp.broadcast_to(want[1, 1], ys[2:, 1].shape))
    close(last[1].v[1], want[1, 1])


@pytest.mark.parametrize("name", ["TemporalAttention", "MultiDimensionalAttention"])
def test_all_steps_at_once_or_an_error(name):
    case = CASES[name]
    net, xs = network(case, True), inputs(case)
    for how in ({"chunk": 1}, {"chunk": 4}):
        with pytest.raises(
            ValueError, match=rf"{name} weighs the T = 6 steps it was built for .* in one chunk, with chunk=None"
        ):
            sx.run(net, xs, **how)
    with pytest.raises(ValueError, match=f"{name} cannot take a single step"):
        net[0].step((), xs[0])
    assert f"{name} weighs the T = 6 steps" in net.profile("cpu").whole


@pytest.mark.parametrize("name", ["BatchNormThroughTime", "TemporalEffectiveBatchNorm"])
@modes
def test_no_more_steps_than_parameters(name, train):
    case = CASES[name]
    net, xs = network(case, train), inputs(case)
    long = jnp.concatenate([xs, xs])
    for how in ({}, {"chunk": 1}):
        with pytest.raises(
            ValueError, match=rf"{name} has parameters for T = [67] steps, got 12: .* build it with T=12"
        ):
            sx.run(net, long, **how)
    state, _ = sx.run(net, xs)
    with pytest.raises(ValueError, match=r"`state.t` must be <= .* begin a new sequence with init_state"):
        sx.run(net, xs, state)
    graph, variables = nnx.split(net)
    # Where it cannot be seen:
    ys = jax.jit(lambda state: sx.run(nnx.merge(graph, variables, copy=True), xs, state)[1])(state)
    assert np.isnan(ys[-1]).all()
