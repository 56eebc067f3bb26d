"""Synapses with the integer weights of a Loihi core."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import ArrayLike

from spikejax.checks import check_number
from spikejax.export.netx.fixed import WEIGHT_STEP, quantize_weights, straight_through_round
from spikejax.typing import Array


class _Quantized:
    """Base of the two synapses: float parameters, whole numbers in the product."""

    scale: float
    step: int
    kernel: Any
    bias: Any

    def _take(self, kernel: ArrayLike, bias: ArrayLike | None, scale: float, step: int) -> None:
        self.scale, self.step = float(scale), step
        self.kernel = nnx.Param(jnp.asarray(kernel, jnp.float32))
        self.bias = None if bias is None else nnx.Param(jnp.asarray(bias, jnp.float32))

    @property
    def weights(self) -> Array:
        """The chip's weights: even whole numbers in [-256, 254]."""
        return quantize_weights(self.kernel[...], self.scale, self.step)

    @property
    def biases(self) -> Array | None:
        """The chip's biases: whole numbers."""
        return None if self.bias is None else straight_through_round(self.bias[...] * self.scale)


class QuantizedLinear(_Quantized, nnx.Linear):
    """`nnx.Linear` whose product is that of the chip: y = x q + b, all whole numbers.

        q = clip(2 round(kernel scale / 2), -256, 254)      b = round(bias scale)

    The parameters stay floating point, so that an optimizer moves them; gradients pass straight through the rounding.

    Args:
        kernel: weights `[in, out]`.
        bias: `[out]` or None.
        scale: whole numbers that make 1.0, > 0.
        step: 2, or 1 for weights of one sign, which may be odd.
    """

    def __init__(self, kernel: ArrayLike, bias: ArrayLike | None, scale: float, *, step: int = WEIGHT_STEP) -> None:
        super().__init__(*jnp.shape(kernel), use_bias=False, rngs=nnx.Rngs(0))
        self._take(kernel, bias, scale, step)

    def __call__(self, inputs: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Sums of weights for one batch `[N, in]` of whole numbers."""
        y = jnp.matmul(inputs, self.weights, precision="highest")
        return y if self.biases is None else y + self.biases


class QuantizedConv(_Quantized, nnx.Conv):
    """`nnx.Conv` whose product is that of the chip: y = x * q + b, all whole numbers; as `QuantizedLinear`.

    Args:
        kernel: weights `[kh, kw, in / groups, out]`.
        bias: `[out]` or None.
        scale: whole numbers that make 1.0, > 0.
        strides: step between windows, one a space axis.
        padding: zeros before and after, a pair a space axis.
        dilation: step inside a window, one a space axis.
        groups: groups of channels.
        step: 2, or 1 for weights of one sign, which may be odd.
    """

    def __init__(
        self,
        kernel: ArrayLike,
        bias: ArrayLike | None,
        scale: float,
        *,
        strides: tuple[int, ...] = (1, 1),
        padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
        dilation: tuple[int, ...] = (1, 1),
        groups: int = 1,
        step: int = WEIGHT_STEP,
    ) -> None:
        *window, fan_in, out = jnp.shape(kernel)
        self.window_strides, self.rhs_dilation, self.pairs = strides, dilation, padding
        super().__init__(
            fan_in * groups,
            out,
            tuple(window),
            strides,
            padding=padding,
            kernel_dilation=dilation,
            feature_group_count=groups,
            use_bias=False,
            rngs=nnx.Rngs(0),
        )
        self._take(kernel, bias, scale, step)

    def __call__(self, inputs: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Sums of weights for one batch `[N, H, W, C]` of whole numbers."""
        axes = self.weights.ndim - 2
        letters = "HWD"[:axes]
        y = lax.conv_general_dilated(
            inputs,
            self.weights,
            self.window_strides,
            self.pairs,
            rhs_dilation=self.rhs_dilation,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
            feature_group_count=self.feature_group_count,
            precision="highest",
        )
        return y if self.biases is None else y + self.biases


class WholeInput(nnx.Module):
    """The input in whole numbers: round(x scale), slope `scale`. For graded input such as grey values.

    Args:
        scale: whole numbers that make 1.0, > 0.
    """

    def __init__(self, scale: float) -> None:
        check_number("input_scale", scale, gt=0)
        self.scale = float(scale)

    def __call__(self, x: Array) -> Array:
        """One batch, rounded."""
        return straight_through_round(x * self.scale)
