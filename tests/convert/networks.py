"""Networks to convert."""

import jax
import jax.numpy as jnp
from flax import nnx


def inputs(count=16):
    """Images in [0, 1], `[N, 6, 6, 2]`."""
    return jax.random.uniform(jax.random.key(0), (count, 6, 6, 2))


class Block(nnx.Module):
    """Two convolutions with BatchNorm, around which the input goes."""

    def __init__(self, channels, rngs):
        self.first, self.second = (nnx.Conv(channels, channels, (3, 3), rngs=rngs) for _ in range(2))
        self.norms = nnx.List([nnx.BatchNorm(channels, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        y = nnx.relu(self.norms[0](self.first(x)))
        return nnx.relu(self.norms[1](self.second(y)) + x)


class Residual(nnx.Module):
    """A residual network; in inference mode."""

    def __init__(self, rngs):
        self.stem, self.norm = nnx.Conv(2, 4, (3, 3), rngs=rngs), nnx.BatchNorm(4, rngs=rngs)
        self.block, self.dropout = Block(4, rngs), nnx.Dropout(0.5, rngs=rngs)
        self.hidden, self.out = nnx.Linear(36, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
        for norm in (self.norm, *self.block.norms):
            norm.mean[...] = jnp.array([0.1, -0.1, 0.2, 0.0])
            norm.var[...] = jnp.array([0.5, 1.5, 0.7, 1.0])
        self.eval()

    def __call__(self, x):
        x = nnx.avg_pool(nnx.relu(self.norm(self.stem(x))), (2, 2), (2, 2))
        x = self.dropout(self.block(x)).reshape(len(x), -1)
        return self.out(nnx.relu6(self.hidden(x)))


def chain(rngs):
    """Layers one after another."""
    return nnx.Sequential(
        nnx.Conv(2, 4, (3, 3), padding="VALID", rngs=rngs),
        nnx.relu,
        lambda x: nnx.avg_pool(x, (2, 2), (2, 2)),
        lambda x: x.reshape(len(x), -1),
        nnx.Linear(16, 8, rngs=rngs),
        nnx.relu,
        nnx.Linear(8, 3, rngs=rngs),
    )
