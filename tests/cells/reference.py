"""A run in a float64 NumPy loop, and its gradients by the product of derivatives through the reset."""

from typing import NamedTuple

import numpy as np
from tests.cells.cases import BATCH, FEATURES, STEPS, V_THRESHOLD, Row, Variant, surrogate_slope


class Inputs(NamedTuple):
    """Input, first membrane and loss weights, in closed form: float64 NumPy."""

    xs: np.ndarray
    v0: np.ndarray
    w1: np.ndarray
    w2: np.ndarray


def inputs() -> Inputs:
    t, n, f = np.meshgrid(np.arange(STEPS), np.arange(BATCH), np.arange(FEATURES), indexing="ij")
    xs = 0.7 + 1.2 * np.sin(1.9 * t + 0.8 * f + 2.3 * n)
    v0 = 0.4 * np.cos(1.3 * f[0] + n[0])
    return Inputs(xs, v0, np.cos(0.7 * t - f + n), np.sin(1.1 * f[0] + 0.5 * n[0] + 0.3))


class Reference(NamedTuple):
    """What NumPy gives for a run: outputs, last membrane and the gradients of `objective`."""

    s: np.ndarray
    v: np.ndarray
    grad_x: np.ndarray | None = None
    grad_v0: np.ndarray | None = None
    grad_parameter: np.ndarray | None = None


def simulate(row: Row, variant: Variant, at: Inputs) -> Reference:
    """The run in a float64 NumPy loop; with `slopes`, its gradients by the product through the reset."""
    state, before, steps = (at.v0,), [], []
    for x in at.xs:
        before.append(state[0])
        steps.append(row.step(state, x, variant))
        state = steps[-1].state
    s = np.stack([step.s for step in steps])
    if row.slopes is None:
        return Reference(s, state[0])

    grad_x, grad_p, d_v = np.zeros_like(at.xs), np.zeros_like(at.v0), at.w2
    for t in reversed(range(len(at.xs))):
        ds_dh, dv_dh = through_reset(row, variant, steps[t].h, s[t])
        d_h = at.w1[t] * ds_dh + d_v * dv_dh
        dh_dv, dh_dx, dh_dp = row.slopes(before[t], at.xs[t], variant.v_rest)
        grad_x[t], grad_p, d_v = d_h * dh_dx, grad_p + d_h * dh_dp, d_h * dh_dv
    return Reference(s, state[0], grad_x, d_v, grad_p)


def through_reset(row: Row, variant: Variant, h: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dS/dH and dV/dH."""
    if not row.fires:
        return np.ones_like(h), np.ones_like(h)
    ds_dh = surrogate_slope(variant.surrogate, h - V_THRESHOLD)
    reset_ds = 0 if variant.detach_reset else ds_dh
    if variant.v_reset is None:
        return ds_dh, 1 - V_THRESHOLD * reset_ds
    return ds_dh, 1 - s + (variant.v_reset - h) * reset_ds
