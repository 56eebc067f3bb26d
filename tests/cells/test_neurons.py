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
        (lambda: sx.ParametricLIF(w=NAN), r"`w` must be finite, got nan"),
        (lambda: sx.KLIF(k=INF), r"`k` must be finite, got inf"),
        (lambda: sx.IF(v_threshold=NAN), r"`v_threshold` must be finite, got nan"),
        (lambda: sx.IF(v_threshold=INF), r"`v_threshold` must be finite, got inf"),
        (
            lambda: sx.IF(v_reset=NAN),
            r"`v_reset` must be finite, got nan: use v_reset=None for the soft reset",
        ),
        (lambda: sx.IF(v_reset=1.0), r"`v_reset` must be < v_threshold = 1.0, got 1.0"),
        (lambda: sx.IF(v_threshold=-1.0), r"`v_reset` must be < v_threshold = -1.0, got 0.0"),
        (lambda: sx.IF(v_threshold=jnp.array([1.0, -1.0])), r"`v_reset` must be < v_threshold = .*, got 0.0"),
        (
            lambda: sx.IF(v_threshold=np.ones(3), v_reset=jnp.zeros(2)),
            r"`v_reset` of shape \(2,\) must be < v_threshold = .*, but their shapes differ",
        ),
        (lambda: sx.QIF(tau=1.0), r"`tau` must be > 1, got 1.0"),
        (lambda: sx.QIF(a0=0.0), r"`a0` must be > 0, got 0.0"),
        (lambda: sx.QIF(v_c=NAN), r"`v_c` must be finite, got nan"),
        (lambda: sx.QIF(v_rest=INF), r"`v_rest` must be finite, got inf"),
        (lambda: sx.EIF(tau=0.5), r"`tau` must be > 1, got 0.5"),
        (lambda: sx.EIF(delta_T=0.0), r"`delta_T` must be > 0, got 0.0"),
        (lambda: sx.EIF(theta_rh=NAN), r"`theta_rh` must be finite, got nan"),
        (lambda: sx.Izhikevich(tau_w=1.0), r"`tau_w` must be > 1, got 1.0"),
        (lambda: sx.Izhikevich(a0=-1.0), r"`a0` must be > 0, got -1.0"),
        (lambda: sx.Izhikevich(b=NAN), r"`b` must be finite, got nan"),
        (lambda: sx.AdEx(a=INF), r"`a` must be finite, got inf"),
        (lambda: sx.AdEx(w_rest=NAN), r"`w_rest` must be finite, got nan"),
        (lambda: sx.AdEx(delta_T=-1.0), r"`delta_T` must be > 0, got -1.0"),
        (lambda: sx.ALIF(tau_a=1.0), r"`tau_a` must be > 1, got 1.0"),
        (lambda: sx.ALIF(beta=NAN), r"`beta` must be finite, got nan"),
        (lambda: sx.CubaLIF(tau_syn=0.5), r"`tau_syn` must be >= 1, got 0.5"),
        (lambda: sx.CubaLIF(tau=0.5), r"`tau` must be >= 1, got 0.5"),
        (lambda: sx.CubaLIF(r=NAN), r"`r` must be finite, got nan"),
        (lambda: sx.KLIF(k=0.0), r"`k` must be > 0, got"),
        (lambda: sx.KLIF(tau=1.0), r"`tau` must be > 1, got 1.0"),
        (lambda: sx.LIAF(act="rely"), r"`act` must name a function of jax.nn, such as 'relu', got 'rely'"),
        (lambda: sx.CLIF(v_reset=0.0), r"`v_reset` must be None, got 0.0: CLIF has the soft reset only"),
        (lambda: sx.CLIF(tau=1.0), r"`tau` must be > 1, got 1.0"),
        (lambda: sx.ILIF(v_reset=0.0), r"`v_reset` must be None, got 0.0: ILIF has the soft reset only"),
        (lambda: sx.ILIF(v_threshold=0.0), r"`v_threshold` must be > 0, got 0.0"),
        (lambda: sx.TernaryIF(v_threshold=0.0), r"`v_threshold` must be > 0, got 0.0"),
        (lambda: sx.TernaryIF(v_reset=-1.0), r"`v_reset` must be > -v_threshold, 1.0, got -1.0"),
        (lambda: sx.TernaryLIF(tau=1.0), r"`tau` must be > 1, got 1.0"),
        (lambda: sx.ResonateAndFire(dt=0.0), r"`dt` must be > 0, got 0.0"),
        (lambda: sx.ResonateAndFire(omega=NAN), r"`omega` must be finite, got nan"),
        (lambda: sx.GatedLIF(alpha=INF), r"`alpha` must be finite, got inf"),
        (lambda: sx.NoisyLIF(noise_scale=-0.1), r"`noise_scale` must be >= 0, got -0.1"),
        (lambda: sx.NoisyLIF().init_state((2, 4)), r"`key` must be given, because NoisyLIF draws random noise"),
        (lambda: sx.unroll_counts(jnp.array([5]), 4), r"`counts` must be an integer within \[0, 4\], got"),
        (lambda: sx.unroll_counts(jnp.array([0.5]), 4), r"`counts` must be an integer within \[0, 4\], got"),
        (lambda: sx.unroll_counts(jnp.array(1), 4), r"`counts` must be \[T, N, \*\], time first"),
        (lambda: sx.unroll_counts(jnp.array([1]), 0), r"`max_count` must be an integer >= 1, got 0"),
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
        (lambda: sx.ParametricLIF(w=[1.0, 2.0]), r"`w` must be a number or an array, got list"),
        (lambda: sx.ParametricLIF(w="1"), r"`w` must be a number or an array, got str '1'"),
        (lambda: sx.KLIF(k=[1.0, 2.0]), r"`k` must be a number or an array, got list"),
        (lambda: sx.LIF(tau="2"), r"`tau` must be a number or an array, got str '2'"),
        (lambda: sx.IF(surrogate=sx.surrogate.ATan), r"`surrogate` must be an object such as"),
        (lambda: sx.IF(surrogate=None), r"`surrogate` must be an object such as"),
        (lambda: sx.LIF(2.0), r"positional argument"),
        (lambda: sx.LIAF(act=3), r"`act` must be a function, or a name such as 'relu', got 3"),
        (lambda: sx.GatedLIF(surrogate=None), r"`surrogate` must be an object such as"),
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
        (sx.CubaLIF(tau_syn=jnp.full(3, 2.0)), r"`tau_syn` has shape \(3,\)"),
        (sx.AdEx(b=jnp.full(3, 2.0)), r"`b` has shape \(3,\)"),
        (sx.GatedLIF(gamma=jnp.zeros(3)), r"`gamma` has shape \(3,\)"),
        (sx.GatedLIF(conduct=jnp.zeros((6, 3))), r"`conduct` has shape \(3,\)"),
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


def test_unrolled_counts_add_up_to_the_counts():
    counts = jnp.array([[0, 1, 4], [3, 2, 0]], jnp.bfloat16)
    spikes = sx.unroll_counts(counts, 4)
    assert (spikes.shape, spikes.dtype) == ((8, 3), jnp.bfloat16)
    np.testing.assert_array_equal(spikes[:4], [[0, 1, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(spikes.reshape(2, 4, 3).sum(1), counts)
    np.testing.assert_array_equal(jax.jit(lambda c: sx.unroll_counts(c, 4))(counts), spikes)


def test_noise_follows_from_the_key_and_is_of_the_size_asked_for():
    cell, xs = sx.NoisyLIF(noise_scale=0.5, v_threshold=1e9), jnp.zeros((1, 100, 100))

    def membrane(seed):
        return sx.run(cell, xs, cell.init_state((100, 100), key=jax.random.key(seed)))[0].v

    np.testing.assert_array_equal(membrane(0), membrane(0))
    assert abs(jnp.corrcoef(membrane(0).ravel(), membrane(1).ravel())[0, 1]) < 0.05
    np.testing.assert_allclose((membrane(0).mean(), membrane(0).std()), (0, 0.5), atol=0.02)


def test_gates_have_a_conductance_for_each_step_and_none_beyond():
    cell = sx.GatedLIF(conduct=jnp.zeros((2, 4)), alpha=jnp.zeros(4))
    ones = jnp.ones((3, 2, 4))
    assert np.isfinite(sx.run(cell, ones[:2])[0].v).all()
    assert np.isnan(sx.run(cell, ones)[0].v).all()


def test_cuba_lif_is_lif_where_the_current_passes_on_at_once():
    xs = 1.5 * jnp.ones((20, 2))
    cuba = sx.run(sx.CubaLIF(tau_syn=1.0, tau=4.0, decay_input=True, v_reset=0.0), xs)[1]
    np.testing.assert_array_equal(cuba, sx.run(sx.LIF(tau=4.0), xs)[1])
    endless = sx.run(sx.CubaLIF(tau_syn=1.0, tau=INF), 0.3 * xs)[1]
    np.testing.assert_array_equal(endless, sx.run(sx.IF(), 0.3 * xs)[1])


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
