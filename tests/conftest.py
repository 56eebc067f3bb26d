"""What every test starts from. Warnings are errors: see `filterwarnings` in pyproject.toml."""

import gc
import os

# Read when JAX is first imported, in the processes that tests start as well. A test compiles much and computes little:
# neither optimised machine code nor the callers of each operation, written beside it, are worth their time.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"


import jax
import pytest


@pytest.fixture
def key() -> jax.Array:
    """The one source of randomness of a test."""
    return jax.random.key(0)


gc.set_threshold(1_000_000, 20, 100)  # tracing makes many objects, and few of them garbage
