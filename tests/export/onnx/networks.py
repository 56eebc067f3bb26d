"""The networks that the tests export."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import spikejax as sx
from spikejax.nn import AvgPool, Delay, Flatten, MaxPool, Recurrent, Sequential, SumPool, Voting

STEPS, BATCH = 5, 2
BIAS = nnx.initializers.uniform(0.4)


class Case(NamedTuple):
    """A network, and the shape of its samples."""

    build: Callable[[nnx.Rngs], Any]
    sample: tuple[int, ...]


def linear(n: int, m: int, rngs: nnx.Rngs, **options: Any) -> nnx.Linear:
    return nnx.Linear(n, m, bias_init=BIAS, rngs=rngs, **options)


def conv(n: int, m: int, rngs: nnx.Rngs, window: Any = (3, 3), **options: Any) -> nnx.Conv:
    return nnx.Conv(n, m, window, bias_init=BIAS, rngs=rngs, **options)


def normalised(features: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    norm = nnx.BatchNorm(features, use_running_average=True, rngs=rngs)
    spread = np.linspace(0.5, 1.5, features, dtype=np.float32)
    norm.mean[...], norm.var[...], norm.scale[...], norm.bias[...] = spread - 1, spread, 2 - spread, spread / 5
    return norm


def per_neuron(low: float, high: float, *shape: int) -> jnp.ndarray:
    return jnp.linspace(low, high, int(np.prod(shape)), dtype=jnp.float32).reshape(shape)


def through_images(r: nnx.Rngs) -> Sequential:
    """H != W, a stride in one axis only, all that has a window, and a Flatten right before a Linear."""
    return Sequential(
        conv(2, 6, r, strides=(2, 1)),
        normalised(6, r),
        sx.LIF(tau=per_neuron(1.5, 4, 6), v_threshold=0.3, v_reset=-0.1),
        MaxPool(2),
        conv(6, 4, r, padding=((1, 0), (2, 2)), kernel_dilation=(1, 2), feature_group_count=2),
        sx.LIF(tau=3.0, v_threshold=per_neuron(0.1, 0.4, 4), v_reset=None, decay_input=False),
        AvgPool((1, 2), padding=((0, 0), (0, 1))),
        Flatten(),
        linear(16, 8, r),
        nnx.Dropout(0.5, deterministic=True),
        sx.IF(v_threshold=0.5),
        Voting(2),
    )


CASES = {
    "dense": Case(
        lambda r: Sequential(linear(5, 7, r), sx.LIF(v_threshold=0.3), linear(7, 3, r, use_bias=False), sx.IF()), (5,)
    ),
    "images": Case(through_images, (11, 7, 2)),
    "output of images": Case(
        lambda r: Sequential(
            conv(3, 4, r, padding="VALID", use_bias=False),
            sx.LIF(tau=per_neuron(2, 5, 3, 4, 4), v_threshold=0.3, v_reset=per_neuron(-0.2, 0.1, 4)),
            SumPool(2, strides=1),
            Voting(2),
        ),
        (5, 6, 3),
    ),
    "flatten before neurons": Case(
        lambda r: Sequential(
            MaxPool((2, 1), padding=((1, 0), (0, 0))),
            Flatten(),
            sx.LIF(v_threshold=per_neuron(0.1, 0.9, 18)),
            linear(18, 4, r),
            sx.LeakyIntegrator(),
        ),
        (3, 3, 3),
    ),
    "sequences": Case(
        lambda r: Sequential(conv(3, 4, r, (3,)), sx.IF(v_threshold=0.4), Flatten(), linear(20, 3, r)), (5, 3)
    ),
    "recurrent": Case(
        lambda r: Sequential(
            linear(4, 6, r),
            Recurrent(sx.LIF(v_threshold=per_neuron(0.2, 0.6, 6)), linear(6, 6, r)),
            Recurrent(sx.CubaLIF(v_threshold=0.8, v_reset=None), linear(6, 6, r, use_bias=False)),
        ),
        (4,),
    ),
    "delays": Case(
        lambda r: Sequential(
            Delay((2, 0, 3, 2)), linear(4, 6, r), sx.LIF(v_threshold=0.3), Delay(1), Delay(0), linear(6, 2, r), sx.IF()
        ),
        (4,),
    ),
    "delayed images": Case(lambda r: Sequential(conv(2, 3, r), sx.IF(v_threshold=0.4), Delay((1, 0, 2))), (3, 4, 2)),
    "nested": Case(
        lambda r: Sequential(Sequential(linear(3, 4, r), sx.LIF(v_threshold=0.2)), Flatten(), linear(4, 2, r), sx.IF()),
        (3,),
    ),
    "no neurons": Case(lambda r: Sequential(linear(3, 2, r)), (3,)),
}


@cache
def network(name: str) -> tuple[Sequential, tuple[int, ...]]:
    case = CASES[name]
    return case.build(nnx.Rngs(0)), case.sample


def inputs(sample: tuple[int, ...], steps: int = STEPS, batch: int = BATCH) -> np.ndarray:
    return np.random.default_rng(1).normal(0.5, 1.0, (steps, batch, *sample)).astype(np.float32)


@cache
def expected(name: str, steps: int | None = None) -> np.ndarray:
    """What spikejax gives for the inputs, or with `steps` for the first of them at every step."""
    net, sample = network(name)
    x = inputs(sample)
    return np.asarray(jax.jit(lambda x: sx.run(net, x, steps=steps)[1])(x[0] if steps else x))
