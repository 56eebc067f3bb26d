"""Surrogates as curves: the step, the primitive and the slope that gradients see."""

from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

import jax.numpy as jnp

from spikejax.checks import check_integer, check_number
from spikejax.surrogate import SurrogateFunction
from spikejax.visualize.canvas import BLACK, BLUE, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_surrogates(surrogates: Sequence[SurrogateFunction], *, reach: float = 2.0, columns: int = 4) -> "Figure":
    """Draws each surrogate in a panel of its own: what it gives forward, its primitive and its derivative.

    Args:
        surrogates: at least one.
        reach: curves are drawn for u from -reach to reach, > 0.
        columns: panels side by side, >= 1.

    Returns:
        The figure.

    Raises:
        ValueError: `surrogates` is empty, `reach` <= 0 or `columns` < 1.
        ImportError: matplotlib is not installed.
    """
    check_number("reach", reach, gt=0)
    check_integer("columns", columns)
    if not surrogates:
        raise ValueError("`surrogates` must hold at least one surrogate, got none")
    columns = min(columns, len(surrogates))
    rows = ceil(len(surrogates) / columns)
    figure = new_figure(max(2.9 * columns, 4.0), 2.2 * rows + 0.5)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    u = jnp.linspace(-reach, reach, 801)
    for panel, surrogate in zip(panels, surrogates, strict=False):
        panel.plot(u, surrogate.replace(spiking=True)(u), color=BLACK, linewidth=1, linestyle=":", label="forward")
        with suppress(NotImplementedError):  # some have none
            panel.plot(u, surrogate.primitive(u), color=BLUE, linestyle="--", label="primitive")
        panel.plot(u, surrogate.derivative(u), color=VERMILION, label="derivative")
        panel.set_title(_title(surrogate), fontsize="small")
    for panel in panels[len(surrogates) :]:
        panel.set_axis_off()
    for panel in panels[max(0, len(surrogates) - columns) : len(surrogates)]:  # the last of each column
        panel.set_xlabel("u")
        panel.tick_params(labelbottom=True)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _title(surrogate: SurrogateFunction) -> str:
    return repr(surrogate).replace(", spiking=True", "").replace("spiking=True", "").replace(", window=None", "")
