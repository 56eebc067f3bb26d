"""The parallel neurons that are tested, their inputs, and their equations in NumPy, float64."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import spikejax as sx

T, BATCH, FEATURES, K = 7, 2, 4, 3
KEY = jax.random.key(1)
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "spikingjelly.npz")


def inputs(steps=T):
    t, n, f = np.meshgrid(np.arange(steps), np.arange(BATCH), np.arange(FEATURES), indexing="ij")
    return 0.7 + 1.2 * np.sin(1.9 * t + 0.8 * f + 2.3 * n)


def weights():
    i, j = np.meshgrid(np.arange(T), np.arange(T), indexing="ij")
    return 0.5 * np.cos(1.3 * i + 0.7 * j * j + 0.4)


THRESHOLDS = {
    "constant": 0.3,
    "a-step": np.linspace(0.1, 0.6, T),
    "column": np.linspace(0.1, 0.6, T)[:, None],
    "a-step-and-neuron": np.linspace(0.1, 0.6, T * FEATURES).reshape(T, FEATURES),
}
TAPS = {
    "shared": np.array([0.3, -0.5, 0.9]),
    "a-neuron": np.cos(1.0 + np.arange(K * FEATURES)).reshape(K, FEATURES),
}


def build(kind, v_threshold=0.3, **fields):
    if kind == "PSN":
        return sx.PSN(T=T, weight=weights(), v_threshold=v_threshold, **fields)
    return sx.MaskedPSN(T=T, k=K, masking=0.4, weight=weights(), v_threshold=v_threshold, **fields)


def cells():
    return [build("PSN"), build("MaskedPSN"), sx.SlidingPSN(k=K, weight=TAPS["a-neuron"], v_threshold=0.3)]


each_cell = pytest.mark.parametrize("cell", cells(), ids=lambda cell: type(cell).__name__)


def golden_cells():
    """The cells of the golden entries, by name: see tests/golden/README.md."""
    given = {"T": 10, "weight": GOLDEN["neuron/PSN/w"]}
    masked = {"k": 3, "v_threshold": jnp.full(10, 0.3)} | given
    return {
        "PSN": sx.PSN(v_threshold=jnp.full((10, 1), 0.3), **given),
        "MaskedPSN_k3_lambda1": sx.MaskedPSN(**masked),
        "MaskedPSN_k3_lambda0.4": sx.MaskedPSN(masking=0.4, **masked),
        "SlidingPSN_k3_expinit": sx.SlidingPSN(k=3),
    }


def loop(kind, xs, v_threshold):
    """H and S of a PSN or a masked one, one number at a time, float64."""
    v_threshold = np.broadcast_to(
        v_threshold if np.ndim(v_threshold) != 1 else np.asarray(v_threshold)[:, None], (T, FEATURES)
    )
    h = np.zeros_like(xs)
    for t in range(T):
        for past in range(T):
            seen = 1.0 if kind == "PSN" or 0 <= t - past < K else 1 - 0.4
            h[t] += weights()[t, past] * seen * xs[past]
    return h, np.where(h - v_threshold[:, None] >= 0, 1.0, 0.0)


def sliding_loop(taps, xs, v_threshold=0.3):
    """H and S of a sliding PSN, one number at a time, float64."""
    h = np.zeros_like(xs)
    for t in range(len(xs)):
        for back in range(K):
            if t - back >= 0:
                h[t] += taps[K - 1 - back] * xs[t - back]
    return h, np.where(h >= v_threshold, 1.0, 0.0)


def slope(u):
    """The derivative of ATan(2)."""
    return 1 / (1 + (np.pi * u) ** 2)


@partial(jax.jit, static_argnames=("chunk", "remat", "method"))
def outcome(cell, xs, state=None, weight=None, **how):
    """Outputs, last state, and gradients of a weighted sum of the outputs in the cell's arrays and the input."""
    weight = jnp.cos(jnp.arange(xs.size)).reshape(xs.shape) if weight is None else weight

    def loss(cell, xs):
        last, ys = sx.run(cell, xs, state, **how)
        return jnp.sum(weight * ys), (ys, last)

    found, (ys, last) = jax.grad(loss, (0, 1), has_aux=True)(cell, xs)
    return ys, last, found


@partial(jax.jit, static_argnames=("chunk", "steps", "record"))
def run(cell, xs, state=None, **how):
    return sx.run(cell, xs, state, **how)


def close(got, want, tolerance=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)
