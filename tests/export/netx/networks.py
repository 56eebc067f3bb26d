"""Networks for Loihi, one for each thing that a NetX file can hold, and inputs that make all of them spike."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import spikejax as sx
from spikejax.export import netx

STEPS = 24


def dense(*sizes: int, cell: Callable[[], Any] = sx.IF, bias: bool = False, gain: float = 3.0, seed: int = 0) -> list:
    """Linear layers with their neurons."""
    rngs = nnx.Rngs(seed)
    layers: list = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nnx.Linear(fan_in, fan_out, use_bias=bias, kernel_init=_initial(gain, seed), rngs=rngs), cell()]
        if bias:
            layers[-2].bias[...] = 0.3 * jnp.cos(jnp.arange(fan_out))
    return layers


def conv(fan_in: int, out: int, window: tuple, cell: Callable[[], Any] = sx.IF, gain: float = 6.0, **options) -> list:
    """A convolution with its neurons."""
    layer = nnx.Conv(fan_in, out, window, use_bias=False, kernel_init=_initial(gain), rngs=nnx.Rngs(1), **options)
    return [layer, cell()]


def _initial(gain: float, seed: int = 0) -> Callable[..., jax.Array]:
    """Normal weights of variance gain / fan-in, from NumPy: nothing to compile."""

    def draw(key, shape, dtype, out_sharding=None):
        del key, out_sharding
        values = np.random.default_rng(seed + shape[-1]).normal(size=shape)
        return jnp.asarray(values * np.sqrt(gain / np.prod(shape[:-1])), dtype)

    return draw


def _normed(channels: int) -> nnx.BatchNorm:
    norm = nnx.BatchNorm(channels, use_running_average=True, rngs=nnx.Rngs(2))
    norm.mean[...], norm.var[...] = 0.1 * jnp.arange(channels), 0.5 + 0.1 * jnp.arange(channels)
    norm.scale[...], norm.bias[...] = jnp.linspace(0.8, 1.4, channels), 0.2 * jnp.sin(jnp.arange(channels))
    return norm


def _lif(**fields) -> Callable[[], Any]:
    return lambda: sx.LIF(**{"tau": 4.0, "v_threshold": 0.08, **fields})


def _recurrent(size: int, cell: Any) -> Any:
    feedback = nnx.Linear(size, size, use_bias=False, kernel_init=_initial(1.0), rngs=nnx.Rngs(3))
    return sx.nn.Recurrent(cell, feedback)


NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], list]]] = {
    "dense": ((20,), lambda: dense(20, 10)),
    "deep": ((16,), lambda: dense(16, 24, 20, 12, 10, cell=_lif())),
    "current": ((16,), lambda: dense(16, 20, 8, cell=lambda: sx.CubaLIF(tau_syn=3.0, tau=5.0, v_threshold=2.0))),
    "parametric": ((16,), lambda: dense(16, 12, 8, cell=lambda: sx.ParametricLIF(init_tau=3.0, v_threshold=0.15))),
    "decays-a-neuron": (
        (16,),
        lambda: dense(16, 10, cell=_lif(tau=jnp.linspace(1.5, 9.0, 10), v_threshold=jnp.linspace(0.05, 0.2, 10))),
    ),
    "reset-to-another": ((16,), lambda: dense(16, 10, cell=_lif(v_reset=-0.5, decay_input=False))),
    "bias": ((16,), lambda: dense(16, 12, 8, cell=_lif(), bias=True)),
    "delays": (
        (12,),
        lambda: [
            sx.nn.Delay(np.arange(12) % 5),
            *dense(12, 14),
            sx.nn.Delay(3),
            *(layers := dense(14, 10, seed=4))[:1],
            sx.nn.Delay(np.arange(10)),
            layers[1],
        ],
    ),
    "recurrent": ((12,), lambda: [*dense(12, 16)[:1], _recurrent(16, _lif()()), *dense(16, 10)]),
    "conv": (
        (9, 14, 2),
        lambda: (
            conv(2, 6, (3, 5), strides=(2, 1), padding=((1, 1), (2, 2)), kernel_dilation=(2, 3))
            + conv(6, 9, (3, 2), strides=(1, 2), padding=((0, 0), (1, 1)), feature_group_count=3)
        ),
    ),
    "decays-a-channel": ((6, 8, 1), lambda: conv(1, 4, (3, 3), cell=_lif(tau=jnp.array([1.5, 2.0, 4.0, 8.0])))),
    "conv-uneven-padding": ((8, 7, 1), lambda: conv(1, 4, (4, 3), strides=2, padding="SAME")),
    "conv-norm-flatten-dense": (
        (6, 8, 1),
        lambda: [
            *(layers := conv(1, 4, (3, 3)))[:1],
            _normed(4),
            layers[1],
            sx.nn.Flatten(),
            *dense(192, 10, gain=9.0),
        ],
    ),
    "pools": (
        (12, 8, 1),
        lambda: [
            *conv(1, 3, (3, 3)),
            sx.nn.MaxPool(2),
            *conv(3, 4, (3, 3)),
            sx.nn.AvgPool(2),
            *conv(4, 4, (2, 2), padding="VALID"),
            sx.nn.SumPool((2, 1)),
            sx.nn.Flatten(),
            *dense(4, 10, gain=9.0),
        ],
    ),
    "pool-to-neuron": ((6, 6, 2), lambda: [sx.nn.AvgPool(2), sx.IF(v_threshold=0.6), *conv(2, 3, (2, 2))]),
    "graded": ((4, 4, 1), lambda: [sx.nn.Flatten(), *dense(16, 20, 10, cell=_lif())]),
}
INPUT_SCALE = {"graded": 15.0}


def build(name: str) -> tuple[sx.nn.Sequential, tuple[int, ...]]:
    """The quantised network and the shape of its samples."""
    shape, layers = NETWORKS[name]
    return netx.quantized(sx.nn.Sequential(*layers()), shape, input_scale=INPUT_SCALE.get(name)), shape


def whole_inputs(name: str, batch: int = 2, seed: int = 0) -> jax.Array:
    """What the chip gets, `[T, N, *]`: spikes, or whole numbers."""
    shape = (STEPS, batch, *NETWORKS[name][0])
    scale = INPUT_SCALE.get(name)
    draw = np.random.default_rng(seed)
    values = draw.random(shape) < 0.4 if scale is None else draw.integers(0, int(scale) + 1, shape)
    return jnp.asarray(values, jnp.float32)
