"""STDP by pairs and triplets: golden values, loops, sequences, derivatives."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from jax.test_util import check_grads
from tests.nn.linear_layers import SYNAPSES, activity, correlate, make, spikes

from spikejax.plasticity import STDP, SoftBound, SpikeTraces, TripletSTDP

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN, LEARNERS = np.load(FOLDER / "spikingjelly.npz"), np.load(FOLDER / "plasticity.npz")


def own(weight):
    return weight


def over_steps(rule, state, layer, pre, post):
    """`step` repeated: the last state and the change of each step."""
    return lax.scan(lambda state, now: rule.step(state, layer, *now), state, (pre, post))


def test_golden_dense():
    golden = {name: GOLDEN[f"stdp/linear/{name}"] for name in ("pre", "post", "dw", "trace_pre", "trace_post")}
    layer = nnx.Linear(6, 4, rngs=nnx.Rngs(0))
    layer.kernel[...] = jnp.full((6, 4), 0.5)
    rule = STDP(tau_pre=2.0, tau_post=3.0, f_pre=own, f_post=own)
    pre, post = golden["pre"][:, None], golden["post"][:, None]
    state, changes = over_steps(rule, rule.init_state(layer, (1, 6)), layer, pre, post)
    np.testing.assert_allclose(changes.transpose(0, 2, 1), golden["dw"], atol=5e-6)
    np.testing.assert_allclose(state.pre, golden["trace_pre"], atol=5e-6)
    np.testing.assert_allclose(state.post, golden["trace_post"], atol=5e-6)


@pytest.mark.parametrize(("name", "stride"), [("conv1d", 1), ("conv2d", 2)])
def test_golden_convolutions(name, stride):
    pre, post, weight, dw = (LEARNERS[f"stdp/{name}/{key}"] for key in ("pre", "post", "weight", "dw"))
    last = lambda a, axis: np.moveaxis(a, axis, -1)  # noqa: E731
    layer = nnx.Conv(2, 3, (3,) * (weight.ndim - 2), strides=stride, padding=1, rngs=nnx.Rngs(0))
    layer.kernel[...] = last(last(weight, 1), 0)
    rule = STDP(tau_pre=2.0, tau_post=3.0, f_pre=own, f_post=own)
    pre, post = last(pre, 2), last(post, 2)
    _, changes = over_steps(rule, rule.init_state(layer, pre.shape[1:]), layer, pre, post)
    np.testing.assert_allclose(changes, last(last(dw, 2), 1), atol=5e-6)


def test_a_pair_of_spikes():
    """By hand: an input spike 3 steps before an output spike, and 2 steps after another."""
    layer = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    rule = STDP(tau_pre=4.0, tau_post=2.0, f_pre=0.5, f_post=2.0)
    pre, post = np.zeros((6, 1, 1)), np.zeros((6, 1, 1))
    pre[2], post[5], post[0] = 1, 1, 1
    _, change = rule.steps(rule.init_state(layer, (1, 1)), layer, jnp.float32(pre), jnp.float32(post))
    np.testing.assert_allclose(change, 2.0 * 0.75**3 - 0.5 * 0.5**2, rtol=1e-6)


RULES = {
    "numbers": STDP(3.0, 5.0, f_pre=0.7, f_post=1.3),
    "one factor": STDP(3.0, 5.0, f_pre=0.0, f_post=jnp.array(-1.0)),
    "bounds": STDP(3.0, 5.0, f_pre=SoftBound(-1.0, upper=False), f_post=SoftBound(1.0, exponent=0.5)),
    "nearest": STDP(3.0, 5.0, nearest=True),
    "triplets": TripletSTDP(3.0, 8.0, 5.0, 9.0, a2_plus=0.3, a3_plus=1.1, a2_minus=0.8, a3_minus=0.4),
}


@pytest.mark.parametrize("name", SYNAPSES)
def test_a_sequence_is_its_steps(name):
    layer, shape = make(name)
    pre, post = activity(layer, shape)

    @jax.jit
    def both(rule, state):
        step = over_steps(rule, state, layer, pre, post)
        return step, rule.steps(state, layer, pre, post)

    for rule in RULES.values() if name in ("dense", "conv1d") else (RULES["numbers"],):
        state = rule.init_state(layer, pre.shape[1:])
        state = jax.tree.map(lambda a: a + jnp.linspace(0, 1, a.size).reshape(a.shape), state)  # not from 0
        (by_step, changes), (last, change) = both(rule, state)
        np.testing.assert_allclose(change, changes.sum(0), rtol=1e-4, atol=1e-4)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), last, by_step)
        assert np.abs(change).max() > 0.1


def pairs_of_spikes(tau_pre, tau_post, pre, post, nearest):
    """The change by the definition, over all pairs of spikes of single neurons `[T]`."""
    change = 0.0
    for t in np.flatnonzero(post):
        earlier = np.flatnonzero(pre[: t + 1])
        change += sum((1 - 1 / tau_pre) ** (t - u) for u in (earlier[-1:] if nearest else earlier))
    for t in np.flatnonzero(pre):
        earlier = np.flatnonzero(post[: t + 1])
        change -= sum((1 - 1 / tau_post) ** (t - u) for u in (earlier[-1:] if nearest else earlier))
    return change


@pytest.mark.parametrize("nearest", [False, True])
def test_traces_stand_for_pairs_of_spikes(nearest):
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    pre, post = spikes(3, 30, 1, 3), spikes(4, 30, 1, 2)
    rule = STDP(4.0, 2.5, nearest=nearest)
    _, change = rule.steps(rule.init_state(layer, (1, 3)), layer, pre, post)
    want = [[pairs_of_spikes(4.0, 2.5, pre[:, 0, i], post[:, 0, j], nearest) for j in range(2)] for i in range(3)]
    np.testing.assert_allclose(change, want, rtol=1e-4)


@pytest.mark.parametrize("nearest", [False, True])
def test_triplets_by_a_loop(nearest):
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    pre, post = np.asarray(spikes(5, 12, 2, 3)), np.asarray(spikes(6, 12, 2, 2))
    rule = RULES["triplets"].replace(nearest=nearest)
    r1, r2, o1, o2, want = 0 * pre[0], 0 * pre[0], 0 * post[0], 0 * post[0], np.zeros((3, 2))
    fade = lambda trace, s, tau: np.where(s > 0, s, trace * (1 - 1 / tau)) if nearest else trace * (1 - 1 / tau) + s  # noqa: E731
    for x, y in zip(pre, post, strict=True):
        up, down = y * (0.3 + 1.1 * o2), x * (0.8 + 0.4 * r2)
        r1, r2, o1, o2 = fade(r1, x, 3.0), fade(r2, x, 8.0), fade(o1, y, 5.0), fade(o2, y, 9.0)
        want += r1.T @ up - down.T @ o1
    _, change = rule.steps(rule.init_state(layer, (2, 3)), layer, pre, post)
    np.testing.assert_allclose(change, want, rtol=1e-5)


def test_triplets_without_triplets_are_pairs():
    layer, shape = make("dense")
    pre, post = activity(layer, shape)
    triplets = TripletSTDP(3.0, 8.0, 5.0, 9.0, a2_plus=1.3, a3_plus=0.0, a2_minus=0.7, a3_minus=0.0)
    found, want = (r.steps(r.init_state(layer, (2, 6)), layer, pre, post)[1] for r in (triplets, RULES["numbers"]))
    np.testing.assert_allclose(found, want, rtol=1e-5)


def test_strengths_depend_on_the_weight():
    layer, shape = make("dense")
    pre, post = activity(layer, shape)
    up = STDP(3.0, 5.0, f_pre=0.0).steps(STDP().init_state(layer, (2, 6)), layer, pre, post)[1]
    down = STDP(3.0, 5.0, f_post=0.0).steps(STDP().init_state(layer, (2, 6)), layer, pre, post)[1]
    weight, each = layer.kernel[...], jnp.arange(4.0)
    for f_post, f_pre in ((own, jnp.square), (each, each[::-1]), (2.0, own)):
        rule = STDP(3.0, 5.0, f_post=f_post, f_pre=f_pre)
        _, change = rule.steps(rule.init_state(layer, (2, 6)), layer, pre, post)
        strength = lambda f: f(weight) if callable(f) else f  # noqa: E731
        np.testing.assert_allclose(change, strength(f_post) * up + strength(f_pre) * down, rtol=1e-4, atol=1e-5)


def test_derivatives_of_time_constants_and_strengths():
    """Through the traces, and through the weights that earlier changes made."""
    with jax.enable_x64(True):
        layer = nnx.Linear(3, 2, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        pre, post = (jnp.float64(spikes(seed, 8, 2, n)) for seed, n in ((7, 3), (8, 2)))
        rules = [
            STDP(jnp.array(3.0), jnp.array(5.0), f_pre=jnp.array(0.3), f_post=SoftBound(1.5, jnp.array(0.2))),
            TripletSTDP(*(jnp.array(v) for v in (3.0, 8.0, 5.0, 9.0, 0.3, 1.1, 0.8, 0.4)), f_post=SoftBound(2.0)),
        ]

        def learnt(rule, weight):
            def step(carry, now):
                state, weight = carry
                synapse = nnx.clone(layer)
                synapse.kernel[...] = weight
                state, change = rule.step(state, synapse, *now)
                return (state, weight + 0.1 * change), None

            start = rule.init_state(layer, (2, 3), jnp.float64)
            (state, weight), _ = lax.scan(step, (start, weight), (pre, post))
            return jnp.sum(weight * jnp.arange(6.0).reshape(3, 2)) + jnp.sum(state.pre)

        learnt = jax.jit(learnt)
        for rule in rules:
            check_grads(learnt, (rule, layer.kernel[...]), order=1, modes=("fwd", "rev"), rtol=1e-6)
            grads = jax.grad(learnt)(rule, layer.kernel[...])
            assert all(jnp.abs(leaf) > 1e-3 for leaf in jax.tree.leaves(grads))


def test_every_sample_of_a_batch_counts():
    layer, shape = make("conv1d")
    pre, post = activity(layer, shape, batch=3)
    rule = RULES["numbers"]
    alone = jax.vmap(
        lambda pre, post: rule.steps(rule.init_state(layer, (1, *shape)), layer, pre, post)[1], in_axes=(1, 1)
    )(pre[:, :, None], post[:, :, None])
    _, change = rule.steps(rule.init_state(layer, pre.shape[1:]), layer, pre, post)
    np.testing.assert_allclose(change, alone.sum(0), rtol=1e-5, atol=1e-5)


def test_one_step_by_the_definition():
    layer, shape = make("depthwise")
    pre, post = activity(layer, shape)
    rule, traces = STDP(2.0, 4.0), SpikeTraces(2 * pre[1], post[1])
    state, change = rule.step(traces, layer, pre[0], post[0])
    p, q = pre[1] + pre[0], 0.75 * post[1] + post[0]
    np.testing.assert_allclose(state.pre, p)
    np.testing.assert_allclose(state.post, q)
    np.testing.assert_allclose(change, correlate(layer, p, post[0]) - correlate(layer, pre[0], q), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"`tau_pre` must be >= 1, got 0.5: it is a time constant, in steps"):
        STDP(tau_pre=0.5)
    with pytest.raises(ValueError, match=r"`tau_y` must be >= 1"):
        TripletSTDP(tau_y=0.0)
    layer, _ = make("dense")
    state = STDP().init_state(layer, (2, 6))
    with pytest.raises(ValueError, match=r"`pre` must have the shape of its trace, \(2, 6\), .*got \(3, 6\)"):
        STDP().step(state, layer, jnp.ones((3, 6)), jnp.ones((3, 4)))
    with pytest.raises(ValueError, match=r"`pre` and `post` must have as many steps, got 5 and 4"):
        STDP().steps(state, layer, jnp.ones((5, 2, 6)), jnp.ones((4, 2, 4)))
