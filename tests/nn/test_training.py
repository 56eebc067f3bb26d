"""Networks in train and eval mode, through every way that Flax and JAX transform them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import spikejax as sx

T, N = 6, 4
XS = np.float32(0.5 + 1.5 * np.sin(np.arange(T * N * 36) * 1.7)).reshape(T, N, 6, 6, 1)
LABELS = np.array([0, 1, 2, 0])


def dense(rate=0.3):
    """Linear layers, statistics, random numbers, a trained time constant, a nested network; in train mode."""
    rngs = nnx.Rngs(0)
    inner = sx.nn.Sequential(nnx.BatchNorm(3, momentum=0.9, rngs=rngs), sx.LIF(tau=jnp.full(3, 3.0)))
    norm = nnx.BatchNorm(9, momentum=0.9, rngs=rngs)
    linear = (nnx.Linear(36, 9, rngs=rngs), norm, sx.ParametricLIF(), nnx.Dropout(rate, rngs=rngs))
    return sx.nn.Sequential(sx.nn.Flatten(), *linear, nnx.Linear(9, 3, rngs=rngs), inner)


def convolutional():
    rngs = nnx.Rngs(0)
    conv = (nnx.Conv(1, 3, (3, 3), use_bias=False, rngs=rngs), nnx.BatchNorm(3, momentum=0.9, rngs=rngs))
    pool = (sx.ParametricLIF(v_threshold=0.5), sx.nn.MaxPool(2), sx.nn.Flatten(), nnx.Dropout(0.3, rngs=rngs))
    return sx.nn.Sequential(*conv, *pool, nnx.Linear(27, 3, rngs=rngs), sx.LIF())


both = pytest.mark.parametrize("build", [dense, convolutional])


def loss(net, xs, **how):
    return sx.losses.cross_entropy_rate(sx.run(net, xs, **how)[1], LABELS)


def close(got, want, tolerance=5e-6):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


def plain(state):
    """An NNX state as a dict of arrays; keys as their words."""
    leaves = {path: variable[...] for path, variable in nnx.to_flat_state(state)}
    is_key = {path: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for path, leaf in leaves.items()}
    return {path: np.asarray(jax.random.key_data(a) if is_key[path] else a) for path, a in leaves.items()}


def by_nnx(net, **how):
    """Loss, gradients and variables after one forward pass in train mode, all by NNX."""
    value, grads = nnx.jit(nnx.value_and_grad(lambda net, xs: loss(net, xs, **how)))(net, XS)
    return value, plain(grads), plain(nnx.state(net))


def by_jax(net, **how):
    """The same by `nnx.split`, plain JAX and `nnx.merge`."""
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def pure(params, rest, xs):
        net = nnx.merge(graph, params, rest, copy=True)  # Flax lets only copies change under grad
        return loss(net, xs, **how), nnx.state(net)

    (value, after), grads = jax.jit(jax.value_and_grad(pure, has_aux=True))(params, rest, XS)
    return value, plain(grads), plain(after)


@pytest.fixture(scope="module")
def chunked():
    return by_nnx(dense(), chunk=2)


def test_nnx_and_plain_jax_agree(chunked):
    close(by_jax(dense(), chunk=2), chunked)


def test_remat_keeps_statistics_and_random_numbers(chunked):
    close(by_nnx(dense(), chunk=2, remat=True), chunked)


def test_gradients_reach_every_parameter(chunked):
    grads = {".".join(str(part) for part in path if part != "layers"): grad for path, grad in chunked[1].items()}
    assert {"1.kernel", "3.w", "5.bias", "6.0.scale", "6.1.tau"} < set(grads)
    assert all(np.any(grad != 0) for grad in grads.values())


@both
def test_a_pass_in_train_mode_changes_statistics_and_random_streams_only(build):
    net = build()
    before = plain(nnx.state(net))
    nnx.jit(lambda net: sx.run(net, XS, chunk=2)[1])(net)
    after = plain(nnx.state(net))
    assert {path[-1] for path in after if not np.array_equal(after[path], before[path])} == {"mean", "var", "count"}


@pytest.mark.parametrize("chunk", [None, 4, 1])
def test_statistics_are_taken_over_a_chunk(chunk):
    norm, alone = (nnx.BatchNorm(6, momentum=0.9, rngs=nnx.Rngs(0)) for _ in range(2))
    xs = XS[..., 0, 0]
    _, ys = sx.run(sx.nn.Sequential(norm, sx.IF()), xs, chunk=chunk)
    parts = [xs[start : start + (chunk or T)] for start in range(0, T, chunk or T)]
    _, want = sx.run(sx.IF(), np.concatenate([alone(part.reshape(-1, 6)).reshape(part.shape) for part in parts]))
    np.testing.assert_array_equal(ys, want)
    close(plain(nnx.state(norm)), plain(nnx.state(alone)))


@both
def test_eval_mode_changes_nothing_and_does_not_depend_on_the_chunk(build):
    net = build()
    net.eval()
    before = plain(nnx.state(net))
    _, want = nnx.jit(sx.run)(net, XS)
    _, ys = jax.jit(lambda xs: sx.run(net, xs, chunk=4))(XS)
    np.testing.assert_allclose(ys, want, atol=1e-6)
    graph, state = nnx.split(net)
    _, ys = jax.jit(lambda state, xs: sx.run(nnx.merge(graph, state), xs))(state, XS)
    np.testing.assert_allclose(ys, want, atol=1e-6)
    close(plain(nnx.state(net)), before, 0)


def test_dropout_draws_anew_in_train_mode_only():
    net = sx.nn.Sequential(nnx.Dropout(0.5, rngs=nnx.Rngs(0)), sx.LeakyIntegrator())
    xs = jnp.ones((T, N, 50))
    net.train()
    _, first = sx.run(net, xs, chunk=2)
    _, second = sx.run(net, xs, chunk=2)
    assert not np.array_equal(first, second)
    net.eval()
    np.testing.assert_array_equal(sx.run(net, xs)[1], sx.run(sx.LeakyIntegrator(), xs)[1])


def test_dropout_draws_anew_in_every_chunk():
    net = sx.nn.Sequential(nnx.Dropout(0.5, rngs=nnx.Rngs(0)), sx.IF(v_threshold=2.0))
    _, spikes = sx.run(net, jnp.ones((2, 1, 200)), chunk=1)
    # A kept input is 2, which fires at once; with the same mask at both steps the spikes would be equal.
    assert 60 < np.sum(spikes[0] != spikes[1]) < 140


def test_statistics_of_a_static_prefix_are_updated_once():
    net = sx.nn.Sequential(nnx.BatchNorm(3, momentum=0.9, rngs=nnx.Rngs(0)), sx.IF())
    x = np.float32(np.arange(12).reshape(4, 3))
    sx.run(net, x, steps=5, chunk=1)
    np.testing.assert_allclose(net[0].mean[...], 0.1 * x.mean(0), rtol=1e-6)


def test_statistics_after_a_cell_are_written_back_with_static_input():
    net = sx.nn.Sequential(lambda x: x, sx.LeakyIntegrator(), nnx.BatchNorm(3, momentum=0.9, rngs=nnx.Rngs(0)))
    x = np.float32(np.arange(12).reshape(4, 3))
    _, membranes = sx.run(sx.LeakyIntegrator(), x, steps=5)
    sx.run(net, x, steps=5)
    np.testing.assert_allclose(net[2].mean[...], 0.1 * membranes.mean((0, 1)), rtol=1e-5)


def test_an_optimizer_trains_weights_and_time_constants():
    net = dense(rate=0.0)
    optimizer = nnx.Optimizer(net, optax.sgd(0.5), wrt=nnx.Param)
    before = plain(nnx.state(net, nnx.Param))

    @nnx.jit
    def update(net, optimizer):
        value, grads = nnx.value_and_grad(lambda net: loss(net, XS))(net)
        optimizer.update(net, grads)
        return value

    values = [float(update(net, optimizer)) for _ in range(15)]
    assert values[-1] < values[0] - 0.05
    after = plain(nnx.state(net, nnx.Param))
    assert all(not np.array_equal(after[path], before[path]) for path in before)
    assert isinstance(net[3], sx.ParametricLIF)
    np.testing.assert_array_equal(net[3].w, after["layers", 3, "w"])


def test_array_fields_are_parameters_and_constants_are_not():
    params = nnx.state(dense(), nnx.Param)
    assert params["layers"][3]["w"].shape == ()
    assert params["layers"][6]["layers"][1]["tau"].shape == (3,)
    assert jax.tree.leaves(nnx.state(sx.nn.Sequential(sx.LIF(), sx.IF()))) == []


def test_no_state_is_kept_between_runs():
    net = dense()
    net.eval()
    close(sx.run(net, XS), sx.run(net, XS), 0)
    _, other = sx.run(net, XS[:, :1])
    assert other.shape == (T, 1, 3)
