"""The vision transformer, against its equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from spikejax.models import VisionTransformer

HEADS, PATCH = 2, 3


def dense(x, layer):
    return x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])


def normalized(x, layer):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * np.asarray(layer.scale[...]) + np.asarray(layer.bias[...])


def attended(x, layer):
    kernels = (np.asarray(part.kernel[...]) for part in (layer.query, layer.key, layer.value))
    biases = (np.asarray(part.bias[...]) for part in (layer.query, layer.key, layer.value))
    q, k, v = (
        np.einsum("ntf,fhd->nhtd", x, kernel) + bias[:, None] for kernel, bias in zip(kernels, biases, strict=True)
    )
    scores = np.exp(q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
    mixed = scores / scores.sum(-1, keepdims=True) @ v
    return np.einsum("nhtd,hdf->ntf", mixed, np.asarray(layer.out.kernel[...])) + np.asarray(layer.out.bias[...])


def test_it_is_its_equations():
    net = VisionTransformer(5, image=(6, 9, 2), patch=PATCH, features=8, layers=2, heads=HEADS, rngs=nnx.Rngs(0))
    keys = iter(jax.random.split(jax.random.key(1), 100))
    nnx.update(net, jax.tree.map(lambda a: a + 0.3 * jax.random.normal(next(keys), a.shape), nnx.state(net, nnx.Param)))
    images = np.asarray(jax.random.normal(jax.random.key(0), (4, 6, 9, 2)))

    patches = images.reshape(4, 2, PATCH, 3, PATCH, 2).transpose(0, 1, 3, 2, 4, 5).reshape(4, 6, -1)
    x = patches @ np.asarray(net.patches.kernel[...]).reshape(-1, 8) + np.asarray(net.patches.bias[...])
    x = x + np.asarray(net.position[...])
    for block in net.blocks:
        x = x + attended(normalized(x, block.norm1), block.attention)
        hidden = np.asarray(jax.nn.gelu(dense(normalized(x, block.norm2), block.linear1)))
        x = x + dense(hidden, block.linear2)
    expected = dense(normalized(x, net.norm).mean(1), net.head)
    np.testing.assert_allclose(net(jnp.asarray(images)), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": (28, 27, 1)}, "`patch` must divide the 28 x 27 pixels of `image`, got 7"),
        ({"heads": 5}, "`heads` must divide `features` = 64, got 5"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        VisionTransformer(**options, rngs=nnx.Rngs(0))
