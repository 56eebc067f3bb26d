"""The CPU back end as a guest in a process of JAX: when its kernels are freed, and what runs without them."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import serialize_executable

import spikejax as sx
from spikejax.kernels import fused_scan
from spikejax.kernels.llvm import table
from spikejax.kernels.llvm.table import kernel_table

XS = jnp.linspace(0, 4, 12).reshape(4, 3)
LIMIT = 2


@pytest.fixture
def few(monkeypatch):
    """A table in which only a few unused kernels stay."""
    monkeypatch.setattr(table, "MAX_UNUSED", LIMIT)
    gc.collect()
    gc.freeze()  # makes the next ones quick
    yield
    gc.unfreeze()


def spikes_of(tau, backend="llvm"):
    cell = sx.LIF(tau=tau, v_threshold=0.5)  # the numbers are constants of the kernel
    return jax.jit(lambda xs: fused_scan(cell, cell.init_state(XS.shape[1:]), xs, backend=backend)[1])


def run_others(count=2 * LIMIT):
    """Other programs, of a kernel each, that are garbage afterwards."""
    for tau in 10 + np.random.default_rng().random(count):
        spikes_of(float(tau))(XS)
        gc.collect()


def test_unused_kernels_are_freed_beyond_a_limit_and_compiled_anew(few):
    run_others()
    before = len(kernel_table())
    taus = 2 + 0.125 * np.arange(3 * LIMIT)
    for _ in range(2):
        for tau in map(float, taus):
            got = spikes_of(tau)(XS)
            gc.collect()
            np.testing.assert_array_equal(got, spikes_of(tau, backend="xla")(XS))
            assert 0 < got.mean() < 1
            assert len(kernel_table()) <= before + 1


def test_a_kernel_lives_as_long_as_a_program_that_calls_it(few):
    run, lowered = spikes_of(1.75), spikes_of(1.875).lower(XS)
    want = run(XS)
    run_others()
    np.testing.assert_array_equal(run(XS), want)
    np.testing.assert_array_equal(lowered.compile()(XS), spikes_of(1.875, backend="xla")(XS))
    count = len(kernel_table())
    del run, lowered
    run_others()
    assert len(kernel_table()) == count - 2


def test_a_program_may_call_more_kernels_than_stay_unused(few):
    runs = [spikes_of(3 + 0.25 * i) for i in range(2 * LIMIT)]
    total = jax.jit(lambda xs: sum(run(xs) for run in runs))
    np.testing.assert_array_equal(total(XS), sum(run(XS) for run in runs))


def test_a_program_that_outlives_its_kernel_is_refused(few):
    program = serialize_executable.serialize(spikes_of(1.625).lower(XS).compile())
    np.testing.assert_array_equal(serialize_executable.deserialize_and_load(*program)(XS), spikes_of(1.625, "xla")(XS))
    gc.collect()
    run_others()
    with pytest.raises(RuntimeError, match=r"calls a spikejax kernel that was freed, .* lower it anew"):
        serialize_executable.deserialize_and_load(*program)


WITHOUT = """
import sys
import jax, jax.numpy as jnp
from flax import nnx
{before}
import spikejax as sx

print(*sx.kernels.explain_backend(sx.LIF(), (8, 128)))
layer = sx.nn.SpikeLinear(64, 32, rngs=nnx.Rngs(0))
net = sx.nn.Sequential(sx.LIF(), layer, sx.LIF())
xs = 2 * jax.random.uniform(jax.random.key(0), (5, 4, 64))
loss = lambda run: jax.jit(jax.grad(lambda xs: run(xs)[1].sum()))
got, want = loss(lambda xs: sx.run(net, xs))(xs), loss(lambda xs: sx.run(net, xs, method="scan"))(xs)
assert abs(got - want).max() < 1e-5 and abs(want).max() > 0
assert "custom_call" not in jax.jit(lambda xs: sx.run(net, xs)[1]).lower(xs).as_text()
try:
    sx.kernels.fused_scan(sx.LIF(), sx.LIF().init_state((64,)), xs[0], backend="llvm")
except ValueError as error:
    print(error)
"""
MISMATCH = "from spikejax.kernels.llvm import table; table.FFI_VERSION = 0, 99"


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("sys.modules['llvmlite'] = None", "llvmlite is not installed: install it with `pip install llvmlite`"),
        (MISMATCH, "XLA refuses functions of version 0.99 of its foreign function interface ("),
    ],
    ids=["no-llvmlite", "other-version"],
)
def test_without_machine_code_xla_runs_the_loops(before, reason):
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-c", WITHOUT.format(before=before)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    explanation, refusal = done.stdout.splitlines()
    assert explanation.startswith(f"xla there is no CPU kernel, because {reason}")
    assert refusal.startswith(f"`backend` 'llvm' has no kernel for LIF, because {reason}")
    assert refusal.endswith("; or use 'xla'")
