"""What every test starts from. Warnings are errors: see `filterwarnings` in pyproject.toml."""

import gc
import os

os.environ["JAX_PLATFORMS"] = "cpu"  # read when JAX is first imported


import jax
import pytest


@pytest.fixture
def key() -> jax.Array:
    """The one source of randomness of a test."""
    return jax.random.key(0)


gc.set_threshold(1_000_000, 20, 100)  # tracing makes many objects, and few of them garbage
