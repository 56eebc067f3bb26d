"""The base of every picture: an empty figure, one palette, whole-number ticks, checked arrays."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with every kind of colour vision.
BLACK, BLUE, VERMILION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"


def new_figure(width: float, height: float) -> "Figure":
    """Makes an empty figure that belongs to no window and to no global state.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        The figure; save it with `figure.savefig("name.png")`.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "`spikejax.visualize` draws with matplotlib, which is not installed: pip install 'spikejax[viz]'"
        ) from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def whole_ticks(*axes: "Axis") -> None:
    """Lets the axes have ticks at whole numbers only.

    Args:
        axes: the axes of the plot, as `plot.xaxis`.
    """
    from matplotlib.ticker import MaxNLocator

    for axis in axes:
        axis.set_major_locator(MaxNLocator(nbins=10, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))


def as_values(name: str, values: ArrayLike, axes: tuple[str, ...]) -> np.ndarray:
    """Brings an array of numbers to the host and checks it.

    Args:
        name: of the argument, for the errors.
        values: any real or boolean dtype.
        axes: what each of its axes is, as `("time steps", "neurons")`.

    Returns:
        The values, float32 or float64.

    Raises:
        ValueError: another number of axes, an axis of length 0, a value that is not finite.
    """
    array = np.asarray(values)
    array = array.astype(np.float64 if array.dtype == np.float64 else np.float32)
    if array.ndim != len(axes):
        raise ValueError(
            f"`{name}` must have the axes [{', '.join(axes)}], got the shape {array.shape}: select one "
            "sample, or add the axis that is missing"
        )
    if array.size == 0:
        raise ValueError(
            f"`{name}` must have a length of at least 1 on each of its axes [{', '.join(axes)}], "
            f"got the shape {array.shape}: record at least one of each"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` of shape {array.shape} must be finite, got {np.sum(~np.isfinite(array))} values NaN "
            "or infinite: look for their cause with `jax.debug_nans`"
        )
    return array


def as_spikes(name: str, values: ArrayLike, axes: tuple[str, ...]) -> np.ndarray:
    """Does as `as_values` for spikes, whose values are 0 and 1.

    Args:
        name: of the argument, for the errors.
        values: spikes.
        axes: what each of its axes is.

    Returns:
        The spikes, bool.

    Raises:
        ValueError: as `as_values`, and a value other than 0 and 1.
    """
    array = as_values(name, values, axes)
    spikes = array == 1
    others = array[~spikes & (array != 0)]
    if others.size:
        raise ValueError(
            f"`{name}` of shape {array.shape} must have the values 0 and 1, got {others[0]}: draw other "
            "values with `plot_heatmap`"
        )
    return spikes
