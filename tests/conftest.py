"""What every test starts from. Warnings are errors: see `filterwarnings` in pyproject.toml."""

import functools
import gc
import os
from importlib.metadata import version

# Read when JAX is first imported, in the processes that tests start as well. A test compiles much and computes little:
# neither optimised machine code, nor XLA's slower way of making it, nor the callers of each operation, written beside
# it, are worth their time. `SPIKEJAX_TESTS_OPTIMISED=1` leaves the compiler as users have it.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
QUICK = ("--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1")
if version("jaxlib").startswith("0.10."):  # later ones refuse it
    QUICK += ("--xla_cpu_use_fusion_emitters=false",)
if not os.environ.get("SPIKEJAX_TESTS_OPTIMISED"):
    os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *QUICK))

import jax  # noqa: E402
import pytest  # noqa: E402
from jax._src.interpreters import mlir  # noqa: E402

# Each program is written in a context of its own, which takes as long to make as a small program to compile: one will
# do for all of them. Not public, so where a later JAX has it no more the tests only take longer.
if hasattr(mlir, "make_ir_context") and not os.environ.get("SPIKEJAX_TESTS_OPTIMISED"):
    mlir.make_ir_context = functools.cache(mlir.make_ir_context)


@pytest.fixture
def key() -> jax.Array:
    """The one source of randomness of a test."""
    return jax.random.key(0)


gc.set_threshold(1_000_000, 20, 100)  # tracing makes many objects, and few of them garbage
