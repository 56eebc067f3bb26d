"""What is written loads in Lava, and computes there, spike for spike, what was trained.

Lava has an environment of its own, `.venv-lava`, which `make test` makes: it forks, which JAX does not survive.
"""

import json
import subprocess
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.export.netx.networks import INPUT_SCALE, NETWORKS, STEPS, build, whole_inputs

import spikejax as sx
from spikejax.datasets import load_digits
from spikejax.encoding import Poisson
from spikejax.export import netx
from spikejax.models import fully_connected
from spikejax.train import Trainer, make_optimizer, make_schedule

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-lava" / "bin" / "python"
DATA = Path(__file__).parent / "data"
RUNNER = Path(__file__).parent / "runner" / "lava_netx.py"
CARRIED_OVER = ("delays", "recurrent")
"""Lava's resets leave what is on its way in delays and feedback: one sample a run."""

LIMIT = 300
"""Seconds; a worker of Lava that fails can leave its parent waiting for ever."""

pytestmark = pytest.mark.lava


def channels_first(spikes):
    """`[T, *]`, channels last, as Lava's files have it: channels first, time last."""
    spikes = np.asarray(spikes)
    return spikes.transpose(3, 1, 2, 0) if spikes.ndim == 4 else spikes.T


def prepare(folder: Path, name: str, net, shape, samples, input_bits: int = 0) -> tuple[np.ndarray, int]:
    """Writes the file, the input and the options; returns what has to come out, and how late."""
    report = netx.write(folder / f"{name}.net", net, shape)
    latency, steps = len(report.rows), samples.shape[0]
    want = netx.simulate_fixed_point(net, samples)
    rest = np.zeros((latency, *samples.shape[1:]))
    padded = [np.concatenate([sample, rest[:, 0]]) for sample in np.moveaxis(samples, 1, 0)]
    np.save(folder / f"{name}.npy", np.concatenate([*map(channels_first, padded)], -1))
    options = {"reset_interval": steps + latency, "reset_offset": 1, "input_message_bits": input_bits}
    (folder / f"{name}.json").write_text(json.dumps(options))
    return np.stack([channels_first(want[:, i]) for i in range(samples.shape[1])]), latency


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What has to come out and what came out of Lava, by name; all in one process, which takes a while to start."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing: `make test` makes it")
    folder, wanted = tmp_path_factory.mktemp("lava"), {}
    for name in NETWORKS:
        net, shape = build(name)
        inputs = np.asarray(whole_inputs(name))
        if name == "graded":
            inputs = inputs.reshape(*inputs.shape[:2], -1)
        if name in CARRIED_OVER:
            inputs = inputs[:, :1]
        wanted[name] = prepare(folder, name, net, shape, inputs, 8 * (name in INPUT_SCALE))
    wanted["digits"] = trained_digits(folder)
    wanted["mnist-csnn"] = trained_mnist(folder)
    subprocess.run([PYTHON, "-P", RUNNER, folder], check=True, timeout=LIMIT, capture_output=True)
    return {name: (*want, np.load(folder / f"{name}.out.npy")) for name, want in wanted.items()}


def trained_digits(folder: Path) -> tuple[np.ndarray, int]:
    """A network that knows the built-in digits, and three of these."""
    data = load_digits()
    neuron = partial(sx.LIF, surrogate=sx.surrogate.ATan())
    net = fully_connected((8, 8, 1), 10, hidden=(64,), neuron=neuron, voters=4, rngs=nnx.Rngs(0))
    trainer = Trainer(
        net, make_optimizer("adam", make_schedule("constant", 3e-3, steps=1)), steps=8, batch_size=64, scale=16
    )
    state = trainer.init()
    for _ in range(4):
        state = trainer.train(state, jnp.asarray(data.x_train), jnp.asarray(data.y_train), 22)
    net = netx.quantized(trainer.network(state), (8, 8, 1), input_scale=16)
    images = np.repeat(np.asarray(data.x_test[:100], np.float32).reshape(1, 100, 64), STEPS, 0)
    rates = netx.simulate_fixed_point(net, images).sum(0).reshape(100, 10, 4).sum(-1)
    assert (rates.argmax(-1) == data.y_test[:100]).mean() > 0.9
    return prepare(folder, "digits", net, (8, 8, 1), images[:, :3], 8)


def trained_mnist(folder: Path) -> tuple[np.ndarray, int]:
    """What `examples/loihi_mnist.py --channels 8 --steps 16 --epochs 3` left, and the first images of the test set."""
    net, sample = netx.read(DATA / "mnist_csnn.net"), np.load(DATA / "mnist_sample.npz")
    images = jnp.asarray(sample["images"], jnp.float32) / 255
    spikes = np.asarray(
        sx.run(Poisson(), images, Poisson().init_state(images.shape, key=jax.random.key(1)), steps=16)[1]
    )
    counts = netx.simulate_fixed_point(net, spikes).sum(0)
    assert (counts.argmax(-1) == sample["labels"]).all()
    return prepare(folder, "mnist-csnn", net, (28, 28, 1), spikes)


def test_lava_computes_the_same_spikes(results):
    """All in one test, so that one worker starts Lava once."""
    different = {}
    for name, (want, latency, got) in results.items():
        steps = want.shape[-1] + latency
        samples = np.stack(np.split(got, got.shape[-1] // steps, axis=-1))[..., latency:]
        different[name] = int((samples != want).sum())
        assert samples.shape == want.shape and want.sum() > 10, name
    assert different == dict.fromkeys((*NETWORKS, "digits", "mnist-csnn"), 0)
