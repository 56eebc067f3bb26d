"""Convolution with standardised weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import lax

from spikejax.checks import check_number
from spikejax.typing import Array


class WeightStandardizedConv(nnx.Conv):
    """`nnx.Conv` whose kernel has mean 0 and variance 1 over the inputs of each output channel.

        y = x * (W - mean) / sqrt(var + epsilon) + b        mean and var of W[..., c] for each output channel c

    It normalises without statistics of the data, so it does not depend on batch or chunk. With a fan-in of n, an input
    of variance 1 gives an output of variance n: put a norm or `Scale` behind it. The arguments and the parameters are
    those of `nnx.Conv`; `kernel` is what is learnt, `standardized_kernel` what it multiplies with.

    Args:
        in_features: channels of the input, its last axis.
        out_features: channels of the output, its last axis.
        kernel_size: size of the kernel in each space axis.
        strides: step between windows.
        rngs: random streams for the initial parameters.
        epsilon: what is added to the variance, > 0.
        conv_general_dilated: the convolution, as for `nnx.Conv`.
        **options: the other arguments of `nnx.Conv`.

    Raises:
        ValueError: `epsilon` is not > 0.

    Source: Qiao, Wang, Liu, Shen and Yuille, "Micro-Batch Training with Batch-Channel Normalization and Weight
    Standardization", 2019.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = 1,
        *,
        rngs: nnx.Rngs,
        epsilon: float = 1e-5,
        conv_general_dilated: Callable[..., Array] = lax.conv_general_dilated,
        **options: Any,
    ) -> None:
        check_number("epsilon", epsilon, gt=0)
        product = StandardizedProduct(conv_general_dilated, epsilon)
        super().__init__(
            in_features, out_features, kernel_size, strides, conv_general_dilated=product, rngs=rngs, **options
        )

    @property
    def standardized_kernel(self) -> Array:
        """The kernel as it enters the product."""
        kernel = self.kernel[...]
        product: StandardizedProduct = self.conv_general_dilated  # pyright: ignore[reportAssignmentType]
        return product.standardize(kernel if self.mask is None else kernel * self.mask)


@dataclass(frozen=True)
class StandardizedProduct:
    """`product(x, kernel, ...)` with the kernel standardised.

    Attributes:
        product: the convolution.
        epsilon: what is added to the variance.
    """

    product: Callable[..., Array]
    epsilon: float

    def __call__(self, x: Array, kernel: Array, *args: Any, **options: Any) -> Array:
        """The product."""
        return self.product(x, self.standardize(kernel), *args, **options)

    def standardize(self, kernel: Array) -> Array:
        """The kernel with mean 0 and variance 1 over the inputs of each output channel."""
        inner = kernel.astype(jnp.promote_types(kernel.dtype, jnp.float32))
        axes = tuple(range(kernel.ndim - 1))
        centred = inner - inner.mean(axes)
        return (centred / jnp.sqrt((centred**2).mean(axes) + self.epsilon)).astype(kernel.dtype)
