"""Plasticity over time: traces and a weight."""

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from spikejax.visualize.canvas import BLUE, VERMILION, as_spikes, as_values, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_plasticity(
    pre: ArrayLike,
    post: ArrayLike,
    trace_pre: ArrayLike,
    trace_post: ArrayLike,
    weight: ArrayLike,
    *,
    title: str = "spike-timing-dependent plasticity",
) -> "Figure":
    """Draws one synapse over time: the spikes before and after it, their traces, and below them its weight.

    Args:
        pre: spikes before the synapse, values 0 and 1, [T].
        post: spikes after it, values 0 and 1, [T].
        trace_pre: trace of the spikes before it, [T].
        trace_post: trace of the spikes after it, [T].
        weight: its weight, [T].
        title: above the picture.

    Returns:
        The figure.

    Raises:
        ValueError: an argument is not [T], their lengths differ, or one holds other values than it may.
        ImportError: matplotlib is not installed.
    """
    axes = ("time steps",)
    sides = [
        ("before", as_spikes("pre", pre, axes), as_values("trace_pre", trace_pre, axes), BLUE),
        ("after", as_spikes("post", post, axes), as_values("trace_post", trace_post, axes), VERMILION),
    ]
    course = as_values("weight", weight, axes)
    lengths = sorted({len(course), *(len(values) for _, *both, _ in sides for values in both)})
    if len(lengths) > 1:
        raise ValueError(f"all arguments must be as long, got {' and '.join(map(str, lengths))} time steps")
    figure = new_figure(8.0, 6.0)
    *pairs, last = figure.subplots(5, 1, sharex=True, height_ratios=(1, 3, 1, 3, 3))
    for (name, fired, trace, color), spikes, curve in zip(sides, pairs[::2], pairs[1::2], strict=True):
        spikes.eventplot(fired.nonzero()[0], lineoffsets=0.5, colors=color, linewidths=1.2)
        spikes.set(ylim=(-0.1, 1.1), yticks=[], ylabel=name)
        curve.plot(trace, color=color, linewidth=1.2)
        curve.set(ylabel="trace")
    last.plot(course, color="black", linewidth=1.2)
    last.set(ylabel="weight", xlabel="time step", xlim=(-0.5, len(course) - 0.5))
    pairs[0].set(title=title)
    figure.align_ylabels()
    whole_ticks(last.xaxis)
    return figure
