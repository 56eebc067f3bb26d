"""Optimizers and learning-rate schedules by name, from optax."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import optax

from spikejax.checks import check_integer, check_number, check_option


def _step_schedule(learning_rate: float, steps: int) -> optax.Schedule:
    drops = {math.ceil(steps / 2): 0.1, math.ceil(steps * 3 / 4): 0.1}
    return optax.piecewise_constant_schedule(learning_rate, drops)


OPTIMIZERS: Mapping[str, Callable[[optax.ScalarOrSchedule], optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "sgd": partial(optax.sgd, momentum=0.9),
    "rmsprop": optax.rmsprop,
}
"""Of a learning rate."""
SCHEDULES: Mapping[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda learning_rate, steps: optax.constant_schedule(learning_rate),
    "cosine": optax.cosine_decay_schedule,
    "step": _step_schedule,
    "exponential": lambda learning_rate, steps: optax.exponential_decay(learning_rate, steps, 0.01),
}
"""Of a learning rate and the number of training steps."""


def make_schedule(name: str, learning_rate: float, steps: int, *, warmup: int = 0) -> optax.Schedule:
    """A learning rate over training steps.

        constant:    lr
        cosine:      lr (1 + cos(pi t / T)) / 2
        step:        lr, lr / 10 from T / 2 on, lr / 100 from 3 T / 4 on
        exponential: lr 100^(-t / T)

    Args:
        name: one of `SCHEDULES`.
        learning_rate: the rate lr to start from, > 0 and finite.
        steps: batches T of the whole training.
        warmup: batches during which the rate rises linearly from 0; they come before the schedule, within T.

    Raises:
        ValueError: an unknown name, a rate <= 0 or infinite, or a warm-up as long as the training.
    """
    check_option("schedule", name, SCHEDULES)
    check_number("learning_rate", learning_rate, gt=0)
    check_integer("warmup", warmup, ge=0, le=max(steps, 1) - 1, remedy=f"there are {steps} training steps")
    schedule = SCHEDULES[name](learning_rate, steps - warmup)
    if not warmup:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup), schedule], [warmup])


def make_optimizer(name: str, learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """An optax optimizer: "adam", "adamw", "sgd" (momentum 0.9) or "rmsprop".

    Args:
        name: one of `OPTIMIZERS`.
        learning_rate: a rate or a schedule.

    Raises:
        ValueError: an unknown name.
    """
    check_option("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name](learning_rate)
