"""Optimizers and learning-rate schedules by name, from optax."""

import math
from typing import Literal, get_args

import optax

from spikejax.checks import check_integer, check_number, check_option

Optimizer = Literal["adam", "adamw", "sgd", "rmsprop"]
Schedule = Literal["constant", "cosine", "step", "exponential"]


def make_schedule(name: str, learning_rate: float, steps: int, *, warmup: int = 0) -> optax.Schedule:
    """A learning rate over training steps.

        constant:    lr
        cosine:      lr (1 + cos(pi t / T)) / 2
        step:        lr, lr / 10 from T / 2 on, lr / 100 from 3 T / 4 on
        exponential: lr 100^(-t / T)

    Args:
        name: one of `Schedule`.
        learning_rate: the rate lr to start from, > 0 and finite.
        steps: batches T of the whole training.
        warmup: batches during which the rate rises linearly from 0; they come before the schedule, within T.

    Raises:
        ValueError: an unknown name, a rate <= 0 or infinite, or a warm-up as long as the training.
    """
    check_option("schedule", name, get_args(Schedule))
    check_number("learning_rate", learning_rate, gt=0)
    check_integer("warmup", warmup, ge=0, le=max(steps, 1) - 1, remedy=f"there are {steps} training steps")
    rest = steps - warmup
    if name == "constant":
        schedule = optax.constant_schedule(learning_rate)
    elif name == "cosine":
        schedule = optax.cosine_decay_schedule(learning_rate, rest)
    elif name == "step":
        drops = {math.ceil(rest / 2): 0.1, math.ceil(rest * 3 / 4): 0.1}
        schedule = optax.piecewise_constant_schedule(learning_rate, drops)
    else:
        schedule = optax.exponential_decay(learning_rate, rest, 0.01)
    if not warmup:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup), schedule], [warmup])


def make_optimizer(name: str, learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """An optax optimizer: "adam", "adamw", "sgd" (momentum 0.9) or "rmsprop".

    Args:
        name: one of `Optimizer`.
        learning_rate: a rate or a schedule.

    Raises:
        ValueError: an unknown name.
    """
    check_option("optimizer", name, get_args(Optimizer))
    if name == "sgd":
        return optax.sgd(learning_rate, momentum=0.9)
    return getattr(optax, name)(learning_rate)
