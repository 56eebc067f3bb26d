"""Residual networks of rectifiers, to be trained as they are or to be converted into spiking ones."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from spikejax.checks import check_integer, check_option
from spikejax.nn import AvgPool, MaxPool
from spikejax.typing import Array

INIT = jax.nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def _conv(inputs: int, outputs: int, window: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv:
    """A convolution without bias, padded by the same number on both sides, which "SAME" is not at stride 2."""
    pad = window // 2
    return nnx.Conv(
        inputs,
        outputs,
        (window, window),
        stride,
        padding=((pad, pad),) * 2,
        use_bias=False,
        kernel_init=INIT,
        rngs=rngs,
    )


def _norm(features: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(features, momentum=0.9, epsilon=1e-5, rngs=rngs)


class BasicBlock(nnx.Module):
    """Two convolutions 3x3 and a connection past them.

        y = relu(bn2(conv2(relu(bn1(conv1(x))))) + downsample(x))

    Args:
        inputs: channels of the input, >= 1.
        width: channels of the output, >= 1.
        stride: step of the first convolution, >= 1; where it is not 1, or the channels change, `downsample` is a
            convolution 1x1 with BatchNorm, and nothing otherwise.
        rngs: source of the initial weights.

    Source: He et al., "Deep residual learning for image recognition", 2016, figure 5 left.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1, *, rngs: nnx.Rngs) -> None:
        self.conv1 = _conv(inputs, width, 3, stride, rngs)
        self.bn1 = _norm(width, rngs)
        self.conv2 = _conv(width, width, 3, 1, rngs)
        self.bn2 = _norm(width, rngs)
        plain = stride == 1 and inputs == width
        self.downsample = None if plain else nnx.Sequential(_conv(inputs, width, 1, stride, rngs), _norm(width, rngs))

    def __call__(self, x: Array) -> Array:
        """One batch `[N, H, W, inputs]` to `[N, H / stride, W / stride, width]`."""
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return nnx.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nnx.Module):
    """A residual network for images, `[N, H, W, channels]` to `[N, classes]`, with rectifiers and no neurons.

        stem - layer1 - layer2 - ... - mean over the map - linear

    It computes what torchvision's `ResNet` of basic blocks does, and has the same names, so that
    `sx.convert.load_torch(net, weights)` loads its weights: those of `resnet18`, and with `blocks=(3, 4, 6, 3)` those
    of `resnet34`. As any module it normalises by the batch until `net.eval()`.

    Args:
        blocks: blocks of each layer, each >= 1; `layer1` has stride 1, the others 2.
        widths: channels of each layer, as many, each >= 1.
        classes: size of the output, >= 1.
        channels: channels of the image, >= 1.
        stem: "imagenet", convolution 7x7 of stride 2 and pooling 3x3 of stride 2, or "small", convolution 3x3.
        pool: "max" or "average", the pooling of the stem. A maximum has no form in spikes: to convert the network,
            train it with "average", or fine-tune weights that were trained with "max".
        rngs: source of the initial weights.

    Raises:
        ValueError: a size is < 1, `blocks` and `widths` differ in length, or `stem` or `pool` is unknown.

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1; "small": section 4.2.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (2, 2, 2, 2),
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        classes: int = 1000,
        channels: int = 3,
        stem: Literal["imagenet", "small"] = "imagenet",
        pool: Literal["max", "average"] = "max",
        rngs: nnx.Rngs,
    ) -> None:
        if not blocks or len(blocks) != len(widths):
            raise ValueError(f"`blocks` and `widths` must have one number a layer, got {blocks} and {widths}")
        sizes = {"blocks": blocks, "widths": widths, "classes": (classes,), "channels": (channels,)}
        for name, values in sizes.items():
            for value in values:
                check_integer(name, value)
        check_option("stem", stem, ("imagenet", "small"))
        check_option("pool", pool, ("max", "average"))
        self.depth, large = len(blocks), stem == "imagenet"
        self.conv1 = _conv(channels, widths[0], 7, 2, rngs) if large else _conv(channels, widths[0], 3, 1, rngs)
        self.bn1 = _norm(widths[0], rngs)
        self.pool = (MaxPool if pool == "max" else AvgPool)(3, 2, ((1, 1), (1, 1))) if large else None
        inputs = widths[0]
        for i, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            strides = [1 if i == 0 else 2, *[1] * (count - 1)]
            sizes = [inputs, *[width] * (count - 1)]
            made = [BasicBlock(size, width, stride, rngs=rngs) for size, stride in zip(sizes, strides, strict=True)]
            setattr(self, f"layer{i + 1}", nnx.List(made))
            inputs = width
        self.fc = nnx.Linear(inputs, classes, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Classifies one batch."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = x if self.pool is None else self.pool(x)
        for i in range(self.depth):
            for block in getattr(self, f"layer{i + 1}"):
                x = block(x)
        return self.fc(jnp.mean(x, axis=(1, 2)))


def resnet18(
    classes: int = 1000,
    *,
    channels: int = 3,
    stem: Literal["imagenet", "small"] = "imagenet",
    pool: Literal["max", "average"] = "max",
    rngs: nnx.Rngs,
) -> ResNet:
    """The residual network of 18 layers, with two blocks a layer; see `ResNet`.

    Args:
        classes: size of the output, >= 1.
        channels: channels of the image, >= 1.
        stem: "imagenet", for images of about 224x224, or "small", for 32x32.
        pool: "max" or "average", the pooling of the stem "imagenet"; conversion needs "average".
        rngs: source of the initial weights.

    Raises:
        ValueError: as `ResNet`.

    Source: He et al., "Deep residual learning for image recognition", 2016, table 1.
    """
    return ResNet(classes=classes, channels=channels, stem=stem, pool=pool, rngs=rngs)
