"""Learning-rate schedules and optimizers, against their formulas."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from spikejax.train import make_optimizer, make_schedule
from spikejax.train.optimizer import OPTIMIZERS, SCHEDULES

LR, T = 0.2, 12
FORMULAS = {
    "constant": lambda t, steps: LR,
    "cosine": lambda t, steps: LR * (1 + math.cos(math.pi * t / steps)) / 2,
    "step": lambda t, steps: LR if t < steps / 2 else LR / 10 if t < steps * 3 / 4 else LR / 100,
    "exponential": lambda t, steps: LR * 100 ** (-t / steps),
}
G, W = 0.3, 2.0
FIRST_STEPS = {  # the first two changes of a weight W whose gradient is G both times
    "adam": lambda: (-LR, -LR),
    "adamw": lambda: (-LR * (1 + 1e-4 * W), -LR * (1 + 1e-4 * (W - LR * (1 + 1e-4 * W)))),
    "sgd": lambda: (-LR * G, -LR * G * 1.9),
    "rmsprop": lambda: (-LR / math.sqrt(0.1), -LR / math.sqrt(0.19)),
}


def test_every_name_is_tested():
    assert set(FORMULAS) == set(SCHEDULES)
    assert set(FIRST_STEPS) == set(OPTIMIZERS)


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("steps", [T, T + 1, T + 3, 6])
@pytest.mark.parametrize("name", FORMULAS)
def test_schedule(name, steps, warmup):
    schedule = make_schedule(name, LR, steps, warmup=warmup)
    for t in range(steps):
        want = LR * t / warmup if t < warmup else FORMULAS[name](t - warmup, steps - warmup)
        np.testing.assert_allclose(schedule(t), want, rtol=1e-5, err_msg=f"step {t}")


@pytest.mark.parametrize("name", FORMULAS)
def test_schedule_of_one_step(name):
    np.testing.assert_allclose(make_schedule(name, LR, 1)(0), LR, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("linear", LR, T), "`schedule` must be one of 'constant', 'cosine', 'step', 'exponential', got 'linear'"),
        (("constant", 0.0, T), "`learning_rate` must be > 0, got 0.0"),
        (("constant", -1.0, T), "`learning_rate` must be > 0, got -1.0"),
        (("constant", math.nan, T), "`learning_rate` must be finite, got nan"),
        (("constant", math.inf, T), "`learning_rate` must be finite, got inf"),
        (("constant", LR, T, T), "`warmup` must be an integer from 0 to 11, got 12"),
        (("constant", LR, T, -1), "`warmup` must be an integer from 0 to 11, got -1"),
    ],
)
def test_schedule_errors(arguments, message):
    name, rate, steps, *warmup = arguments
    with pytest.raises(ValueError, match=message):
        make_schedule(name, rate, steps, **({"warmup": warmup[0]} if warmup else {}))


@pytest.mark.parametrize("name", FIRST_STEPS)
@pytest.mark.parametrize("rate", [LR, make_schedule("constant", LR, T)], ids=["number", "schedule"])
def test_optimizer(name, rate):
    optimizer = make_optimizer(name, rate)
    weight, grad = jnp.float32(W), jnp.float32(G)
    state = optimizer.init(weight)
    for want in FIRST_STEPS[name]():
        update, state = optimizer.update(grad, state, weight)
        np.testing.assert_allclose(update, want, rtol=1e-4)
        weight = optax.apply_updates(weight, update)


def test_unknown_optimizer():
    with pytest.raises(ValueError, match="`optimizer` must be one of 'adam', 'adamw', 'sgd', 'rmsprop', got 'lion'"):
        make_optimizer("lion", LR)
