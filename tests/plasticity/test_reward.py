"""STDP under rewards: golden values, loops that hold every eligibility, sequences."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.nn.linear_layers import activity, make

from spikejax.plasticity import MSTDP, MSTDPET

LEARNERS = np.load(Path(__file__).parents[1] / "golden" / "plasticity.npz")
RULES = {
    "mstdp": MSTDP(2.0, 3.0, f_pre=jnp.square, f_post=0.7),
    "mstdpet": MSTDPET(2.0, 3.0, f_pre=jnp.square, f_post=0.7, tau_trace=4.0),
}


def over_steps(rule, state, layer, pre, post, rewards):
    return jax.lax.scan(lambda state, now: rule.step(state, layer, *now), state, (pre, post, rewards))


@pytest.mark.parametrize("name", RULES)
def test_golden(name):
    pre, post, reward, weight, dw = (LEARNERS[f"{name}/{key}"] for key in ("pre", "post", "reward", "weight", "dw"))
    layer = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    layer.kernel[...] = weight.T
    rule = RULES[name].replace(f_pre=lambda w: w, f_post=lambda w: w)
    _, changes = over_steps(rule, rule.init_state(layer, pre.shape[1:]), layer, pre, post, reward)
    np.testing.assert_allclose(changes.transpose(0, 2, 1), dw, atol=5e-6)


@pytest.mark.parametrize("name", RULES)
def test_by_a_loop_that_holds_every_eligibility(name):
    layer, shape = make("dense")
    pre, post = (np.asarray(a) for a in activity(layer, shape, steps=7, batch=3))
    rewards = np.float32(np.random.default_rng(0).normal(size=(7, 3)))
    weight, rule = np.asarray(layer.kernel[...]), RULES[name]
    p, q, z, e, want = 0 * pre[0], 0 * post[0], 0.0, 0.0, []
    for x, y, r in zip(pre, post, rewards, strict=True):
        e = e * np.exp(-1 / 4) + z / 4 if name == "mstdpet" else z
        want.append(np.sum(r[:, None, None] * e, axis=0))
        p, q = p * np.exp(-1 / 2) + x, q * np.exp(-1 / 3) + y
        z = 0.7 * p[:, :, None] * y[:, None] - weight**2 * x[:, :, None] * q[:, None]
    _, changes = over_steps(rule, rule.init_state(layer, (3, 6)), layer, pre, post, rewards)
    np.testing.assert_allclose(changes, np.stack(np.broadcast_arrays(*want)), rtol=1e-4, atol=1e-5)
    assert np.abs(want[-1]).max() > 0.1


@pytest.mark.parametrize("synapse", ["dense", "conv2d"])
@pytest.mark.parametrize("name", RULES)
def test_a_sequence_is_its_steps_and_goes_on(name, synapse):
    layer, shape = make(synapse)
    pre, post = activity(layer, shape, steps=7)
    rewards = jax.random.normal(jax.random.key(5), (7, 2))
    rule = RULES[name]
    start = rule.init_state(layer, pre.shape[1:])
    by_step, changes = jax.jit(over_steps)(rule, start, layer, pre, post, rewards)
    steps = jax.jit(rule.steps)
    half, first = steps(start, layer, pre[:3], post[:3], rewards[:3])
    last, second = steps(half, layer, pre[3:], post[3:], rewards[3:])
    np.testing.assert_allclose(first, changes[:3].sum(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(second, changes[3:].sum(0), rtol=1e-4, atol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), last, by_step)
    assert np.abs(second).max() > 0.1


@pytest.mark.parametrize("name", RULES)
def test_no_reward_no_change_and_one_for_all(name):
    layer, shape = make("dense")
    pre, post = activity(layer, shape)
    rule = RULES[name]
    state = rule.init_state(layer, (2, 6))
    assert np.abs(rule.steps(state, layer, pre, post)[1]).max() == 0
    forms = [rule.steps(state, layer, pre, post, form)[1] for form in (0.5, jnp.full(5, 0.5), jnp.full((5, 2), 0.5))]
    for form in forms[1:]:
        np.testing.assert_allclose(form, forms[0], rtol=1e-6)
    np.testing.assert_allclose(rule.steps(state, layer, pre, post, -1.0)[1], -2 * forms[0], rtol=1e-5)


def test_only_the_eligibility_trace_remembers():
    layer = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    pre = jnp.zeros((10, 1, 1)).at[0].set(1)
    post = jnp.zeros((10, 1, 1)).at[1].set(1)
    late = jnp.zeros(10).at[8].set(1)
    forgets, remembers = MSTDP(4.0, 4.0), MSTDPET(4.0, 4.0, tau_trace=10.0)
    assert forgets.steps(forgets.init_state(layer, (1, 1)), layer, pre, post, late)[1] == 0
    _, change = remembers.steps(remembers.init_state(layer, (1, 1)), layer, pre, post, late)
    np.testing.assert_allclose(change, np.exp(-1 / 4) / 10 * np.exp(-6 / 10), rtol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"`tau_pre` must be > 0, got 0.0: it is a time constant, in steps"):
        MSTDP(tau_pre=0.0)
    with pytest.raises(ValueError, match=r"`tau_trace` must be > 0, got -1.0"):
        MSTDPET(tau_trace=-1.0)
    layer, shape = make("dense")
    pre, post = activity(layer, shape)
    with pytest.raises(ValueError, match=r"one a step \(5,\), or one a step and sample \(5, 2\), got shape \(3,\)"):
        MSTDP().steps(MSTDP().init_state(layer, (2, 6)), layer, pre, post, jnp.ones(3))
