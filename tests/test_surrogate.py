"""Spikes forward, a smooth derivative backward."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax.surrogate import (
    S2NN,
    ATan,
    FakeNumericalGradient,
    MultiLevelSpikeCount,
    PiecewiseLeakyReLU,
    Sigmoid,
    SurrogateFunction,
    by_name,
    heaviside,
)
from spikejax.typing import Surrogate

GOLDEN = np.load(Path(__file__).parent / "golden" / "spikingjelly.npz")
GRID = np.linspace(-2.97, 3.03, 61)  # without 0 and the corners of the piecewise ones
SURROGATES = [
    Sigmoid(),
    Sigmoid(1.5),
    ATan(),
    ATan(alpha=5.0),
    sx.surrogate.SoftSign(),
    sx.surrogate.SuperSpike(),
    sx.surrogate.SuperSpike(10.0),
    sx.surrogate.Erf(),
    sx.surrogate.PiecewiseExp(),
    sx.surrogate.QPseudoSpike(),
    sx.surrogate.QPseudoSpike(3.0),
    sx.surrogate.PiecewiseQuadratic(),
    sx.surrogate.PiecewiseQuadratic(0.7),
    sx.surrogate.Triangle(),
    sx.surrogate.Rect(),
    sx.surrogate.Rect(0.3),
    PiecewiseLeakyReLU(),
    PiecewiseLeakyReLU(w=0.4, c=0.1),
    sx.surrogate.LeakyKReLU(),
    sx.surrogate.LeakyKReLU(leak=0.2, k=0.7),
    sx.surrogate.LogTailedReLU(),
    sx.surrogate.LogTailedReLU(0.1),
    sx.surrogate.DeterministicPass(),
    sx.surrogate.NonzeroSignLogAbs(),
    sx.surrogate.SquarewaveFourierSeries(),
    sx.surrogate.SquarewaveFourierSeries(n=4, period=6.0),
    S2NN(),
    S2NN(alpha=2.0, beta=0.5),
    FakeNumericalGradient(),
    MultiLevelSpikeCount(),
    MultiLevelSpikeCount(max_count=2),
]
BOUNDED = ("Sigmoid", "ATan", "SoftSign", "Erf", "PiecewiseExp", "QPseudoSpike", "PiecewiseQuadratic", "Rect")
COUNTING = [s for s in SURROGATES if isinstance(s, MultiLevelSpikeCount)]
WITH_PRIMITIVE = [s for s in SURROGATES if not isinstance(s, FakeNumericalGradient)]

every = pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
with_primitive = pytest.mark.parametrize("surrogate", WITH_PRIMITIVE, ids=repr)


class Hat(SurrogateFunction):
    width: float | jax.Array = 1.0

    def derivative(self, u):
        return jnp.maximum(0, 1 - abs(u) / self.width)


def slope(surrogate, u):
    """The derivative that reverse mode sees."""
    return jax.grad(lambda u: surrogate(u).sum())(u)


PUBLIC = {getattr(sx.surrogate, name) for name in sx.surrogate.__all__} - {SurrogateFunction, heaviside, by_name}


def test_every_public_surrogate_is_tested():
    assert {type(s) for s in SURROGATES} == PUBLIC


@pytest.mark.parametrize("kind", sorted(PUBLIC, key=repr))
def test_every_surrogate_says_its_derivative_and_primitive(kind):
    assert "        derivative(u) " in kind.__doc__
    assert ("        primitive(u) " in kind.__doc__) == (kind is not FakeNumericalGradient)


@every
def test_shape_parameters_may_be_arrays(surrogate):
    """One a neuron: each is what it would be alone, and is trained through the primitive."""
    u = jnp.asarray(np.stack((GRID, GRID), 1), jnp.float32)
    names = [name for name, value in vars(surrogate).items() if isinstance(value, float)]
    alone = [surrogate.replace(**{name: by * getattr(surrogate, name) for name in names}) for by in (1.0, 1.3)]
    both = surrogate.replace(**{name: jnp.array([getattr(one, name) for one in alone]) for name in names})
    smooth = [surrogate.primitive] if surrogate in WITH_PRIMITIVE else []
    for name in (f.__name__ for f in (surrogate.derivative, *smooth)):
        want = jnp.stack([getattr(one, name)(u[:, i]) for i, one in enumerate(alone)], 1)
        np.testing.assert_allclose(getattr(both, name)(u), want, rtol=2e-6, atol=2e-7)
    assert eval(repr(both), vars(sx.surrogate) | {"jnp": jnp}) == both
    if smooth:
        grads = jax.grad(lambda surrogate: jnp.sum(jnp.exp(u) * surrogate(u)))(both.replace(spiking=False))
        assert all(np.all(leaf != 0) for leaf in jax.tree.leaves(grads))


@with_primitive
def test_derivative_is_that_of_the_primitive(surrogate):
    with jax.enable_x64(True):
        u, eps = jnp.asarray(GRID), 1e-5
        closed = surrogate.derivative(u)
        numerical = (surrogate.primitive(u + eps) - surrogate.primitive(u - eps)) / (2 * eps)
        np.testing.assert_allclose(closed, numerical, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(closed, jax.vmap(jax.grad(surrogate.primitive))(u), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("surrogate", [s for s in SURROGATES if type(s).__name__ in BOUNDED], ids=repr)
def test_primitive_rises_from_0_to_1_through_a_half(surrogate):
    values = surrogate.primitive(jnp.array([-1e6, 0.0, 1e6]))
    np.testing.assert_allclose(values, [0, 0.5, 1], atol=1e-6)
    assert np.all(np.diff(surrogate.primitive(jnp.asarray(GRID))) >= 0)


GOLDEN_NAMES = sorted({key.split("/")[1] for key in GOLDEN.files if key.startswith("surrogate/")})


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_values(name):
    surrogate = by_name(name.removesuffix("4"))
    own = f"surrogate/{name}"
    u = jnp.asarray(GOLDEN[f"{own}/x"] if f"{own}/x" in GOLDEN else GOLDEN["_inputs/surr_x"])
    np.testing.assert_array_equal(surrogate(u), GOLDEN[f"{own}/y"])
    np.testing.assert_allclose(slope(surrogate, u), GOLDEN[f"{own}/grad"], rtol=2e-6, atol=1e-7)
    if f"{own}/primitive" in GOLDEN:
        # The golden S2NN adds 1e-5 inside its logarithm, which moves the primitive and not the derivative.
        tolerance = 1.1e-5 if name == "S2NN" else 1e-7
        np.testing.assert_allclose(surrogate.primitive(u), GOLDEN[f"{own}/primitive"], rtol=2e-6, atol=tolerance)


def test_golden_gradient_of_the_default_sigmoid():
    got = slope(Sigmoid(), jnp.array([-0.1303, 0.4976, 0.3364]))
    np.testing.assert_allclose(got, [0.9351, 0.4231, 0.6557], atol=1e-4)


@pytest.mark.parametrize("surrogate", [*(s for s in SURROGATES if s not in COUNTING), Hat(), Hat(0.5)], ids=repr)
def test_spikes_forward_and_derivative_backward(surrogate):
    u = jnp.asarray(GRID, jnp.float32)
    want = surrogate.derivative(u)
    np.testing.assert_array_equal(surrogate(u), np.asarray(u) >= 0)
    np.testing.assert_array_equal(surrogate(jnp.zeros(2)), [1, 1])
    np.testing.assert_allclose(slope(surrogate, u), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jvp(surrogate, (u,), (jnp.ones_like(u),))[1], want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.linearize(surrogate, u)[1](jnp.ones_like(u)), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(surrogate))(u), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.jacfwd(surrogate)))(u), want, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(jax.jit(surrogate)(u), surrogate(u))
    np.testing.assert_array_equal(jax.vmap(surrogate)(u[:, None])[:, 0], surrogate(u))


def test_counts_are_rounded_and_bounded():
    u = jnp.array([-1.0, 0.4, 0.6, 1.7, 3.2, 9.0])
    np.testing.assert_array_equal(MultiLevelSpikeCount()(u), [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(slope(MultiLevelSpikeCount(window=(0.5, 2.0)), u), [0, 0, 1, 1, 0, 0])
    with pytest.raises(ValueError, match="`max_count` must be an integer >= 1, got 0"):
        MultiLevelSpikeCount(max_count=0)
    with pytest.raises(ValueError, match="`window` must be in order"):
        MultiLevelSpikeCount(window=(2.0, 1.0))


@pytest.mark.parametrize("name", ["atan", "ATan", "a_tan"])
def test_by_name_takes_class_names_and_snake_case(name):
    assert by_name(name, alpha=3.0) == ATan(3.0)


def test_by_name_knows_every_public_surrogate():
    for surrogate in SURROGATES:
        assert isinstance(by_name(type(surrogate).__name__), type(surrogate))
    with pytest.raises(ValueError, match=r"`name` must be a surrogate, got 'tanh': choose from ATan, .*Triangle"):
        by_name("tanh")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sx.surrogate.QPseudoSpike(1.0), "`alpha` must be > 1, got 1.0"),
        (lambda: PiecewiseLeakyReLU(w=0.0), "`w` must be > 0, got 0.0"),
        (lambda: PiecewiseLeakyReLU(c=-1.0), "`c` must be >= 0, got -1.0"),
        (lambda: sx.surrogate.SquarewaveFourierSeries(n=1), "`n` must be an integer >= 2, got 1"),
        (lambda: sx.surrogate.SquarewaveFourierSeries(period=0.0), "`period` must be > 0, got 0.0"),
        (lambda: sx.surrogate.Triangle(gamma=0.0), "`gamma` must be > 0, got 0.0"),
        (lambda: S2NN(beta=0.0), "`beta` must be > 0, got 0.0"),
        (lambda: sx.surrogate.LeakyKReLU(k=float("nan")), "`k` must be finite, got nan"),
        (lambda: sx.surrogate.LogTailedReLU(float("inf")), "`alpha` must be finite, got inf"),
        (lambda: MultiLevelSpikeCount(max_count=True), "`max_count` must be an integer >= 1, got True"),
    ],
)
def test_shape_parameters_out_of_range(build, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build()


@pytest.mark.parametrize("window", [(1.0,), (0.0, 1.0, 2.0), 2.0])
def test_a_window_is_a_pair(window):
    with pytest.raises(TypeError, match=r"`window` must be a pair \(lowest, highest\)"):
        MultiLevelSpikeCount(window=window)


@every
def test_hessian_is_the_slope_of_the_derivative(surrogate):
    with jax.enable_x64(True):
        u = jnp.asarray(GRID)
        want = jax.vmap(jax.grad(surrogate.derivative))(u)
        np.testing.assert_allclose(jax.vmap(jax.hessian(surrogate))(u), want, atol=1e-12)


ONE_A_CLASS = list({type(s): s for s in SURROGATES}.values())


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float64])
@pytest.mark.parametrize("surrogate", ONE_A_CLASS, ids=repr)
def test_dtype_is_kept(surrogate, dtype):
    with jax.enable_x64(True):
        u = jnp.asarray(GRID, dtype)
        arrays = jax.tree.map(jnp.float32, {k: v for k, v in vars(surrogate).items() if isinstance(v, float)})
        variants = [surrogate, surrogate.replace(**arrays)]
        if surrogate in WITH_PRIMITIVE:
            variants.append(surrogate.replace(spiking=False))
        for variant in variants:
            spikes, slopes = jax.eval_shape(lambda u, variant=variant: jax.jvp(variant, (u,), (u,)), u)
            assert spikes.dtype == slopes.dtype == dtype
        want = np.asarray(surrogate.derivative(u.astype(jnp.float64)))
        got = np.asarray(slope(surrogate, u), np.float64)
        np.testing.assert_allclose(got, want, atol=16 * float(jnp.finfo(dtype).eps))


@with_primitive
def test_not_spiking_gives_the_primitive_and_its_gradient(surrogate):
    smooth = surrogate.replace(spiking=False)
    u = jnp.asarray(GRID, jnp.float32)
    np.testing.assert_array_equal(smooth(u), surrogate.primitive(u))
    np.testing.assert_allclose(slope(smooth, u), surrogate.derivative(u), rtol=2e-6, atol=1e-6)


def test_a_derivative_alone_makes_a_surrogate():
    assert isinstance(Hat(), Surrogate)
    with pytest.raises(NotImplementedError, match=r"Hat has no primitive, so spiking=False cannot be used"):
        Hat(spiking=False)(jnp.zeros(2))


def test_a_surrogate_without_derivative_says_so():
    class Empty(SurrogateFunction):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define `derivative\(self, u\)`"):
        jax.grad(Empty())(0.5)


def test_steepness_is_not_trained_through_spikes():
    def loss(surrogate):
        return surrogate(jnp.asarray(GRID)).sum()

    assert jax.grad(loss)(Sigmoid(jnp.array(4.0))).alpha == 0
    assert jax.grad(loss)(Sigmoid(jnp.array(4.0), spiking=False)).alpha != 0


@pytest.mark.parametrize("u", [jnp.arange(3), jnp.array([True]), 1, np.arange(3)])
def test_integer_input_is_refused(u):
    with pytest.raises(TypeError, match=r"`u` must be floating point, got .*: convert it"):
        Sigmoid()(u)


@pytest.mark.parametrize("kind", [Sigmoid, ATan])
@pytest.mark.parametrize("alpha", [0.0, -1, float("nan"), float("inf"), jnp.array([1.0, 0.0])])
def test_steepness_must_be_positive(kind, alpha):
    with pytest.raises(ValueError, match=r"`alpha` must be (> 0|finite), got"):
        kind(alpha)


def test_heaviside_has_no_gradient():
    u = jnp.asarray(GRID, jnp.float16)
    assert heaviside(u).dtype == jnp.float16
    np.testing.assert_array_equal(heaviside(u), np.asarray(u) >= 0)
    np.testing.assert_array_equal(slope(heaviside, u), 0)
