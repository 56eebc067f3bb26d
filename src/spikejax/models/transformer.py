"""Vision transformers of analog neurons, to be trained as they are or to be converted into spiking ones."""

import jax
import jax.numpy as jnp
from flax import nnx

from spikejax.typing import Array


class TransformerBlock(nnx.Module):
    """Attention and a dense part, each behind a LayerNorm and with a connection past it.

        y = x + attention(norm1(x))        z = y + linear2(gelu(linear1(norm2(y))))

    Args:
        features: of each token, >= 1.
        heads: of the attention, a divisor of `features`.
        hidden: features within the dense part, >= 1.
        rngs: source of the initial weights.

    Source: Xiong et al., "On layer normalization in the transformer architecture", 2020, figure 1 right.
    """

    def __init__(self, features: int, heads: int, hidden: int, *, rngs: nnx.Rngs) -> None:
        self.norm1, self.norm2 = (nnx.LayerNorm(features, rngs=rngs) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(heads, features, decode=False, rngs=rngs)
        self.linear1 = nnx.Linear(features, hidden, rngs=rngs)
        self.linear2 = nnx.Linear(hidden, features, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """One batch of tokens `[N, tokens, features]`."""
        x = x + self.attention(self.norm1(x))
        return x + self.linear2(nnx.gelu(self.linear1(self.norm2(x))))


class VisionTransformer(nnx.Module):
    """Images in patches, a transformer over them, the mean of all, a dense layer.

    Args:
        classes: number of outputs, >= 1.
        image: height, width and channels of an image.
        patch: side of a patch in pixels, a divisor of height and width.
        features: of each token.
        layers: number of blocks.
        heads: of the attention, a divisor of `features`.
        rngs: source of the initial weights.

    Raises:
        ValueError: `patch` or `heads` does not divide what it should.

    Source: Dosovitskiy et al., "An image is worth 16x16 words: transformers for image recognition at scale", 2021; with
    the mean of the tokens in the place of a class token.
    """

    def __init__(
        self,
        classes: int = 10,
        *,
        image: tuple[int, int, int] = (28, 28, 1),
        patch: int = 7,
        features: int = 64,
        layers: int = 4,
        heads: int = 4,
        rngs: nnx.Rngs,
    ) -> None:
        height, width, channels = image
        if height % patch or width % patch:
            raise ValueError(f"`patch` must divide the {height} x {width} pixels of `image`, got {patch}")
        if features % heads:
            raise ValueError(f"`heads` must divide `features` = {features}, got {heads}")
        window, tokens = (patch, patch), (height // patch) * (width // patch)
        self.patches = nnx.Conv(channels, features, window, window, padding="VALID", rngs=rngs)
        self.position = nnx.Param(0.02 * jax.random.normal(rngs.params(), (1, tokens, features)))
        self.blocks = nnx.List([TransformerBlock(features, heads, 4 * features, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(features, rngs=rngs)
        self.head = nnx.Linear(features, classes, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """One batch `[N, H, W, channels]` to `[N, classes]`."""
        x = self.patches(x)
        x = x.reshape(len(x), -1, x.shape[-1]) + self.position[...]
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(self.norm(x), axis=1))
