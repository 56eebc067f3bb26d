"""Modes: the choice of the value that the highest firing rate stands for."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from spikejax.typing import Array

BINS = 4096
"""Number of bins of the histograms from which percentiles are computed."""


@dataclass(frozen=True)
class ScaleMode:
    """A rule that chooses scales; `parse` makes it from the argument of a user.

    Attributes:
        name: the argument as text.
        share: factor of the largest value.
        percentile: the percentile that is the scale; None for the largest value.
        balanced: True if each batch raises the scales by the mean of the values that they cut.
        channels: True if each channel has a scale of its own.
        momentum: momentum of the average over batches; None measures over all samples.
    """

    name: str
    share: float = 1.0
    percentile: float | None = None
    balanced: bool = False
    channels: bool = False
    momentum: float | None = None

    @classmethod
    def parse(cls, mode: str | float, channels: bool, momentum: float | None) -> "ScaleMode":
        """The rule for an argument of `measure`.

        Raises:
            ValueError: it is none of "max", "balanced", a percentage, a number in (0, 1], or `momentum` does not fit.
        """
        if momentum is not None and (mode == "balanced" or not 0 <= momentum <= 1):
            raise ValueError(f"`momentum` must be within [0, 1], or None as for mode 'balanced', got {momentum}")
        if mode == "balanced":
            return cls(str(mode), balanced=True, channels=True)
        if mode == "max":
            return cls(str(mode), channels=channels, momentum=momentum)
        if isinstance(mode, str) and mode.endswith("%"):
            try:
                percentile = float(mode[:-1])
            except ValueError:
                percentile = -1.0
            if 0 < percentile <= 100:
                return cls(mode, 1.0, percentile, channels=channels, momentum=momentum)
        elif not isinstance(mode, str | bool) and 0 < mode <= 1:
            return cls(str(mode), float(mode), channels=channels, momentum=momentum)
        raise ValueError(
            f'`mode` must be "max", "balanced", a percentile such as "99.9%", or a number in (0, 1], got {mode!r}'
        )

    @property
    def over_all(self) -> bool:
        """True if the scales are those of all samples together."""
        return not self.balanced and self.momentum is None

    def of_batch(self, a: Array, before: Array) -> Array:
        """The scales `[groups]` for a batch of activations `[n, groups]`, given those `before` it."""
        if self.balanced:
            return before + 2 * jnp.maximum(a - before, 0).mean(0)
        return a.max(0) * self.share if self.percentile is None else jnp.percentile(a, self.percentile, 0)

    def average(self, before: np.ndarray, new: np.ndarray, first: bool) -> np.ndarray:
        """The scales after a batch, from those before it and its `new` ones."""
        return new if first or self.balanced else before + (self.momentum or 0.0) * (new - before)

    def of_histogram(self, histograms: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """The scales `[groups]` for histograms `[groups, bins]`, each from 0 to `largest` `[groups]`."""
        if self.percentile is None:
            return largest * self.share
        scales = []
        for histogram, top in zip(histograms, largest, strict=True):
            total = np.concatenate(([0.0], np.cumsum(histogram)))
            scales.append(np.interp(self.percentile / 100 * total[-1], total, np.linspace(0, top, BINS + 1)))
        return np.array(scales)
