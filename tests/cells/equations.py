"""The cells' equations a second time, in NumPy: one step `(state, x, p, t)`, written apart from the library."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class Step(NamedTuple):
    """What one step gives: the next state, the charged membrane, the output."""

    state: tuple[np.ndarray, ...]
    h: np.ndarray
    s: np.ndarray


Charge = Callable[[np.ndarray, np.ndarray, Any], np.ndarray]
KEY = 7
"""Seed of the cells that draw."""


def sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def rest(p: Any) -> Any:
    """Where a leaky membrane decays to."""
    return 0.0 if getattr(p, "v_reset", None) is None else p.v_reset


def fired(h: np.ndarray, threshold: Any) -> np.ndarray:
    return np.where(h >= threshold, 1.0, 0.0)


def back(h: np.ndarray, s: np.ndarray, p: Any) -> np.ndarray:
    """The membrane after a reset."""
    return h - p.v_threshold * s if p.v_reset is None else np.where(s != 0, p.v_reset, h)


def neuron(charge: Charge):
    """A spiking neuron of one variable."""

    def step(state, x, p, t):
        h = charge(state[0], x, p)
        s = fired(h, p.v_threshold)
        return Step((back(h, s, p),), h, s)

    return step


def leak(v, x, p):
    return (1 - 1 / p.tau) * v + rest(p) / p.tau + (x / p.tau if p.decay_input else x)


def leak_slopes(v, x, p):
    towards_rate = rest(p) - v + (x if p.decay_input else 0.0)
    return 1 - 1 / p.tau, 1 / p.tau if p.decay_input else 1.0, -towards_rate / p.tau**2


def parametric_leak(v, x, p):
    rate = sigmoid(p.w)
    return (1 - rate) * v + rate * rest(p) + (rate * x if p.decay_input else x)


def parametric_slopes(v, x, p):
    rate = sigmoid(p.w)
    towards_rate = rest(p) - v + (x if p.decay_input else 0.0)
    return 1 - rate, rate if p.decay_input else 1.0, towards_rate * rate * (1 - rate)


def integrator(state, x, p, t):
    v = leak(state[0], x, p)
    return Step((v,), v, v)


def quadratic(v, x, p):
    return v + x / p.tau + p.a0 / p.tau * (v * v - (p.v_rest + p.v_c) * v + p.v_rest * p.v_c)


def quadratic_slopes(v, x, p):
    towards_tau = -(x + p.a0 * (v - p.v_rest) * (v - p.v_c)) / p.tau**2
    return 1 + p.a0 * (2 * v - p.v_rest - p.v_c) / p.tau, 1 / p.tau, towards_tau


def exponential(v, x, p):
    return (1 - 1 / p.tau) * v + (x + p.v_rest + p.delta_T * np.exp((v - p.theta_rh) / p.delta_T)) / p.tau


def exponential_slopes(v, x, p):
    spike = np.exp((v - p.theta_rh) / p.delta_T)
    return 1 + (spike - 1) / p.tau, 1 / p.tau, -(x - v + p.v_rest + p.delta_T * spike) / p.tau**2


def adaptive(charge: Charge):
    """A neuron of one variable with an adaptation current."""

    def step(state, x, p, t):
        v, w = state
        h = charge(v, x - w, p)
        s = fired(h, p.v_threshold)
        return Step((back(h, s, p), (1 - 1 / p.tau_w) * w + p.a * (h - p.v_rest) / p.tau_w + p.b * s), h, s)

    return step


def alif(state, x, p, t):
    v, b = state
    h, theta = leak(v, x, p), p.v_threshold + p.beta * b
    s = fired(h, theta)
    v = h - theta * s if p.v_reset is None else np.where(s == 1, p.v_reset, h)
    return Step((v, (1 - 1 / p.tau_a) * b + s / p.tau_a), h, s)


def cuba(state, x, p, t):
    v, i = state
    gain, resistance = (p.w_in / p.tau_syn, p.r / p.tau) if p.decay_input else (p.w_in, p.r)
    i = (1 - 1 / p.tau_syn) * i + gain * x
    h = (1 - 1 / p.tau) * v + p.v_rest / p.tau + resistance * i
    s = fired(h, p.v_threshold)
    return Step((back(h, s, p), i), h, s)


def klif(state, x, p, t):
    f = np.maximum(p.k * leak(state[0], x, p), 0)
    s = fired(f, p.v_threshold)
    k = p.k if getattr(p, "scale_reset", False) else 1.0
    v = (f - s * p.v_threshold) / k if p.v_reset is None else np.where(s == 1, p.v_reset, f / k)
    return Step((v,), f, s)


def liaf(state, x, p, t):
    h = leak(state[0], x, p)
    y = np.maximum(h - (p.v_threshold if p.threshold_related else 0.0), 0)
    return Step((back(h, fired(h, p.v_threshold), p),), h, y)


def clif(state, x, p, t):
    v, m = state
    h = (1 - 1 / p.tau) * v + x
    s = fired(h, p.v_threshold)
    m = m * sigmoid(h / p.tau) + s
    return Step((np.where(s == 1, h - p.v_threshold - sigmoid(m), h), m), h, s)


def ilif(state, x, p, t):
    h = (1 - 1 / p.tau) * state[0] + x
    s = np.round(np.minimum(np.maximum(h / p.v_threshold, 0), 3))
    return Step((h - s * p.v_threshold,), h, s)


def ternary(charge: Charge):
    """A neuron with a threshold on either side."""

    def step(state, x, p, t):
        h = charge(state[0], x, p)
        s = np.where(h >= p.v_threshold, 1.0, np.where(h <= -p.v_threshold, -1.0, 0.0))
        return Step((back(h, s, p),), h, s)

    return step


def resonate(state, x, p, t):
    v, u = state
    z = (u + 1j * v) * np.exp((p.b + 1j * p.omega) * p.dt) + x
    s = fired(z.imag, p.v_threshold)
    return Step((back(z.imag, s, p), z.real), z.imag, s)


def gated(state, x, p, t):
    v, s = state
    alpha, beta, gamma, tau = map(sigmoid, (p.alpha, p.beta, p.gamma, p.tau))
    exponential, linear = alpha * tau + (1 - alpha), (1 - alpha) * sigmoid(p.linear_decay)
    gain = beta * sigmoid(p.conduct[t]) + (1 - beta)
    h = exponential * v * (1 - gamma * s) - linear - (1 - gamma) * sigmoid(p.v_subreset) * s + gain * x
    s = fired(h, sigmoid(p.v_threshold))
    return Step((h, s), h, s)


def noisy(state, x, p, t):
    noise = jax.random.normal(jax.random.fold_in(jax.random.key(KEY), t), x.shape, x.dtype)
    return neuron(lambda v, x, p: leak(v, x, p) + p.noise_scale * np.asarray(noise))(state, x, p, t)
