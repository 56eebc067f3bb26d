"""What the tests of the wrappers share: inputs, and a LIF with a pause in NumPy, float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.cells.runs import QUICK

import spikejax as sx

T, BATCH, FEATURES, TAU = 23, 2, 4, 2.5
KEY = jax.random.key(3)
PAUSES = np.array([0, 1, 2, 5])
SMOOTH = sx.surrogate.Sigmoid(spiking=False)

NEURONS = {
    "IF": sx.IF(),
    "LIF-soft": sx.LIF(tau=TAU, v_reset=None),
    "LIF-detached": sx.LIF(tau=TAU, v_reset=0.2, detach_reset=True),
    "ParametricLIF": sx.ParametricLIF(),
    "LinearLIF": sx.LinearLIF(),
    "QIF": sx.QIF(),
    "EIF": sx.EIF(),
    "Izhikevich": sx.Izhikevich(),
    "AdEx": sx.AdEx(),
    "ALIF": sx.ALIF(tau=2.0),
    "CLIF": sx.CLIF(),
    "CubaLIF": sx.CubaLIF(),
    "KLIF": sx.KLIF(),
    "LIAF": sx.LIAF(),
    "TernaryLIF": sx.TernaryLIF(),
    "ResonateAndFire": sx.ResonateAndFire(),
    "GatedLIF": sx.GatedLIF(),
    "NoisyLIF": sx.NoisyLIF(),
}
each_neuron = pytest.mark.parametrize("neuron", NEURONS.values(), ids=NEURONS)


def inputs():
    t, n, f = np.meshgrid(np.arange(T), np.arange(BATCH), np.arange(FEATURES), indexing="ij")
    return 1.0 + 1.4 * np.sin(1.9 * t + 0.8 * f + 2.3 * n)


XS = inputs().astype(np.float32)


@partial(jax.jit, static_argnames=("chunk", "remat", "method", "record"), compiler_options=QUICK)
def run(cell, xs, state, **how):
    return sx.run(cell, xs, state, **how)


def start(cell, dtype=jnp.float32):
    return cell.init_state((BATCH, FEATURES), dtype, key=KEY)


def close(got, want, tolerance=2e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), got, want)


def slope(u):
    """The derivative of Sigmoid(4)."""
    return 1 / np.cosh(2 * u) ** 2


def refractory_loop(pauses, w1, w2, soft, spiked=None):
    """LIF with a pause: spikes, last membrane, gradient in x, one neuron at a time.

    `spiked` gives the spikes where chance draws them.
    """
    xs = inputs()
    spikes, grad, last = np.zeros_like(xs), np.zeros_like(xs), np.zeros((BATCH, FEATURES))
    for n in range(BATCH):
        for f in range(FEATURES):
            v, wait, tape = 0.0, 0, []
            for t in range(T):
                if wait > 0:
                    wait -= 1
                    tape.append(None)
                    continue
                h = v + (xs[t, n, f] - v) / TAU
                s = float(h >= 1) if spiked is None else spiked[t, n, f]
                v = h - s if soft else (0.0 if s else h)
                wait = pauses[f] if s else 0
                spikes[t, n, f] = s
                tape.append((h, s))
            last[n, f] = v
            d_v = w2[n, f]
            for t in reversed(range(T)):
                if tape[t] is None:
                    continue
                h, s = tape[t]
                ds = slope(h - 1)
                d_h = w1[t, n, f] * ds + d_v * (1 - ds if soft else 1 - s - h * ds)
                grad[t, n, f] = d_h / TAU
                d_v = d_h * (1 - 1 / TAU)
    return spikes, last, grad


def weights():
    return np.cos(np.arange(XS.size)).reshape(XS.shape), np.sin(np.arange(BATCH * FEATURES)).reshape(BATCH, FEATURES)


def grad_of(cell, xs, state, w1, w2, **how):
    def loss(xs):
        last, ys = sx.run(cell, xs, state, **how)
        return jnp.sum(w1 * ys) + jnp.sum(w2 * last.v), (ys, last.v)

    grad, (ys, v) = jax.grad(loss, has_aux=True)(xs)
    return ys, v, grad
