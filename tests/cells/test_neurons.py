"""Construction of the neurons, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sx.LIF(tau=1.0), r"`tau` must be > 1, got 1.0"),
        (lambda: sx.LIF(tau=-2), r"`tau` must be > 1, got -2"),
        (lambda: sx.LIF(tau=NAN), r"`tau` must be > 1, got nan"),
        (lambda: sx.LIF(tau=jnp.array([2.0, 0.5])), r"`tau` must be > 1, got values from 0.5 to 2.0"),
        (lambda: sx.LIF(tau=2.0).replace(tau=0.5), r"`tau` must be > 1, got 0.5"),
        (lambda: sx.LeakyIntegrator(tau=1.0), r"`tau` must be > 1, got 1.0"),
        (lambda: sx.ParametricLIF(init_tau=1.0), r"`init_tau` must be > 1, got 1.0"),
        (
            lambda: sx.ParametricLIF(init_tau=np.array([3.0, 1.0])),
            r"`init_tau` must be > 1, got values from 1.0",
        ),
        (lambda: sx.IF(v_threshold=NAN), r"`v_threshold` must be finite, got nan"),
        (lambda: sx.IF(v_threshold=INF), r"`v_threshold` must be finite, got inf"),
        (
            lambda: sx.IF(v_reset=NAN),
            r"`v_reset` must be finite, got nan: use v_reset=None for the soft reset",
        ),
        (lambda: sx.IF(v_reset=1.0), r"`v_reset` must be < v_threshold = 1.0, got 1.0"),
        (lambda: sx.IF(v_threshold=-1.0), r"`v_reset` must be < v_threshold = -1.0, got 0.0"),
        (lambda: sx.IF(v_threshold=jnp.array([1.0, -1.0])), r"`v_reset` must be < v_threshold = .*, got 0.0"),
    ],
)
def test_values_out_of_range_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: sx.LIF(tau=[2.0, 3.0]), r"`tau` must be a number or an array, got list .*use jnp.array"),
        (lambda: sx.LIF(tau=(2.0, 3.0)), r"`tau` must be a number or an array, got tuple .*use jnp.array"),
        (lambda: sx.LIF(tau="2"), r"`tau` must be a number or an array, got str '2'"),
        (lambda: sx.IF(surrogate=sx.surrogate.ATan), r"`surrogate` must be an object such as"),
        (lambda: sx.IF(surrogate=None), r"`surrogate` must be an object such as"),
        (lambda: sx.LIF(2.0), r"positional argument"),
        (lambda: sx.IF(tau=2.0), r"unexpected keyword argument 'tau'"),
        (lambda: sx.IF().replace(tau=2.0), r"IF has no field `tau`: its fields are v_threshold, v_reset"),
    ],
)
def test_values_of_a_wrong_kind_are_refused(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_a_traced_parameter_is_not_validated():
    xs = jnp.ones((3, 2, 4))
    jax.jit(lambda tau: sx.run(sx.LIF(tau=tau), xs))(0.5)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (sx.LIF(tau=jnp.full(5, 2.0)), r"`tau` has shape \(5,\), which does not broadcast to .* \(2, 4\)"),
        (sx.LIF(tau=jnp.full((2, 2, 4), 2.0)), r"`tau` has shape \(2, 2, 4\), which does not broadcast"),
        (sx.IF(v_threshold=jnp.ones(2)), r"`v_threshold` has shape \(2,\)"),
        (sx.ParametricLIF(init_tau=jnp.full(3, 2.0)), r"`w` has shape \(3,\)"),
        (sx.LeakyIntegrator(tau=jnp.full(3, 2.0)), r"`tau` has shape \(3,\)"),
        (sx.IF(surrogate=sx.surrogate.ATan(jnp.ones(3))), r"`surrogate.alpha` has shape \(3,\)"),
    ],
)
def test_a_parameter_of_other_neurons_is_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        cell.init_state((2, 4))
    with pytest.raises(ValueError, match=message):
        sx.run(cell, jnp.ones((3, 2, 4)))
    with pytest.raises(ValueError, match=message):
        cell.step(sx.cells.Membrane(jnp.zeros((2, 4))), jnp.ones((2, 4)))


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (4,), (2, 4, 1), ()])
@pytest.mark.parametrize("cell", [sx.IF(), sx.LIF(), sx.LeakyIntegrator()], ids=lambda cell: type(cell).__name__)
def test_step_refuses_an_input_of_another_shape(cell, shape):
    with pytest.raises(ValueError, match=r"`x` has shape .*, but the state was made for \(2, 4\)"):
        cell.step(cell.init_state((2, 4)), jnp.ones(shape))


@pytest.mark.parametrize(
    ("cell", "v"),
    [
        (sx.IF(), 0.0),
        (sx.LIF(v_reset=-0.25), -0.25),
        (sx.IF(v_reset=None), 0.0),
        (sx.LIF(v_reset=jnp.array([0.1, 0.2])), [0.1, 0.2]),
        (sx.LeakyIntegrator(), 0.0),
    ],
)
def test_membranes_start_at_rest(cell, v):
    state = cell.init_state((3, 2), jnp.float16)
    np.testing.assert_array_equal(state.v, np.broadcast_to(np.float16(v), (3, 2)))


def test_a_neuron_fires_at_its_threshold():
    state, spikes = sx.IF().step(sx.cells.Membrane(jnp.zeros(3)), jnp.array([0.999, 1.0, 1.001]))
    np.testing.assert_array_equal(spikes, [0, 1, 1])
    np.testing.assert_allclose(state.v, [0.999, 0, 0])


def test_integer_input_gives_spikes_in_the_dtype_of_the_state():
    _, spikes = sx.IF().step(sx.IF().init_state((3,)), jnp.array([0, 1, 2]))
    assert spikes.dtype == jnp.float32
    np.testing.assert_array_equal(spikes, [0, 1, 1])


def test_numpy_states_are_welcome():
    state = sx.cells.Membrane(np.zeros((2, 4)))
    for chunk in (1, 3):
        after, _ = sx.run(sx.LIF(), np.ones((3, 2, 4)), state, chunk=chunk)
        assert after.v.dtype == jnp.float32
    sx.run(sx.LIF(), np.ones((1, 2, 4)), state)


def test_parametric_lif_learns_the_time_constant_it_was_given():
    cell = sx.ParametricLIF(init_tau=np.array([2.0, 5.0]))
    np.testing.assert_allclose(cell.tau, [2.0, 5.0], rtol=1e-6)
    np.testing.assert_allclose(cell.w, -np.log([1.0, 4.0]), rtol=1e-6)
    np.testing.assert_array_equal(sx.ParametricLIF(w=0.5).w, jnp.float32(0.5))


def test_smooth_reset_without_a_primitive_is_refused():
    class Slope(sx.surrogate.SurrogateFunction):
        def derivative(self, u):
            return jnp.ones_like(u)

    cell = sx.IF(surrogate=Slope(spiking=False))
    with pytest.raises(NotImplementedError, match=r"Slope has no primitive, so spiking=False cannot be used"):
        sx.run(cell, jnp.ones((3, 2, 4)))


@pytest.mark.parametrize(("given", "missing"), [((), "charge"), (("charge",), "fire"), (("charge", "fire"), "reset")])
def test_a_neuron_that_lacks_an_equation_says_so(given, missing):
    equations = {"charge": lambda self, state, x: state, "fire": lambda self, h: h.v}
    bare = type("Bare", (sx.cells.ChargeFireReset,), {name: equations[name] for name in given})()
    with pytest.raises(NotImplementedError, match=rf"Bare must define `{missing}\("):
        bare.step(bare.init_state((2,)), jnp.ones(2))
