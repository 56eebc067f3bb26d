"""What every test starts from. Warnings are errors: see `filterwarnings` in pyproject.toml."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"  # read when JAX is first imported

import jax
import pytest


@pytest.fixture
def key() -> jax.Array:
    """The one source of randomness of a test."""
    return jax.random.key(0)
