"""The stateless layers, against NumPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.nn import AvgPool, Delay, Flatten, MaxPool, Scale, Sequential, SumPool, Voting

IMAGE = np.arange(2 * 6 * 4 * 3, dtype=np.float32).reshape(2, 6, 4, 3) % 7


def windows(x, height, width):
    """`x` `[N, H, W, C]` as `[N, H / height, height, W / width, width, C]`."""
    n, h, w, c = x.shape
    return x.reshape(n, h // height, height, w // width, width, c)


def test_flatten_keeps_the_batch():
    np.testing.assert_array_equal(Flatten()(IMAGE), IMAGE.reshape(2, 72))
    assert Flatten()(jnp.ones((5,))).shape == (5, 1)
    assert Flatten()(jnp.ones((0, 3, 4))).shape == (0, 12)


@pytest.mark.parametrize(("window", "shape"), [(2, (2, 2)), ((3, 2), (3, 2)), ((1, 4), (1, 4))])
def test_pools_of_images(window, shape):
    np.testing.assert_array_equal(MaxPool(window)(IMAGE), windows(IMAGE, *shape).max((2, 4)))
    np.testing.assert_allclose(AvgPool(window)(IMAGE), windows(IMAGE, *shape).mean((2, 4)), rtol=1e-6)


def test_strides_and_padding():
    row = jnp.array([1.0, 5.0, 2.0, 4.0, 3.0]).reshape(1, 5, 1)
    np.testing.assert_array_equal(MaxPool(3, strides=1)(row)[0, :, 0], [5, 5, 4])
    np.testing.assert_array_equal(MaxPool(2, strides=3)(row)[0, :, 0], [5, 4])
    np.testing.assert_array_equal(MaxPool(3, strides=1, padding="SAME")(row)[0, :, 0], [5, 5, 5, 4, 4])
    np.testing.assert_allclose(AvgPool(2, strides=1)(row)[0, :, 0], [3, 3.5, 3, 3.5])
    assert AvgPool(2, padding="SAME")(row).shape == (1, 3, 1)


@pytest.mark.parametrize("pool", [MaxPool(2), AvgPool(2)])
@pytest.mark.parametrize("space", [(4,), (4, 6), (4, 6, 2)])
def test_pools_of_any_number_of_space_axes(pool, space):
    assert pool(jnp.ones((5, *space, 3))).shape == (5, *(n // 2 for n in space), 3)


@pytest.mark.parametrize("pool", [MaxPool, AvgPool])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, r"`window` must be >= 1 in every axis, got 0"),
        ({"window": (2, 0)}, r"`window` must be >= 1 in every axis, got \(2, 0\)"),
        ({"window": 2, "strides": 0}, r"`strides` must be >= 1 in every axis, got 0"),
        ({"window": 2, "padding": "valid"}, r"`padding` must be 'VALID', 'SAME' or a pair .*, got 'valid'"),
    ],
)
def test_bad_pools(pool, arguments, message):
    with pytest.raises(ValueError, match=message):
        pool(**arguments)


@pytest.mark.parametrize("pool", [MaxPool, AvgPool])
def test_a_pool_of_other_axes_is_refused(pool):
    with pytest.raises(
        ValueError, match=r"`window` \(2, 2, 2\) .* must have 2 axes for an input of shape \(2, 6, 4, 3\)"
    ):
        pool((2, 2, 2))(IMAGE)
    with pytest.raises(ValueError, match=r"`strides` \(1,\) must have 2 axes"):
        pool(2, strides=(1,))(IMAGE)


def test_voting_is_the_mean_of_groups():
    x = np.arange(2 * 12, dtype=np.float32).reshape(2, 12)
    np.testing.assert_allclose(Voting(4)(x), x.reshape(2, 3, 4).mean(-1))
    assert Voting()(jnp.ones((3, 110))).shape == (3, 11)
    np.testing.assert_array_equal(Voting(1)(x), x)
    with pytest.raises(ValueError, match=r"the last axis of \(2, 12\) must be a multiple of `voters` = 5"):
        Voting(5)(x)
    with pytest.raises(ValueError, match=r"`voters` must be an integer >= 1, got 0"):
        Voting(0)


def test_golden_values():
    golden = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")
    xs = golden["_inputs/x"][:, None]
    np.testing.assert_allclose(sx.run(Sequential(Voting(2)), xs)[1], golden["layer/Voting2/y"], rtol=1e-6)
    np.testing.assert_array_equal(sx.run(Delay(2), xs, chunk=3)[1][:, 0], golden["layer/Delay2/y"])


def test_scale_is_a_factor_and_a_parameter():
    np.testing.assert_array_equal(Scale(jnp.array([1.0, 2.0, 0.5]))(IMAGE), IMAGE * [1.0, 2.0, 0.5])
    net = sx.nn.Sequential(Scale(3), sx.IF())
    assert [leaf.shape for leaf in jax.tree.leaves(nnx.state(net, nnx.Param))] == [()]
    assert sx.run(net, jnp.full((2, 1, 4), 0.5))[1].sum() == 8
    with pytest.raises(ValueError, match="`scale` must be finite, got nan"):
        Scale(float("nan"))
    with pytest.raises(ValueError, match=r"`scale` of shape \(2, 3\) does not broadcast to an input of \(1, 3\)"):
        Scale(np.ones((2, 3)))(jnp.ones((1, 3)))


def test_layers_work_over_time():
    rngs = nnx.Rngs(0)
    conv = nnx.Conv(3, 4, (3, 3), rngs=rngs)
    net = sx.nn.Sequential(conv, sx.IF(), MaxPool(2), AvgPool((3, 2)), Flatten(), Voting(2))
    xs = jnp.stack([IMAGE, -IMAGE, IMAGE + 1])
    _, ys = sx.run(net, xs)
    state = net.init_state(IMAGE.shape)
    for x, y in zip(xs, ys, strict=True):
        state, want = net.step(state, x)
        np.testing.assert_allclose(y, want, rtol=1e-6)
    assert ys.shape == (3, 2, 2)


def test_sums_of_windows_and_explicit_padding():
    np.testing.assert_allclose(SumPool((2, 2))(IMAGE), windows(IMAGE, 2, 2).sum((2, 4)), rtol=1e-6)
    for pool, way, fill in ((SumPool, np.sum, 0), (AvgPool, np.mean, 0), (MaxPool, np.max, -np.inf)):
        padded = np.pad(IMAGE, ((0, 0), (1, 1), (0, 2), (0, 0)), constant_values=fill)
        got = pool(2, padding=((1, 1), (0, 2)))(IMAGE)
        np.testing.assert_allclose(got, way(windows(padded, 2, 2), axis=(2, 4)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"`padding` must be 'VALID', 'SAME' or a pair \(low, high\) an axis"):
        SumPool(2, padding=(1, 1))


@pytest.mark.parametrize("kind", [sx.nn.MaxPool, sx.nn.AvgPool, sx.nn.SumPool])
@pytest.mark.parametrize(
    ("size", "options"), [(11, {}), (11, {"padding": ((0, 0), (1, 1))}), (10, {"window": 3})], ids=str
)
def test_compiled_after_a_reshape_pools_leave_the_rest_over(kind, size, options):
    """As in a network over time. XLA of JAX 0.10.1 alone computes other values here on CPU."""
    pool = kind(**{"window": 2} | options)
    xs = np.float32(np.random.default_rng(0).random((50, 8, size, size, 8)))
    over_time = lambda xs: pool(xs.reshape(-1, *xs.shape[2:]))  # noqa: E731
    np.testing.assert_allclose(jax.jit(over_time)(xs), over_time(jnp.asarray(xs)), rtol=1e-5)
