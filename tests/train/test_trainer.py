"""The jitted inner loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.train.setups import BATCH, CLASSES, KINDS, PER_EPOCH, TRAIN, images, network, new_trainer, same, trainer

import spikejax as sx
from spikejax.losses import firing_rate, mse_rate
from spikejax.train import Totals, Trainer

DATA = images()
X, Y = jnp.asarray(DATA.x_train), jnp.asarray(DATA.y_train)

each_kind = pytest.mark.parametrize("kind", KINDS)


def trained(one, *calls):
    """The state after calls of so many batches, each within an epoch; sums start anew where `calls` has a 0."""
    state = one.init()
    for batches in calls:
        state = one.train(state, X, Y, batches) if batches else state._replace(totals=Totals.zero())
    return state


@each_kind
def test_the_loss_falls(kind):
    first = trained(trainer(kind), PER_EPOCH)
    last = trained(trainer(kind), *[PER_EPOCH] * 11, 0, PER_EPOCH)
    assert int(last.step) == 12 * PER_EPOCH
    (before, _), (after, accuracy) = first.totals.means(), last.totals.means()
    assert after < 0.8 * before
    assert accuracy > 0.6


@each_kind
def test_one_call_of_many_batches_equals_many_calls_of_one(kind):
    one = trainer(kind)
    many = trained(one, 5, 1, 3, 3)
    assert same(trained(one, *[1] * 12), many)
    assert same(trained(one, 2, 4, 6), many)


def test_the_sums_change_nothing():
    """Order and draws follow from the step, not from what has been counted."""
    one = trainer("poisson")
    assert same(trained(one, PER_EPOCH, 0, PER_EPOCH).params, trained(one, PER_EPOCH, PER_EPOCH).params)


def test_every_batch_draws_spikes_of_its_own():
    """Batches of equal samples, for a network that does not learn: only the draws can differ."""
    one = Trainer(network("poisson"), optax.sgd(0.0), steps=4, batch_size=BATCH)
    x, y = jnp.full((3 * BATCH, *X.shape[1:]), 0.5), jnp.zeros(3 * BATCH, jnp.int32)
    state, losses = one.init(), []
    for _ in range(3):
        state = one.train(state._replace(totals=Totals.zero()), x, y, 1)
        losses.append(float(state.totals.loss))
    assert len(set(losses)) == 3


def test_same_seed_same_result():
    assert same(trained(new_trainer("poisson"), 2), trained(trainer("poisson"), 2))


def test_another_seed_shuffles_otherwise():
    """The same network, without random cells: only the order of the samples can differ."""
    other = Trainer(network("direct"), optax.adam(0.02), steps=4, batch_size=BATCH, scale=16.0, seed=1)
    assert not same(trained(other, 2).params, trained(trainer("direct"), 2).params)


def test_convolutions_make_a_call_a_batch():
    assert trainer("poisson").looped
    assert not trainer("conv").looped


def test_a_state_is_used_up_and_init_gives_a_new_one():
    one = trainer("direct")
    start = one.init()
    first = one.train(start, X, Y, 2)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(start))
    assert same(one.train(one.init(), X, Y, 2), first)


def test_an_epoch_shows_every_sample_at_most_once():
    """The loss tells which samples it gets: their labels are their numbers."""
    seen = []

    def loss(outs, labels):
        jax.debug.callback(lambda labels: seen.extend(labels.tolist()), labels, ordered=True)
        return mse_rate(outs, labels % CLASSES)

    one = new_trainer("direct", loss=loss)
    state = one.init()
    for _ in range(2):
        state = one.train(state, X, jnp.arange(TRAIN), PER_EPOCH)
    jax.effects_barrier()
    epochs = np.reshape(seen, (2, PER_EPOCH * BATCH))
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch)
    assert sorted(epochs[0]) != list(epochs[0]), "not shuffled"
    assert list(epochs[0]) != list(epochs[1]), "shuffled only once"
    assert int(state.totals.samples) == 2 * PER_EPOCH * BATCH


def test_evaluate_takes_all_samples_in_eval_mode():
    """300 samples are more than one batch, and no multiple of it; the reference takes them at once.

    In train mode the two would not agree: the normalisation would take its statistics over other batches.
    """
    rngs, data = nnx.Rngs(0), images(test=300)
    layers = (nnx.Linear(16, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs), sx.LIF(), nnx.Linear(8, CLASSES, rngs=rngs))
    one = Trainer(
        sx.nn.Sequential(sx.nn.Flatten(), *layers, sx.LIF(v_threshold=0.2)), optax.sgd(1.0), steps=4, batch_size=7
    )
    state = one.init()
    state.variables["layers"][2]["mean"][...] += 3.0
    state.variables["layers"][2]["var"][...] *= 9.0
    before = jax.tree.map(jnp.copy, state)
    totals = one.evaluate(state, jnp.asarray(data.x_test), jnp.asarray(data.y_test))
    assert same(state, before)

    @jax.jit
    def classify(state):
        _, outs = sx.run(one.network(state), jnp.float32(data.x_test), steps=4)
        return mse_rate(outs, data.y_test), jnp.sum(firing_rate(outs).argmax(-1) == data.y_test)

    loss, correct = classify(state)
    assert (int(totals.samples), int(totals.correct)) == (300, correct)
    np.testing.assert_allclose(totals.means()[0], loss, rtol=1e-5)
    assert abs(loss - 1 / CLASSES) > 0.02, "the network is silent: the test shows nothing"


def test_evaluate_repeats_itself():
    one = trainer("poisson")
    state = trained(one, 1)
    assert same(*(one.evaluate(state, DATA.x_test, DATA.y_test) for _ in range(2)))


def test_bfloat16_products_with_float32_membranes_and_parameters():
    net = network("direct", dtype=jnp.bfloat16)
    one = Trainer(net, optax.adam(0.02), steps=4, batch_size=BATCH, scale=16.0)
    state = one.train(one.init(), X, Y, PER_EPOCH)
    floats = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype for leaf in floats} == {jnp.dtype(jnp.float32)}
    assert all(jnp.isfinite(leaf).all() for leaf in floats)
    run = lambda: sx.run(one.network(state), jnp.float32(X), steps=4, record=("membrane", "spikes"))  # noqa: E731
    _, (outs, records) = jax.eval_shape(run)
    assert outs.dtype == jnp.bfloat16
    assert {name: str(value.dtype) for name, value in records.items()} == {
        "2.membrane": "float32",
        "2.spikes": "bfloat16",
        "4.membrane": "float32",
        "4.spikes": "bfloat16",
    }
    assert not same(state.params, trained(trainer("direct"), PER_EPOCH).params), "the products are in float32"


@pytest.mark.parametrize("option", ["steps", "batch_size"])
def test_sizes_below_one(option):
    with pytest.raises(ValueError, match=f"`{option}` must be an integer >= 1, got 0"):
        new_trainer("direct", **{option: 0})


def test_batch_larger_than_the_samples():
    one = trainer("direct")
    with pytest.raises(ValueError, match=r"`batch_size` must be <= the 7 training samples, got 8"):
        one.train(one.init(), X[:7], Y[:7], 1)


def test_chunk_and_remat_reach_the_driver():
    one = new_trainer("direct", chunk=0)
    with pytest.raises(ValueError, match="`chunk` must be an integer >= 1"):
        one.train(one.init(), X, Y, 1)
    assert new_trainer("direct", remat=True, chunk=2).run_options == {"steps": 4, "chunk": 2, "remat": True}


def test_means():
    nothing, some = Totals.zero(), Totals(jnp.float32(3.0), jnp.int32(1), jnp.int32(4))
    assert some.means() == (0.75, 0.25)
    assert all(map(np.isnan, nothing.means()))
