"""Checkpoints: what is saved comes back, and nothing else is taken for it."""

import random
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from tests.train.setups import big_state, network, same, save_until_killed

import spikejax as sx
from spikejax.train import Checkpoints


class Everything(NamedTuple):
    """A state of every kind of leaf."""

    net: nnx.State
    opt_state: optax.OptState
    keys: jax.Array
    half: jax.Array
    count: jax.Array
    host: np.ndarray


def everything(seed: int) -> Everything:
    net = nnx.state(network("direct", seed))
    return Everything(
        net,
        optax.adam(1e-3).init(nnx.filter_state(net, nnx.Param)),
        jax.random.split(jax.random.key(seed), 3),
        jnp.full((2, 3), seed + 0.1, jnp.bfloat16),
        jnp.int32(seed),
        np.arange(4) < seed,
    )


def words(tree):
    """The tree with its random keys as numbers."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if is_key(leaf) else leaf, tree)


def test_round_trip(tmp_path):
    state, progress = everything(1), {"epoch": 3, "best": 0.25, "last": float("nan"), "name": "x"}
    with Checkpoints(tmp_path / "new" / "folder") as checkpoints:
        checkpoints.save("latest", 7, state, progress)
    with Checkpoints(tmp_path / "new" / "folder") as checkpoints:
        assert checkpoints.step("latest") == 7
        loaded, its_progress = checkpoints.load("latest", everything(0))
    assert isinstance(loaded, Everything)
    assert same(words(loaded), words(state))
    assert [leaf.dtype for leaf in jax.tree.leaves(loaded)] == [leaf.dtype for leaf in jax.tree.leaves(state)]
    np.testing.assert_array_equal(jax.random.uniform(loaded.keys[2]), jax.random.uniform(state.keys[2]))
    assert str(its_progress) == str(progress)


def test_latest_and_best_are_kept_apart(tmp_path):
    like = {"a": np.zeros((200, 50), np.float32), "b": np.zeros(3, int)}
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save("latest", step, big_state(step), {"step": step})
        checkpoints.save("best", 2, big_state(2), {"step": 2})
        for kind, step in (("latest", 3), ("best", 2)):
            state, progress = checkpoints.load(kind, like)
            assert same(state, big_state(step)) and progress == {"step": step}
            assert [path.name for path in (tmp_path / kind).iterdir()] == [str(step)]


def test_a_step_is_saved_once(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save("latest", 1, big_state(1), {"step": 1})
        checkpoints.save("latest", 1, big_state(1), {"step": 1})
        assert checkpoints.load("latest", big_state(0))[1] == {"step": 1}


@pytest.mark.parametrize("kind", ["latest", "best"])
def test_no_checkpoint(tmp_path, kind):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.step(kind) is None
        with pytest.raises(FileNotFoundError, match=f"no {kind} checkpoint in .*{kind}: train first"):
            checkpoints.load(kind, big_state(0))


def params(**options):
    return nnx.state(network("direct", **options), nnx.Param)


OTHERS = {
    "more neurons": lambda: params(voters=2),
    "another shape of as many numbers": lambda: jax.tree.map(jnp.transpose, params()),
    "a learnt time constant": lambda: params(neuron=sx.ParametricLIF),
    "another network": lambda: nnx.state(network("conv"), nnx.Param),
    "with its optimizer": lambda: (params(), optax.adam(1e-3).init(params())),
}


@pytest.mark.parametrize("turned", [False, True], ids=["load", "save"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_checkpoint_of_another_network(tmp_path, other, turned):
    mine, its = (other(), params()) if turned else (params(), other())
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save("best", 1, its, {})
        with pytest.raises(ValueError, match=r"the best checkpoint in .* belongs to another network or optimizer: `"):
            checkpoints.load("best", mine)


def test_the_difference_is_named(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save("latest", 1, {"w": np.zeros((2, 3)), "v": np.zeros(1)}, {})
        with pytest.raises(ValueError, match=r"`w` has shape \(2, 3\) there and \(3, 2\) here"):
            checkpoints.load("latest", {"w": np.zeros((3, 2)), "v": np.zeros(1)})
        with pytest.raises(ValueError, match=r"`v` has shape \(1,\) there and None here"):
            checkpoints.load("latest", {"w": np.zeros((2, 3))})


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"\xff{")], ids=["removed", "garbage"])
@pytest.mark.parametrize("file", ["state/_METADATA", "progress/metadata"])
def test_damaged_checkpoint(tmp_path, file, damage):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save("latest", 1, big_state(1), {"step": 1})
    damage(tmp_path / "latest" / "1" / file)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(ValueError, match=r"the latest checkpoint in .* is damaged"),
    ):
        checkpoints.load("latest", big_state(0))


def test_killed_while_saving(tmp_path, killed):
    """Killed over and over at odd moments, in one folder: what loads is whole, and not older than before."""
    moments, last, cut = random.Random(0), 0, 0
    for _ in range(8):
        killed(save_until_killed, tmp_path, delay=0.1 * moments.random())
        cut += any(path.name.endswith("tmp") for path in (tmp_path / "latest").iterdir())
        with Checkpoints(tmp_path) as checkpoints:
            state, progress = checkpoints.load("latest", big_state(0))
        assert same(state, big_state(progress["step"]))
        assert progress["step"] > last
        last = progress["step"]
    assert cut, "no save was cut off: the test shows nothing"


@pytest.mark.parametrize("parts", [(), ("state",), ("state", "progress", "_CHECKPOINT_METADATA")])
def test_half_written_checkpoint_is_not_seen(tmp_path, parts):
    """A temporary folder is left as a kill leaves it, with some of its parts."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save("latest", 1, big_state(1), {"step": 1})
    half = tmp_path / "latest" / "2.orbax-checkpoint-tmp"
    half.mkdir()
    for part in parts:
        whole = tmp_path / "latest" / "1" / part
        if whole.is_dir():
            (half / part).mkdir()
            (half / part / "metadata").write_text("{")
        else:
            (half / part).write_bytes(whole.read_bytes())
    with Checkpoints(tmp_path) as checkpoints:
        assert same(checkpoints.load("latest", big_state(0))[0], big_state(1))
        checkpoints.save("latest", 2, big_state(2), {"step": 2})
        assert same(checkpoints.load("latest", big_state(0))[0], big_state(2))
