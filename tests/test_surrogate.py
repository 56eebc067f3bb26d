"""Spikes forward, a smooth derivative backward."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx
from spikejax.surrogate import ATan, Sigmoid, SurrogateFunction, heaviside

GOLDEN = np.load(Path(__file__).parent / "golden" / "spikingjelly.npz")
GRID = np.linspace(-3, 3, 61)
SURROGATES = [Sigmoid(), Sigmoid(1.5), ATan(), ATan(alpha=5.0)]

every = pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)


class Triangle(SurrogateFunction):
    width: float | jax.Array = 1.0

    def derivative(self, u):
        return jnp.maximum(0, 1 - abs(u) / self.width)


def slope(surrogate, u):
    """The derivative that reverse mode sees."""
    return jax.grad(lambda u: surrogate(u).sum())(u)


def test_every_public_surrogate_is_tested():
    public = {getattr(sx.surrogate, name) for name in sx.surrogate.__all__} - {SurrogateFunction, heaviside}
    assert {type(s) for s in SURROGATES} == public


@every
def test_derivative_is_that_of_the_primitive(surrogate):
    with jax.enable_x64(True):
        u, eps = jnp.asarray(GRID), 1e-5
        closed = surrogate.derivative(u)
        numerical = (surrogate.primitive(u + eps) - surrogate.primitive(u - eps)) / (2 * eps)
        np.testing.assert_allclose(closed, numerical, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(closed, jax.vmap(jax.grad(surrogate.primitive))(u), rtol=1e-12)


@every
def test_primitive_rises_from_0_to_1_through_a_half(surrogate):
    values = surrogate.primitive(jnp.array([-1e6, 0.0, 1e6]))
    np.testing.assert_allclose(values, [0, 0.5, 1], atol=1e-6)
    assert np.all(np.diff(surrogate.primitive(jnp.asarray(GRID))) >= 0)


@pytest.mark.parametrize("surrogate", [Sigmoid(), ATan()], ids=repr)
def test_golden_values(surrogate):
    u = jnp.asarray(GOLDEN["_inputs/surr_x"])
    golden = {key: GOLDEN[f"surrogate/{type(surrogate).__name__}/{key}"] for key in ("y", "grad", "primitive")}
    np.testing.assert_array_equal(surrogate(u), golden["y"])
    np.testing.assert_allclose(slope(surrogate, u), golden["grad"], rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(surrogate.primitive(u), golden["primitive"], rtol=2e-6, atol=1e-7)


def test_golden_gradient_of_the_default_sigmoid():
    got = slope(Sigmoid(), jnp.array([-0.1303, 0.4976, 0.3364]))
    np.testing.assert_allclose(got, [0.9351, 0.4231, 0.6557], atol=1e-4)


@pytest.mark.parametrize("surrogate", [*SURROGATES, Triangle(), Triangle(0.5)], ids=repr)
def test_spikes_forward_and_derivative_backward(surrogate):
    u = jnp.asarray(GRID, jnp.float32)
    want = surrogate.derivative(u)
    np.testing.assert_array_equal(surrogate(u), np.asarray(u) >= 0)
    np.testing.assert_array_equal(surrogate(jnp.zeros(2)), [1, 1])
    np.testing.assert_allclose(slope(surrogate, u), want, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(surrogate, (u,), (jnp.ones_like(u),))[1], want, rtol=1e-6)
    np.testing.assert_allclose(jax.linearize(surrogate, u)[1](jnp.ones_like(u)), want, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(surrogate))(u), want, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.jacfwd(surrogate)))(u), want, rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(surrogate)(u), surrogate(u))
    np.testing.assert_array_equal(jax.vmap(surrogate)(u[:, None])[:, 0], surrogate(u))


@every
def test_hessian_is_the_slope_of_the_derivative(surrogate):
    with jax.enable_x64(True):
        u = jnp.asarray(GRID)
        want = jax.vmap(jax.grad(surrogate.derivative))(u)
        np.testing.assert_allclose(jax.vmap(jax.hessian(surrogate))(u), want, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("kind", [Sigmoid, ATan])
def test_dtype_is_kept(kind, dtype):
    with jax.enable_x64(True):
        u = jnp.asarray(GRID, dtype)
        for surrogate in (kind(3.0), kind(3.0, spiking=False), kind(jnp.float32(3.0))):
            spikes, pull = jax.vjp(surrogate, u)
            assert spikes.dtype == pull(spikes)[0].dtype == dtype
        want = np.asarray(kind(3.0).derivative(jnp.asarray(GRID)))
        got = np.asarray(slope(kind(3.0), u), np.float64)
        np.testing.assert_allclose(got, want, atol=8 * float(jnp.finfo(dtype).eps))


@every
def test_not_spiking_gives_the_primitive_and_its_gradient(surrogate):
    smooth = surrogate.replace(spiking=False)
    u = jnp.asarray(GRID, jnp.float32)
    np.testing.assert_array_equal(smooth(u), surrogate.primitive(u))
    np.testing.assert_allclose(slope(smooth, u), surrogate.derivative(u), rtol=2e-6, atol=1e-7)


def test_a_derivative_alone_makes_a_surrogate():
    assert isinstance(Triangle(), sx.typing.Surrogate)
    with pytest.raises(NotImplementedError, match=r"Triangle has no primitive, so spiking=False cannot be used"):
        Triangle(spiking=False)(jnp.zeros(2))


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
@pytest.mark.parametrize("alpha", [0.0, -1, float("nan"), jnp.array([1.0, 0.0])])
def test_steepness_must_be_positive(kind, alpha):
    with pytest.raises(ValueError, match=r"`alpha` must be > 0, got"):
        kind(alpha)


def test_heaviside_has_no_gradient():
    u = jnp.asarray(GRID, jnp.float16)
    assert heaviside(u).dtype == jnp.float16
    np.testing.assert_array_equal(heaviside(u), np.asarray(u) >= 0)
    np.testing.assert_array_equal(slope(heaviside, u), 0)
