"""snnTorch and Norse read what is written, and the other way round; they live in the environment of the benchmarks."""

import os
import subprocess
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import spikejax as sx
from spikejax.export.nir import from_nir, write
from spikejax.nn import AvgPool, Flatten, Recurrent, Sequential, SumPool

pytestmark = pytest.mark.peers

REPOSITORY = Path(__file__).parents[2]
PYTHON = REPOSITORY / ".venv-bench" / "bin" / "python"
SCRIPT = Path(__file__).parent / "peers" / "run_nir.py"
WRITER = Path(__file__).parent / "peers" / "write_nir.py"
RNGS = nnx.Rngs(0)
SAME = 0
REFUSED = "refused"
WRONG = "wrong"
"""What a library makes of a file: the same spikes, an error, or anything but the same."""


def normal(size):
    return lambda key, shape, dtype: jnp.asarray(np.random.default_rng(shape).normal(0.0, size, shape), dtype)


def dense(n_in, n_out, bias=False):
    return nnx.Linear(n_in, n_out, use_bias=bias, kernel_init=normal(0.7), bias_init=normal(0.3), rngs=RNGS)


def conv(n_in, n_out, window, **options):
    return nnx.Conv(n_in, n_out, window, kernel_init=normal(0.5), bias_init=normal(0.2), rngs=RNGS, **options)


def lif(**fields):
    return sx.LIF(**({"tau": 5.0, "decay_input": False} | fields))


TAUS = jnp.asarray(np.linspace(2.0, 9.0, 10), jnp.float32)
# name: layers, shape, form of recurrence, what snnTorch 1.0.0 and Norse 1.1.0 make of it
CASES = {
    "lif": ([dense(8, 10), sx.LIF(tau=3.0, v_threshold=0.4)], (8,), "graph", SAME, SAME),
    "lif-gain-folded": ([dense(8, 10, True), lif(), dense(10, 6), lif(v_threshold=0.7)], (8,), "graph", SAME, SAME),
    "lif-gain-in-r": ([lif()], (8,), "graph", SAME, WRONG),
    "lif-one-a-neuron": ([dense(8, 10), lif(tau=TAUS)], (8,), "graph", WRONG, SAME),
    "cuba": ([dense(8, 10), sx.CubaLIF(tau_syn=3.0, tau=7.0)], (8,), "graph", SAME, SAME),
    "cuba-decay": (
        [dense(8, 10), sx.CubaLIF(tau_syn=3.0, tau=2.5, decay_input=True, r=2.0, w_in=3.0)],
        *((8,), "graph", SAME, SAME),
    ),
    "if": ([dense(8, 10), sx.IF()], (8,), "graph", REFUSED, SAME),
    "recurrent-lif": ([dense(8, 10), Recurrent(lif(), dense(10, 10))], (8,), "graph", SAME, SAME),
    "recurrent-cuba": ([dense(8, 10), Recurrent(sx.CubaLIF(), dense(10, 10, True))], (8,), "graph", SAME, SAME),
    "cycle-lif": ([dense(8, 10), Recurrent(lif(), dense(10, 10))], (8,), "cycle", WRONG, SAME),
    "cycle-cuba": ([dense(8, 10), Recurrent(sx.CubaLIF(), dense(10, 10, True))], (8,), "cycle", WRONG, SAME),
    "conv": (
        [
            conv(2, 4, (3, 3), strides=(2, 1), padding=((1, 1), (0, 0))),
            lif(v_threshold=0.4),
            Flatten(),
            dense(64, 6),
            lif(),
        ],
        *((7, 6, 2), "graph", SAME, SAME),
    ),
    "sumpool": (
        [conv(2, 4, (3, 3)), lif(), SumPool(2), Flatten(), dense(36, 6), lif()],
        (7, 6, 2),
        "graph",
        SAME,
        SAME,
    ),
    "avgpool": (
        [conv(2, 4, (3, 3)), lif(), AvgPool(2), Flatten(), dense(36, 6), lif()],
        (7, 6, 2),
        "graph",
        SAME,
        WRONG,  # refuses it or computes something else, with the seed of Python's hashes
    ),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The spikes of spikejax by name, and a folder with the files to run."""
    check_installed()
    folder, spikes = tmp_path_factory.mktemp("nir"), {}
    for name, (layers, shape, recurrent, *_) in CASES.items():
        net = Sequential(*layers)
        xs = np.random.default_rng(0).integers(0, 2, (50, 1, *shape)).astype(np.float32)
        write(folder / f"{name}.nir", net, shape, recurrent=recurrent)
        np.save(folder / f"{name}.inputs.npy", np.moveaxis(xs[:, 0], -1, 1))
        spikes[name] = np.asarray(sx.run(net, xs)[1][:, 0])
    return spikes, folder


def check_installed() -> None:
    """Skips without the environment; fails where the run was to have it."""
    if not PYTHON.exists():
        if os.environ.get("SPIKEJAX_PEERS") == "required":
            pytest.fail(f"{PYTHON} is missing: run make bench-env")
        pytest.skip("no .venv-bench: run make test-peers")


@pytest.mark.parametrize("library", ["snntorch", "norse"])
def test_peer_gives_the_same_spikes(library, expected, tmp_path):
    spikes, folder = expected
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    subprocess.run([PYTHON, SCRIPT, library, tmp_path], check=True, timeout=300, capture_output=True)
    found, wanted = {}, {}
    for name, (*_, snntorch, norse) in CASES.items():
        assert 0.02 < spikes[name].mean() < 0.98, f"{name}: hardly anything to compare"
        wanted[name] = {"snntorch": snntorch, "norse": norse}[library]
        found[name] = outcome(tmp_path / f"{name}.spikes.npy", spikes[name])
        if wanted[name] == WRONG and found[name] != SAME:
            found[name] = WRONG
    assert found == wanted


def outcome(path, spikes):
    """How many spikes differ, all of them where the shape does, or that the file was refused."""
    if not path.exists():
        return REFUSED
    theirs = np.load(path)
    return int((theirs != spikes).sum()) if theirs.shape == spikes.shape else spikes.size


@pytest.mark.parametrize(("library", "dt"), [("snntorch", 1e-4), ("norse", 1e-6)])
def test_reads_the_file_of_a_peer(library, dt, tmp_path):
    """Norse, whose step is 1e-3, writes its time constants times that: one of its steps is 1e-6 in the file."""
    check_installed()
    subprocess.run([PYTHON, WRITER, library, tmp_path], check=True, timeout=300, capture_output=True)
    spikes = np.load(tmp_path / "spikes.npy")
    assert 0.05 < spikes.mean() < 0.95
    _, ys = sx.run(from_nir(tmp_path / "net.nir", dt=dt), np.load(tmp_path / "inputs.npy")[:, None])
    np.testing.assert_array_equal(ys[:, 0], spikes)
