"""A run in a float64 NumPy loop, and its gradients by the product of derivatives through the reset."""

from typing import NamedTuple

import numpy as np
from tests.cells.cases import BATCH, FEATURES, STEPS, Row
from tests.cells.variants import Triangle, Variant

import spikejax as sx


class Inputs(NamedTuple):
    """Input, first state and loss weights, in closed form: float64 NumPy.

    Attributes:
        xs: input `[T, N, F]`.
        states: first values of as many state variables as needed, the membrane first.
        w1: weights of the outputs in the loss.
        w2: weights of the last state's variables.
    """

    xs: np.ndarray
    states: tuple[np.ndarray, ...]
    w1: np.ndarray
    w2: tuple[np.ndarray, ...]


def inputs(row: Row) -> Inputs:
    t, n, f = np.meshgrid(np.arange(STEPS), np.arange(BATCH), np.arange(FEATURES), indexing="ij")
    mean, amplitude = row.drive
    xs = mean + amplitude * np.sin(1.9 * t + 0.8 * f + 2.3 * n)
    states = 0.4 * np.cos(1.3 * f[0] + n[0]), 0.15 + 0.1 * np.sin(0.9 * f[0] - n[0])
    w2 = np.sin(1.1 * f[0] + 0.5 * n[0] + 0.3), np.cos(0.7 * f[0] + 1.5 * n[0])
    return Inputs(xs, states, np.cos(0.7 * t - f + n), w2)


class Reference(NamedTuple):
    """What NumPy gives for a run: outputs, last state, the charged membranes and those before them."""

    s: np.ndarray
    state: tuple[np.ndarray, ...]
    h: np.ndarray
    before: np.ndarray


def simulate(row: Row, variant: Variant, at: Inputs, variables: int) -> Reference:
    """The run in a float64 NumPy loop."""
    state, before, steps, p = at.states[:variables], [], [], row.namespace(variant)
    for t, x in enumerate(at.xs):
        before.append(state[0])
        steps.append(row.step(state, x, p, t))
        state = steps[-1].state
    s, h = (np.stack([getattr(step, name) for step in steps]) for name in ("s", "h"))
    return Reference(s, state, h, np.stack(before))


def product(row: Row, variant: Variant, at: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The loss's gradients in the input, the first membrane and, by neuron, the first parameter."""
    run, p = simulate(row, variant, at, 1), row.namespace(variant)
    grad_x, grad_p, d_v = np.zeros_like(at.xs), np.zeros_like(at.states[0]), at.w2[0]
    for t in reversed(range(len(at.xs))):
        ds_dh, dv_dh = through_reset(row, variant, p, run.h[t], run.s[t])
        d_h = at.w1[t] * ds_dh + d_v * dv_dh
        dh_dv, dh_dx, dh_dp = row.slopes(run.before[t], at.xs[t], p)
        grad_x[t], grad_p, d_v = d_h * dh_dx, grad_p + d_h * dh_dp, d_h * dh_dv
    return grad_x, d_v, grad_p.sum(0)


def through_reset(row: Row, variant: Variant, p, h: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dS/dH and dV/dH."""
    if not row.resets:
        return np.ones_like(h), np.ones_like(h)
    ds_dh = slope(variant.surrogate, h - p.v_threshold)
    reset_ds = 0 if variant.detach_reset else ds_dh
    if p.v_reset is None:
        return ds_dh, 1 - p.v_threshold * reset_ds
    return ds_dh, 1 - s + (p.v_reset - h) * reset_ds


def slope(surrogate: sx.surrogate.SurrogateFunction, u: np.ndarray) -> np.ndarray:
    match surrogate:
        case sx.surrogate.Sigmoid(alpha=alpha):
            return alpha / 4 / np.cosh(alpha * u / 2) ** 2
        case sx.surrogate.ATan(alpha=alpha):
            return 2 * alpha / (4 + (np.pi * alpha * u) ** 2)
        case Triangle():
            return np.where(abs(u) < 1, 1 - abs(u), 0)
    raise NotImplementedError(surrogate)
