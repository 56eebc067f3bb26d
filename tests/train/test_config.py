"""The options of a run: their checks, their file, and what is built of them."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.train.setups import images

import spikejax as sx
from spikejax.train import RunConfig, build_trainer, load_data

WRONG = {
    "dataset": ("cifar", "`dataset` must be one of 'digits', 'mnist', 'fashion-mnist', got 'cifar'"),
    "model": ("mlp", "`model` must be one of 'fc', 'conv', got 'mlp'"),
    "neuron": ("LIF", "`neuron` must be one of 'lif', 'if', 'plif', 'relu', got 'LIF'"),
    "encoder": ("latency", "`encoder` must be one of 'poisson', 'direct', got 'latency'"),
    "loss": ("mae", "`loss` must be one of 'mse', 'cross-entropy', got 'mae'"),
    "precision": ("float16", "`precision` must be one of 'float32', 'bfloat16', got 'float16'"),
    "optimizer": ("lion", "`optimizer` must be one of 'adam', 'adamw', 'sgd', 'rmsprop', got 'lion'"),
    "schedule": ("linear", "`schedule` must be one of 'constant', 'cosine', 'step', 'exponential', got 'linear'"),
    "steps": (0, "`steps` must be an integer >= 1, got 0"),
    "epochs": (-1, "`epochs` must be an integer >= 1, got -1"),
    "batch_size": (0, "`batch_size` must be an integer >= 1, got 0"),
    "channels": (0, "`channels` must be an integer >= 1, got 0"),
    "voters": (0, "`voters` must be an integer >= 1, got 0"),
    "patience": (0, "`patience` must be an integer >= 1, got 0"),
    "chunk": (0, "`chunk` must be an integer >= 1, got 0"),
    "data": ("somewhere", "`data` has no effect with dataset digits: leave it out"),
    "warmup": (10, "`warmup` must be an integer from 0 to 9, got 10: there are 10 epochs"),
    "tau": (1.0, "`tau` must be > 1, got 1.0: it is a time constant, in steps"),
    "learning_rate": (0.0, "`learning_rate` must be > 0, got 0.0"),
    "seed": (2**32, r"`seed` must be an integer from 0 to 4294967295, got 4294967296"),
}
FURTHER = {
    "warmup": (-1, "`warmup` must be an integer from 0"),
    "tau": (math.nan, "`tau` must be finite, got nan"),
    "learning_rate": (math.inf, "`learning_rate` must be finite, got inf"),
    "seed": (-1, "`seed` must be an integer from 0"),
}
OTHER = RunConfig(
    dataset="mnist",
    data="somewhere",
    hidden=(7, 5),
    voters=3,
    neuron="plif",
    tau=3.5,
    encoder="direct",
    loss="cross-entropy",
    precision="bfloat16",
    warmup=2,
    chunk=4,
    remat=True,
    patience=3,
    seed=2**32 - 1,
)


@pytest.mark.parametrize(("name", "value", "message"), [(n, *w) for part in (WRONG, FURTHER) for n, w in part.items()])
def test_values_out_of_range(name, value, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**{name: value})
    with pytest.raises(ValueError, match=message):
        RunConfig().replace(**{name: value})


def test_every_option_is_checked():
    unchecked = {"hidden", "remat"}  # sizes are checked by the network, and a flag has no wrong value
    assert set(WRONG) == set(RunConfig.__dataclass_fields__) - unchecked


def test_tau_does_not_matter_without_a_leak():
    assert RunConfig(neuron="if", tau=0.0).tau == 0.0


@pytest.mark.parametrize("config", [RunConfig(), OTHER], ids=["defaults", "other"])
def test_save_and_load(tmp_path, config):
    path = tmp_path / "config.json"
    config.save(path)
    assert RunConfig.load(path) == config
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b"{}",
        b"\xff\xfe",
        b'{"hidden": 5}',
        b'{"hidden": [], "speed": 1}',
        b'{"hidden": [], "steps": "ten"}',
        b'{"hidden": [], "steps": 0}',
        b'{"hidden": [], "model": ["fc"]}',
    ],
)
def test_damaged_file(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config.json is not the description of a run: "):
        RunConfig.load(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run: it has no config.json"):
        RunConfig.load(tmp_path / "config.json")


def test_presets():
    digits, conv = RunConfig.preset("digits"), RunConfig.preset("digits", model="conv")
    assert (digits.hidden, digits.encoder, digits.steps, digits.schedule) == ((512,), "direct", 10, "cosine")
    assert (conv.hidden, conv.encoder, conv.steps) == ((), "direct", 8)
    mnist = RunConfig.preset("mnist", data="x")
    assert mnist == RunConfig(dataset="mnist", data="x")
    reference = (mnist.hidden, mnist.encoder, mnist.steps, mnist.batch_size, mnist.optimizer, mnist.learning_rate)
    assert reference == ((), "poisson", 100, 64, "adam", 1e-3)
    assert RunConfig.preset("digits", steps=3, hidden=()).hidden == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "conv", "hidden": (8,)}, "`hidden` has no effect with model conv: leave it out"),
        ({"channels": 8}, "`channels` has no effect with model fc: leave it out"),
        ({"neuron": "if", "tau": 3.0}, "`tau` has no effect with neuron if: leave it out"),
        ({"neuron": "relu", "tau": 3.0}, "`tau` has no effect with neuron relu: leave it out"),
    ],
)
def test_options_without_effect(given, message):
    with pytest.raises(ValueError, match=message):
        RunConfig.preset("digits", **given)


def test_load_data(tmp_path):
    assert load_data(RunConfig()).name == "digits"
    with pytest.raises(ValueError, match="`data` must name the folder or file of mnist: give --data PATH"):
        load_data(RunConfig(dataset="mnist"))
    with pytest.raises(FileNotFoundError, match="no complete data set 'fashion-mnist'"):
        load_data(RunConfig(dataset="fashion-mnist", data=str(tmp_path)))
    np.savez(tmp_path / "mnist.npz", **{name: getattr(images(), name)[..., 0] for name in ("x_train", "x_test")},
             y_train=images().y_train, y_test=images().y_test)  # fmt: skip
    assert load_data(RunConfig(dataset="mnist", data=str(tmp_path))).x_train.shape == images().x_train.shape


@pytest.mark.parametrize(
    ("neuron", "cell"),
    [("lif", sx.LIF(tau=3.0, surrogate=sx.surrogate.ATan())), ("if", sx.IF(surrogate=sx.surrogate.ATan()))],
)
def test_neurons(neuron, cell):
    trainer, _ = build_trainer(RunConfig(neuron=neuron, tau=3.0, batch_size=5), images())
    assert trainer.network(trainer.init())[3] == cell


def test_learnt_time_constants():
    trainer, _ = build_trainer(RunConfig(neuron="plif", tau=3.0, hidden=(4,), batch_size=5), images())
    state = trainer.init()
    np.testing.assert_allclose(trainer.network(state)[3].tau, 3.0, rtol=1e-6)
    assert len([leaf for leaf in nnx.to_flat_state(state.params) if leaf[0][-1] == "w"]) == 2


def test_what_is_built():
    config = OTHER.replace(hidden=(), epochs=4, batch_size=10, learning_rate=0.3)
    trainer, schedule = build_trainer(config, images())
    assert (trainer.batch_size, trainer.scale) == (10, 16.0)
    assert trainer.run_options == {"steps": 100, "chunk": 4, "remat": True}
    assert trainer.loss is sx.losses.cross_entropy_rate
    per_epoch = 5
    rises = [schedule(step) / 0.3 for step in range(3 * per_epoch)]
    np.testing.assert_allclose(rises, np.minimum(np.arange(3 * per_epoch) / (2 * per_epoch), 1), rtol=1e-5)
    net = trainer.network(trainer.init())
    _, outs = jax.eval_shape(lambda: sx.run(net, jnp.ones((2, 4, 4, 1)), steps=2))
    assert outs.shape == (2, 2, 3)
    assert outs.dtype == jnp.bfloat16


def test_batch_larger_than_the_samples():
    with pytest.raises(ValueError, match="`batch_size` must be <= the 50 training samples, got 64"):
        build_trainer(RunConfig(), images())


def test_the_file_is_plain_json(tmp_path):
    OTHER.save(tmp_path / "config.json")
    assert json.loads((tmp_path / "config.json").read_text())["hidden"] == [7, 5]
